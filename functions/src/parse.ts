/** Parsing at every edge: input matches its schema, or is rejected with an error that says what is wrong. */
import * as v from "valibot";
import { ValidationError } from "./domain/errors.js";

/** The maximum length of an error message, since an invalid value may be a megabyte long. */
const MAX_MESSAGE_LENGTH = 500;

/**
 * Parses a value by its schema.
 * @param what the beginning of the error message, such as "relations/x is not a relation that this build can read"
 * @throws ValidationError that names each invalid field and what is wrong with it
 */
export function parse<S extends v.GenericSchema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const wrong = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? "all of it"}: ${issue.message}`).join("; ");
  throw new ValidationError(
    `${what}: ${wrong.length > MAX_MESSAGE_LENGTH ? `${wrong.slice(0, MAX_MESSAGE_LENGTH)}…` : wrong}`,
  );
}
