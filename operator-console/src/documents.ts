/** Documents as the page shows them. What this page does not understand is shown as such, and never guessed at. */
import type { DocumentData } from "firebase/firestore";
import type { AttemptState } from "../../functions/src/attempts/attempt.js";
import { type CreatingStage, RELATION_STATES, type RelationState } from "../../functions/src/domain/order-lifecycle.js";
import { ATTEMPT_WORDS } from "./labels.js";

export interface Relation {
  id: string;
  state: RelationState;
  kitchen: string | undefined;
  shipment: string | undefined;
  customerId: string | undefined;
  customer: { name: string; class: string; roll: number } | { reason: string } | undefined;
  placedAt: Date | undefined;
  /** When it came to its state, where that is known. */
  since: Date | undefined;
  times: Partial<Record<RelationState, Date>>;
}

/** An attempt that waits for an operator. */
export interface Waiting {
  id: string;
  order: string;
  stage: CreatingStage;
  state: AttemptState;
  reason: string | undefined;
}

/** The relation in a document, undefined for one of a form that this page does not know. */
export function relationIn(id: string, data: DocumentData): Relation | undefined {
  const { state, times, customer } = data;
  if (typeof state !== "string" || !Object.hasOwn(RELATION_STATES, state)) return undefined;
  const known: Relation["times"] = {};
  for (const name of Object.keys(RELATION_STATES) as RelationState[]) {
    const at = dateIn(times?.[name]);
    if (at) known[name] = at;
  }
  return {
    id,
    state: state as RelationState,
    kitchen: textIn(data.kitchen),
    shipment: textIn(data.shipment),
    customerId: textIn(data.customerId),
    customer: customerIn(customer),
    placedAt: dateIn(data.placedAt),
    since: known[state as RelationState],
    times: known,
  };
}

export function waitingIn(id: string, { order, stage, state, reason }: DocumentData): Waiting | undefined {
  if (typeof order !== "string" || (stage !== "kitchen" && stage !== "shipment")) return undefined;
  if (typeof state !== "string" || !Object.hasOwn(ATTEMPT_WORDS, state)) return undefined;
  return {
    id,
    order: order.replace(/^orders\//, ""),
    stage,
    state: state as AttemptState,
    reason: textIn(reason?.message),
  };
}

function customerIn(customer: DocumentData | undefined): Relation["customer"] {
  if (typeof customer?.name === "string") {
    return { name: customer.name, class: String(customer.class), roll: Number(customer.roll) };
  }
  const reason = textIn(customer?.reason?.message);
  return reason === undefined ? undefined : { reason };
}

function textIn(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function dateIn(value: { toDate?(): Date } | undefined): Date | undefined {
  return typeof value?.toDate === "function" ? value.toDate() : undefined;
}
