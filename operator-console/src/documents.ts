/** Documents as the console shows them. A document that it can't parse is counted as unreadable. */
import { ATTEMPT_STATES, type AttemptState } from "../../functions/src/attempts/attempt-states.js";
import {
  ACTIVE_STATUSES,
  type ActiveStatus,
  CREATING_STAGES,
  type CreatingStage,
  RELATION_STATES,
  type RelationState,
} from "../../functions/src/domain/order-lifecycle.js";
import { recordOf } from "../../functions/src/domain/record-of.js";

type Data = { readonly [name: string]: unknown };

/** The name of what each stage created. */
type Links = { [S in CreatingStage]: string | undefined };

export interface Relation extends Links {
  id: string;
  state: RelationState;
  /** The customer's name if it was resolved, else the id. */
  customer: string | undefined;
  customerId: string | undefined;
  /** When it reached its state, if known. */
  since: Date | undefined;
}

/** An attempt that an operator has to decide about. */
export interface Attention {
  /** The attempt's path. */
  path: string;
  /** The order's id. */
  order: string;
  stage: CreatingStage;
  state: AttemptState;
  /** The id of the claim, which is new with each try. A decision contains the claim that the operator saw. */
  claim: string;
  code: string;
  message: string;
  since: Date | undefined;
}

/** One of the orders that have been NEW for longest. */
interface WaitingOrder {
  order: string;
  since: Date;
}

/** Orders by status. */
type Counts = Record<ActiveStatus, number>;

/** The active orders at one time of the last 24 hours. */
export interface FlowPoint extends Counts {
  at: Date;
}

/** What the last poll and the last sweep found. */
export interface Health {
  /** When the last poll ended. */
  polledAt: Date | undefined;
  /** When a poll last listed every page. */
  completeAt: Date | undefined;
  tookMs: number;
  active: Counts | undefined;
  failedPages: number;
  /** When recent polls failed. */
  failedAt: Date[];
  error: string | undefined;
  waiting: WaitingOrder[];
  points: FlowPoint[];
  revision: string | undefined;
  sweptAt: Date | undefined;
  /** Orders whose state the food service does not show yet, and for how long the oldest. */
  unreported: number | undefined;
  reportLagMs: number;
}

/** The relation in a document, undefined for one of a form that this console doesn't know. */
export function relationIn(path: string, data: Data): Relation | undefined {
  const { state, times, customer } = data;
  if (typeof state !== "string" || !Object.hasOwn(RELATION_STATES, state)) return undefined;
  const customerId = textIn(data.customerId);
  return {
    id: idOf(path),
    state: state as RelationState,
    ...recordOf(CREATING_STAGES, (stage) => textIn(data[stage])),
    customer: textIn(mapIn(customer).name) ?? customerId,
    customerId,
    since: dateIn(mapIn(times)[state]),
  };
}

/** The attempt in a document, undefined for one of a form that this console doesn't know. */
export function attentionIn(path: string, data: Data): Attention | undefined {
  const { order, state } = data;
  const stage = CREATING_STAGES.find((one) => one === data.stage);
  if (typeof order !== "string" || !stage) return undefined;
  if (typeof state !== "string" || !Object.hasOwn(ATTEMPT_STATES, state)) return undefined;
  const { code, message } = mapIn(data.reason);
  return {
    path,
    order: idOf(order),
    stage,
    state: state as AttemptState,
    claim: textIn(data.id) ?? "",
    code: textIn(code) ?? state,
    message: textIn(message) ?? "",
    since: dateIn(data.claimedAt),
  };
}

export function healthIn(poll: Data | undefined, sweep: Data | undefined): Health {
  const found = mapIn(poll?.health);
  const swept = mapIn(sweep?.health);
  const active = mapIn(found.active);
  return {
    polledAt: dateIn(found.at),
    completeAt: dateIn(found.completeAt),
    tookMs: numberIn(found.tookMs),
    active: found.active === undefined ? undefined : countsIn(active),
    failedPages: numberIn(found.failedPages),
    failedAt: Array.isArray(found.failedRuns) ? found.failedRuns.flatMap((at) => dateIn(at) ?? []) : [],
    error: textIn(mapIn(found.error).message),
    waiting: listIn(found.waiting).flatMap((one) => {
      const [order, since] = [textIn(one.order), dateIn(one.since)];
      return order && since ? [{ order: idOf(order), since }] : [];
    }),
    points: listIn(found.points).flatMap((one) => {
      const at = dateIn(one.at);
      return at ? [{ at, ...countsIn(one) }] : [];
    }),
    revision: textIn(found.revision),
    sweptAt: dateIn(swept.at),
    unreported: typeof swept.unreported === "number" ? swept.unreported : undefined,
    reportLagMs: numberIn(swept.reportLagMs),
  };
}

function countsIn(data: Data): Counts {
  return recordOf(ACTIVE_STATUSES, (status) => numberIn(data[status]));
}

function idOf(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

function mapIn(value: unknown): Data {
  return typeof value === "object" && value !== null ? (value as Data) : {};
}

function listIn(value: unknown): Data[] {
  return Array.isArray(value) ? value.map(mapIn) : [];
}

function numberIn(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function textIn(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function dateIn(value: unknown): Date | undefined {
  if (typeof value !== "string" && !(value instanceof Date)) return undefined;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
