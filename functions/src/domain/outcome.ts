/** What came of one piece of work. Every handler returns one, and the log has a line for it. */

export type Result<To extends string = string> =
  | { outcome: "moved"; to: To }
  /** Nothing to do now; the poll comes again. */
  | { outcome: "nothing"; reason: string }
  /** Something is wrong that waiting will not mend. */
  | { outcome: "refused"; reason: string };

export const moved = <To extends string>(to: To): Result<To> => ({ outcome: "moved", to });
export const nothing = (reason: string): Result<never> => ({ outcome: "nothing", reason });
export const refused = (reason: string): Result<never> => ({ outcome: "refused", reason });
