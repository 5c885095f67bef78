/** Reads certificates, keys and tokens from files that a flag names. */
import { readFileSync } from "node:fs";
import { CredentialError, textOf } from "../functions/src/credentials.js";
import { StartError } from "./server.js";

/**
 * Parses the contents of a file.
 * @param what the name of the flag in words, such as "client key"
 * @throws StartError if the file does not exist or its contents are invalid
 */
export function readCredential<T>(what: string, file: string, parse: (text: string) => T): T {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new StartError(
      code === "ENOENT"
        ? `There is no ${what} ${file}. Name the right file with --${what.replaceAll(" ", "-").toLowerCase()}.`
        : `${file} can't be read: ${message}.`,
    );
  }
  try {
    return parse(textOf(bytes));
  } catch (cause) {
    if (!(cause instanceof CredentialError)) throw cause;
    throw new StartError(`${file} ${cause.message}`, { cause });
  }
}
