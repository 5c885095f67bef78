/** What states and reasons are called in the console, and which color each has. A state without a label does not compile. */
import type { ReasonCode } from "../../functions/src/attempts/reason-codes.js";
import {
  ACTIVE_STATUSES,
  type ActiveStatus,
  CREATING_STAGES,
  type CreatingStage,
  RELATION_STATES,
  type RelationState,
  STAGES,
  STATE_TITLES,
} from "../../functions/src/domain/order-lifecycle.js";
import { recordOf } from "../../functions/src/domain/record-of.js";

/** A class of the style sheet. */
export type Color = "new" | "kitchen" | "flight" | "good" | "warn" | "bad" | "quiet";

/** The color of each state. A state without one does not compile. */
const COLORS = {
  NEW: "new",
  PREPARATION: "kitchen",
  IN_FLIGHT: "flight",
  DELIVERED: "good",
  REJECTED: "bad",
  CANCELLED: "quiet",
  GONE: "quiet",
} as const satisfies Record<ActiveStatus | RelationState, Color>;

const labelOf = (state: keyof typeof COLORS) => ({ title: STATE_TITLES[state], color: COLORS[state] });

export const RELATION_LABELS = recordOf(Object.keys(RELATION_STATES) as RelationState[], labelOf);

/** The stages that an active order passes, in order. */
export const ACTIVE_STAGES = ACTIVE_STATUSES;
export type ActiveStage = ActiveStatus;
export const STAGE_LABELS = recordOf(ACTIVE_STAGES, labelOf);

/** What each stage creates. */
export const THINGS = recordOf(CREATING_STAGES, (stage) => STAGES[stage].creates.title);

/** What each stage creates, as a heading. */
export const linkTitle = (stage: CreatingStage): string => sentenceCase(THINGS[stage]);

/** Our own reasons why an order needs attention. A new reason code without a label does not compile. */
const REASON_LABELS = {
  STRANDED: "Another system advanced this order",
  RELATION_TOO_LARGE: "A link no longer fits into the relation",
  LINK_NOT_FOUND: "The linked resource no longer exists",
  REPORT_REJECTED: "The food service rejects the status update",
  REPORT_IGNORED: "The food service ignores the status update",
  ORDER_NOT_FOUND: "The food service no longer finds the order",
  ORDER_UNREADABLE: "The food service doesn't answer about the order",
  ACTIVE_AFTER_CANCELLATION: "Active again after it was cancelled",
  ORDER_REPLACED: "Another order may have the same name",
  UNUSABLE_NAME: "The order's name can't be stored",
} as const satisfies Record<ReasonCode, string>;

/** Reasons of creates that failed. A code without a label is shown as it is. */
const FAILURE_LABELS: { [code: string]: string } = {
  ...REASON_LABELS,
  LEASE_EXPIRED: "The process stopped before a reply arrived",
  BAD_REPLY: "The food service sent an unusable reply",
  INVALID_ARGUMENT: "The food service rejected the request",
  NOT_FOUND: "The food service doesn't know this order",
  PERMISSION_DENIED: "The food service denied access",
  UNAUTHENTICATED: "The food service denied access",
  FAILED_PRECONDITION: "The food service rejected the request",
  RESOURCE_EXHAUSTED: "The food service is at capacity",
  UNAVAILABLE: "The connection was lost",
  DEADLINE_EXCEEDED: "The food service didn't reply in time",
};

export function reasonTitle(code: string): string {
  return FAILURE_LABELS[code] ?? sentenceCase(code);
}

export function sentenceCase(code: string): string {
  const words = code.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Such as "40 s", "3 min", "1 h 20 min", "3 d". With `isFine` up to an hour to the second, such as "3 min 5 s". */
export function duration(milliseconds: number, isFine = false): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return isFine && seconds % 60 > 0 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} d`;
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

/** Formats are slow to make, so each is made when it is first used. */
function formatter(options: Intl.DateTimeFormatOptions): (at: Date) => string {
  let format: Intl.DateTimeFormat | undefined;
  return (at) => {
    format ??= new Intl.DateTimeFormat(undefined, options);
    return format.format(at);
  };
}

const dateAndTime = formatter({ dateStyle: "medium", timeStyle: "medium" });
const timeOnly = formatter({ timeStyle: "medium" });

/** The time, with the date unless it is today. */
export function moment(at: Date, now = new Date()): string {
  return (at.toDateString() === now.toDateString() ? timeOnly : dateAndTime)(at);
}

export const hourOfDay = formatter({ timeStyle: "short" });
export const dayOfWeek = formatter({ weekday: "short", day: "numeric" });
export const count = (number: number): string => number.toLocaleString();
export const plural = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;
