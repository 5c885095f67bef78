/** The states of an attempt. The console imports this table without the schemas of `attempt.ts`. */

/** Each state, whether it is still open, and whether an operator must act on it. */
export const ATTEMPT_STATES = {
  SENDING: { open: true, needsOperator: false },
  FAILED: { open: true, needsOperator: false },
  PARKED: { open: true, needsOperator: true },
  UNCERTAIN: { open: true, needsOperator: true },
  CLOSED: { open: false, needsOperator: false },
} as const satisfies Record<string, { open: boolean; needsOperator: boolean }>;

export type AttemptState = keyof typeof ATTEMPT_STATES;
