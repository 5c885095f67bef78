/** What came of one piece of work. Every handler returns one, and the log has a line for it. */

export type Result =
  | { outcome: "moved"; to: string }
  /** Nothing to do now; the poll comes again. */
  | { outcome: "nothing"; reason: string }
  /** Something is wrong that waiting will not mend. */
  | { outcome: "refused"; reason: string };

export const moved = (to: string): Result => ({ outcome: "moved", to });
export const nothing = (reason: string): Result => ({ outcome: "nothing", reason });
export const refused = (reason: string): Result => ({ outcome: "refused", reason });
