/** What states are called on the page, and which colour each has. A state without words does not compile. */

import type { AttemptState } from "../../functions/src/attempts/attempt.js";
import type { CreatingStage, RelationState } from "../../functions/src/domain/order-lifecycle.js";

/** Where an order is; the tone is a class of the style sheet. */
export const RELATION_WORDS = {
  PREPARATION: { title: "In the kitchen", tone: "kitchen" },
  IN_FLIGHT: { title: "In flight", tone: "flight" },
  DELIVERED: { title: "Delivered", tone: "good" },
  REJECTED: { title: "Rejected", tone: "bad" },
  CANCELLED: { title: "Cancelled", tone: "quiet" },
  GONE: { title: "Gone", tone: "quiet" },
} as const satisfies Record<RelationState, { title: string; tone: string }>;

/** What became of a create, in a sentence about `thing`. */
export const ATTEMPT_WORDS = {
  SENDING: { title: "Sending", tone: "kitchen", explain: (thing) => `The ${thing} is being asked for at this moment.` },
  FAILED: {
    title: "Trying again",
    tone: "kitchen",
    explain: (thing) => `The ${thing} was refused, and nothing was created. It is tried again by itself.`,
  },
  PARKED: {
    title: "Parked",
    tone: "bad",
    explain: (thing) => `No ${thing} was created by us, and none is tried any more until somebody decides.`,
  },
  UNCERTAIN: {
    title: "Uncertain",
    tone: "bad",
    explain: (thing) => `A ${thing} was asked for and the answer was lost: there may be one. Ask before you try again.`,
  },
  CLOSED: {
    title: "Closed",
    tone: "quiet",
    explain: () => "Nothing was created: the order ended before, or somebody else made its link.",
  },
} as const satisfies Record<AttemptState, { title: string; tone: string; explain: (thing: string) => string }>;

/** What each stage creates. */
export const THINGS = { kitchen: "kitchen order", shipment: "shipment" } as const satisfies Record<
  CreatingStage,
  string
>;

/** Such as "3 min", "1 h 20 min". */
export function duration(milliseconds: number): string {
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 1) return `${Math.max(0, Math.floor(milliseconds / 1000))} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`;
}

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function moment(at: Date): string {
  return clock.format(at);
}
