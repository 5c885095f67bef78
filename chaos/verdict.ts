/** Judges a run of real processes, with the simulation's checker and with the run's own records of its creates. */

import { attemptPath } from "../functions/src/attempts/attempt.js";
import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
import {
  CREATING_STAGES,
  closingState,
  ORDER_STATUSES,
  RELATION_STATES,
  type RelationState,
} from "../functions/src/domain/order-lifecycle.js";
import type { Fields } from "../functions/src/ports.js";
import type { Settings } from "../functions/src/settings.js";
import { allCreated, type GroundTruth } from "../services/food-service/model/food-service-model.js";
import { check, type Violation } from "../simulation/checker.js";
import { type Records, TraceReader } from "./evidence.js";
import { type EndedOrder, endsThatStood } from "./other-program.js";

export type Documents = ReadonlyMap<string, Fields>;

export interface Judged {
  delivered: number;
  rejected: number;
  cancelled: number;
  /** Attempts that were parked after rejections. */
  parked: number;
  /** Attempts that need an operator because their outcome is unknown. */
  uncertain: number;
  /** Creates whose outcome cannot be known, derived from what was killed, stopped, reset and left unanswered. */
  undecidable: number;
  lost: number;
  duplicates: number;
  wrong: number;
  /** Each violation in a sentence. */
  problems: string[];
}

/** Why an order is not settled under the deployed policy; undefined if it has ended or needs an operator. */
export function whyNotSettled(
  order: GroundTruth["orders"][number],
  documents: Documents,
  policy: Settings["CREATE_POLICY"],
): string | undefined {
  const id = order.name.slice("orders/".length);
  const ended = closingState(order.status) !== undefined;
  const attempts = CREATING_STAGES.map((stage) => documents.get(attemptPath(stage, id))).filter(
    (found) => found !== undefined,
  );
  const state = documents.get(`relations/${id}`)?.state as RelationState | undefined;
  const open = attempts.find((attempt) => attempt.state === "SENDING" || attempt.state === "FAILED");
  if (open) return `its ${String(open.stage)} attempt is ${String(open.state)}`;
  const isKeyed = policy === "idempotency-key";
  if (!ended && isKeyed && attempts.some((attempt) => attempt.state === "UNCERTAIN" && attempt.nextTryAt))
    return "it is sent again";
  if (ended) return state && RELATION_STATES[state].open ? `it is ${order.status}, its relation ${state}` : undefined;
  if (attempts.some((attempt) => attempt.state === "UNCERTAIN" || attempt.state === "PARKED")) return undefined;
  // Our own report overwrote a cancellation: the relation is closed, and the order is no longer ours.
  if (state === "CANCELLED") return undefined;
  return `it is ${order.status}, its relation ${state ?? "missing"}`;
}

export interface Case extends Records {
  documents: Documents;
  settings: Settings;
  /** Whether an event was still being redelivered at the end. */
  unsettled: boolean;
  /** The number of document writes at the end. */
  overAtWrite: number;
}

export function judge(given: Case): Judged {
  const { truth, documents, settings, writes, endedByOther, emptied, unsettled, overAtWrite } = given;
  const reading = new TraceReader(given);
  const stuck = truth.orders.flatMap((order) => {
    const why = whyNotSettled(order, documents, settings.CREATE_POLICY);
    return why ? [`${order.name}: ${why}`] : [];
  });
  const violations = check({
    ...reading.history(),
    writes,
    documents: (path) => documents.get(path),
    truth,
    settings,
    maxCreateTries: settings.CREATE_TRIES,
    poisoned: new Set(),
    stuckAtHorizon: stuck,
    absences: emptied.map((time) => ({ name: undefined, fault: "empty replica", ...time })),
    setByOthers: endedByOther.map(({ order, status, visibleFrom }) => ({ order, status, at: visibleFrom })),
    replaced: new Map(),
    listsWithoutSlot: new Map(),
    bugs: [],
    decisions: new Map(),
    unsettled,
    over: { write: overAtWrite, effect: Number.POSITIVE_INFINITY },
  });
  const orphans = orphansIn(truth, documents);
  const certainty = judgeCertainty(reading, truth, documents);
  const late = lateCreates(endsThatStood(endedByOther, truth), reading);
  const ends = [...wrongEnds(truth, endedByOther), ...wrongClosings(truth, documents), ...late];
  const wrong = [...violations.filter(isWrong).map(said), ...certainty.problems, ...ends];
  const duplicates = duplicatesIn(truth);
  const attempts = [...documents].filter(([path]) => path.startsWith("attempts/")).map(([, fields]) => fields);
  const count = (status: string) => truth.orders.filter((order) => order.status === status).length;
  return {
    delivered: count("DELIVERED"),
    rejected: count("REJECTED"),
    cancelled: count("CANCELLED"),
    parked: attempts.filter(({ state }) => state === "PARKED").length,
    uncertain: attempts.filter(({ state }) => state === "UNCERTAIN").length,
    undecidable: certainty.undecidable,
    lost: stuck.length + orphans.length,
    duplicates: duplicates.length,
    wrong: wrong.length,
    problems: [...stuck, ...orphans, ...duplicates, ...wrong],
  };
}

