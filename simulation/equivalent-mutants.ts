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

export const EQUIVALENT_MUTANTS: readonly Equivalent[] = [];
