/** The outcome of one piece of work. Every handler returns one, and it is logged in one line. */

export type Outcome<To extends string = string> =
  /** This work moved the order to a new state. */
  | { outcome: "advanced"; to: To }
  /** This work reported a state that the order had already reached. */
  | { outcome: "reported"; to: To }
  /** Nothing to do now. The next poll publishes the order again. */
  | { outcome: "skipped"; reason: string }
  /** A problem that waiting will not fix. */
  | { outcome: "blocked"; reason: string };

export const advanced = <To extends string>(to: To): Outcome<To> => ({ outcome: "advanced", to });
export const reported = <To extends string>(to: To): Outcome<To> => ({ outcome: "reported", to });
export const skipped = (reason: string): Outcome<never> => ({ outcome: "skipped", reason });
export const blocked = (reason: string): Outcome<never> => ({ outcome: "blocked", reason });
