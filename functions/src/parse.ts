/** Parsing at every edge: what comes in fits its schema, or is refused with what is wrong. */
import * as v from "valibot";
import { MalformedError } from "./domain/errors.js";

/** As much of a complaint as a log line takes; what is wrong may be a megabyte long. */
const LONGEST = 500;

/**
 * The value as its schema has it.
 * @param what names the value in the complaint, such as "relations/x is not a relation that this build can read"
 * @throws MalformedError that says what is wrong in which field
 */
export function parse<S extends v.GenericSchema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const wrong = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? "all of it"}: ${issue.message}`).join("; ");
  throw new MalformedError(`${what}: ${wrong.length > LONGEST ? `${wrong.slice(0, LONGEST)}…` : wrong}`);
}
