/** The outcome of one piece of work. Every handler returns one, and the log has a line for it. */

export type Outcome<To extends string = string> =
  /** The order came to a new state here. */
  | { outcome: "advanced"; to: To }
  /** A state that the order had reached before was reported to the food service. */
  | { outcome: "reported"; to: To }
  /** Nothing to do now. The next poll brings the order again. */
  | { outcome: "skipped"; reason: string }
  /** Something is wrong that waiting will not fix. */
  | { outcome: "blocked"; reason: string };

export const advanced = <To extends string>(to: To): Outcome<To> => ({ outcome: "advanced", to });
export const reported = <To extends string>(to: To): Outcome<To> => ({ outcome: "reported", to });
export const skipped = (reason: string): Outcome<never> => ({ outcome: "skipped", reason });
export const blocked = (reason: string): Outcome<never> => ({ outcome: "blocked", reason });
