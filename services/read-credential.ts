/** Certificates, keys and tokens in files that a flag names. */
import { readFileSync } from "node:fs";
import { CredentialError, textOf } from "../functions/src/credentials.js";
import { StartError } from "./server.js";

/**
 * What the file holds, parsed.
 * @param what the name of the flag in words, such as "client key"
 * @throws StartError if there is no such file, or it does not hold what it should
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
