/** Parsers of command-line options. Their errors say what is allowed. */
import { InvalidArgumentError } from "commander";
import { parseAddress } from "../functions/src/address.js";

/** `host:port`. */
export function readAddress(text: string): string {
  if (parseAddress(text)) return text;
  throw new InvalidArgumentError("It must be host:port, such as localhost:50051.");
}

/** A parser of numbers in a range, bounds included. */
export function numberFrom(min: number, max: number, { whole = false } = {}): (text: string) => number {
  return (text) => {
    const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max && (!whole || Number.isInteger(number))) return number;
    throw new InvalidArgumentError(`It must be a ${whole ? "whole number" : "number"} from ${min} to ${max}.`);
  };
}
