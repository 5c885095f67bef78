/** How programs read their options: each reader says what is allowed. */
import { InvalidArgumentError } from "commander";
import { parseAddress, StartError } from "./server.js";

/** `host:port`. */
export function readAddress(text: string): string {
  try {
    parseAddress(text);
    return text;
  } catch (error) {
    if (error instanceof StartError) throw new InvalidArgumentError("It must be host:port, such as localhost:50051.");
    throw error;
  }
}

/** A reader of numbers within bounds, both included. */
export function numberFrom(min: number, max: number, { whole = false } = {}): (text: string) => number {
  return (text) => {
    const number = text.trim() === "" ? Number.NaN : Number(text);
    if (number >= min && number <= max && (!whole || Number.isInteger(number))) return number;
    throw new InvalidArgumentError(`It must be a ${whole ? "whole number" : "number"} from ${min} to ${max}.`);
  };
}
