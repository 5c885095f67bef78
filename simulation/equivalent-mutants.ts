/** Generated mutants that change nothing that matters, each with the reason. A reader must be able to check it. */

export interface Equivalent {
  file: string;
  operator: string;
  /** The line's text, trimmed, as it stands in the file. */
  line: string;
  reason: string;
}

export const EQUIVALENT_MUTANTS: readonly Equivalent[] = [];
