/** How the options of the food service's programs are read: each reader says what is allowed. */
import { InvalidArgumentError } from "commander";
import { parseAddress } from "../../functions/src/address.js";

/** `host:port`. */
export function readAddress(text: string): string {
  if (parseAddress(text)) return text;
  throw new InvalidArgumentError("It must be host:port, such as localhost:50051.");
}

/** A reader of numbers that `allows` accepts; `wanted` says in words what these are. */
export function readNumber(wanted: string, allows: (number: number) => boolean): (text: string) => number {
  return (text) => {
    const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (allows(number)) return number;
    throw new InvalidArgumentError(`It must be ${wanted}.`);
  };
}