const said = ({ invariant, message }: Violation) => `${invariant}: ${message}`;

/** Orders that count as lost, and duplicates, are not counted again. */
const isWrong = ({ invariant }: Violation) =>
  invariant !== "every order moves on" && invariant !== "at most one applied create";

function duplicatesIn(truth: GroundTruth): string[] {
  return [...createdByKey(truth)].flatMap(([key, [, ...more]]) =>
    more.map((name) => `${name} was created with the key ${key}, which was already used`),
  );
}

/** The names of what was created with each idempotency key. */
function createdByKey(truth: GroundTruth): Map<string, string[]> {
  const all = Map.groupBy(allCreated(truth), ({ idempotencyKey: key }) => key ?? "");
  return new Map([...all].map(([key, created]) => [key, created.map(({ name }) => name)]));
}

/** Every attempt that an order may have: its document, and what the order's relation links in its stage. */
function attemptsOf({ name }: { name: string }, documents: Documents) {
  const id = name.slice("orders/".length);
  return CREATING_STAGES.map((stage) => {
    const attempt = documents.get(attemptPath(stage, id));
    return { order: name, stage, attempt, link: documents.get(`relations/${id}`)?.[stage] };
  });
}

/** Created resources that no relation links and no uncertain attempt accounts for. */
function orphansIn(truth: GroundTruth, documents: Documents): string[] {
  const created = createdByKey(truth);
  const attempts = truth.orders.flatMap((order) => attemptsOf(order, documents));
  const accounted = attempts.flatMap(({ order, stage, attempt, link }) => {
    const things = created.get(idempotencyKey(order, stage)) ?? [];
    return attempt?.state === "UNCERTAIN" ? things : things.filter((thing) => thing === link);
  });
  const orphans = new Set([...created.values()].flat()).difference(new Set(accounted));
  return [...orphans].map((name) => `${name} was created, but no document records it`);
}

/** Compares the UNCERTAIN attempts with the creates whose outcome cannot be known: they must be the same. */
function judgeCertainty(reading: TraceReader, truth: GroundTruth, documents: Documents) {
  const problems: string[] = [];
  let undecidable = 0;
  for (const { order, stage, attempt, link } of truth.orders.flatMap((order) => attemptsOf(order, documents))) {
    if (!attempt || link !== undefined) continue;
    const isUncertain = attempt.state === "UNCERTAIN";
    const last = reading.creates.findLast((made) => made.order === order && made.stage === stage);
    // A claim whose create never arrived leaves no trace but its sender's end.
    const cutOff = last === undefined && isUncertain && reading.troubledRuns(order, stage).length > 0;
    const isUndecidable = last?.outcome === "in doubt" || cutOff;
    if (isUndecidable) undecidable++;
    if (isUndecidable === isUncertain) continue;
    const outcome = last ? `its create was ${last.outcome} (${JSON.stringify(last.call)})` : "no create of it was sent";
    problems.push(`${order}: its ${stage} attempt is ${String(attempt.state)}, but ${outcome}`);
  }
  return { undecidable, problems };
}

/** An order ends only as its shipment did, or as another program ended it. */
function wrongEnds(truth: GroundTruth, endedByOther: readonly EndedOrder[]): string[] {
  const ends = shipmentEnds(truth);
  return truth.orders.flatMap(({ name, status }) => {
    if (!ORDER_STATUSES[status].ended || status === "CANCELLED") return [];
    if (endedByOther.some(({ order }) => order === name)) return [];
    const shipment = ends.get(name);
    return shipment === status ? [] : [`${name} is ${status}, its shipment is ${shipment}`];
  });
}

/** A relation is closed as its order ended. If another program ended the order just then, its shipment may have ended first. */
function wrongClosings(truth: GroundTruth, documents: Documents): string[] {
  const ends = shipmentEnds(truth);
  return truth.orders.flatMap(({ name, status }) => {
    const state = documents.get(`relations/${name.slice("orders/".length)}`)?.state as RelationState | undefined;
    if (!state || RELATION_STATES[state].open || !ORDER_STATUSES[status].ended) return [];
    return state === status || state === ends.get(name)
      ? []
      : [`${name} is ${status}, its relation is closed as ${state}`];
  });
}

/** A run that begins after an order was ended must see the end, and create nothing for the order. */
function lateCreates(endedByOther: readonly EndedOrder[], { creates }: TraceReader): string[] {
  return endedByOther.flatMap(({ order, status, visibleFrom }) =>
    creates
      .filter((made) => made.order === order && made.run && made.run.from > visibleFrom)
      .map(({ stage }) => `${order}: its ${stage} was sent by a run that began after the order was ${status}`),
  );
}

/** The status of each order's shipment. */
function shipmentEnds({ orders, shipments }: GroundTruth): Map<string, string> {
  const ends = new Map(shipments.map(({ idempotencyKey: key, status }) => [key, status]));
  return new Map(orders.map(({ name }) => [name, ends.get(idempotencyKey(name, "shipment")) ?? "missing"]));
}
