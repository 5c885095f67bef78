/**
 * Generated mutants that change nothing that matters, each with the reason. A reader must be able to check it. A test fails if one of
 * them no longer fits the code.
 */

export interface Equivalent {
  file: string;
  operator: string;
  /** The text that is replaced, on one line and abbreviated: see `abbreviated`. */
  from: string;
  /** The first line of that text, trimmed, as it is in the file; undefined if the text alone tells. */
  line?: string;
  reason: string;
}

export const EQUIVALENT_MUTANTS: readonly Equivalent[] = [
  {
    file: "attempts/audit.ts",
    operator: "swap operator",
    from: "one < other",
    reason: "The names of an object's fields are all different, so two that are compared are never equal.",
  },
  {
    file: "pipeline/poll-orders.ts",
    operator: "swap operator",
    from: "wait > 0",
    reason: "It differs only for a wait of 0 ms, and then sleeps for 0 ms.",
  },
  {
    file: "attempts/resolve-attempt.ts",
    operator: "swap operator",
    from: 'dismiss && { dismiss: "yes" }',
    reason:
      "The fingerprint only has to differ between a dismissal and a retry. It marks the retry then, instead of the dismissal.",
  },
  {
    file: "attempts/park-unusable.ts",
    operator: "scale constant",
    from: "1",
    line: ".slice(0, MAX_QUOTED + 1)",
    reason: "This bounds the text that is escaped. What exceeds MAX_QUOTED afterwards is cut in any case.",
  },
];
