/** What the states of an attempt are called. A state without a label does not compile. */
import type { AttemptState } from "../../../functions/src/attempts/attempt-states.js";
import type { Color } from "../labels.js";

/** What an attempt's state means, in a sentence about `thing`. */
export const ATTEMPT_LABELS = {
  SENDING: { title: "Sending", color: "kitchen", explain: (thing) => `Creating the ${thing} now.` },
  FAILED: {
    title: "Retrying",
    color: "warn",
    explain: () => "The food service rejected the request; nothing was created. It will be retried automatically.",
  },
  PARKED: {
    title: "Parked",
    color: "bad",
    explain: (thing) => `No ${thing} was created. Retries are paused until an operator decides.`,
  },
  UNCERTAIN: {
    title: "Uncertain",
    color: "bad",
    explain: (thing) => `The request was sent but no reply arrived, so a ${thing} may exist. Check before retrying.`,
  },
  CLOSED: {
    title: "Closed",
    color: "quiet",
    explain: () => "Nothing was created: the order ended first, or another system linked it.",
  },
} as const satisfies Record<AttemptState, { title: string; color: Color; explain: (thing: string) => string }>;
