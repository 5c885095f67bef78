/** Parsing at every edge: what comes in fits its schema, or is refused with what is wrong. */
import * as v from "valibot";
import { ValidationError } from "./domain/errors.js";

/** As much of a complaint as a log line takes; what is wrong may be a megabyte long. */
const MAX_MESSAGE_LENGTH = 500;

/**
 * The value as its schema has it.
 * @param what names the value in the complaint, such as "relations/x is not a relation that this build can read"
 * @throws ValidationError that says what is wrong in which field
 */
export function parse<S extends v.GenericSchema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const wrong = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? "all of it"}: ${issue.message}`).join("; ");
  throw new ValidationError(
    `${what}: ${wrong.length > MAX_MESSAGE_LENGTH ? `${wrong.slice(0, MAX_MESSAGE_LENGTH)}…` : wrong}`,
  );
}
