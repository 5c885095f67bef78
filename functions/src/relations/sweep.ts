/**
 * The sweep: handles relations and attempts whose order has left the active lists, so the poll can't see it.
 * Its cost grows with the number of open documents, not with that of all documents.
 */

import * as v from "valibot";
import {
  ATTEMPT_STATES,
  ATTEMPTS,
  type Attempt,
  type AttemptState,
  attemptIn,
  expiryOf,
  nextAction,
  uncertainFields,
} from "../attempts/attempt.js";
import { park } from "../attempts/park.js";
import { countLook, isLargeShare } from "../domain/absence.js";
import { ConflictError, isNotFound, NoSlotError, toErrorInfo, ValidationError } from "../domain/errors.js";
import {
  ACTIVE_STATUSES,
  type ActiveStatus,
  closingState,
  type FinalStatus,
  isBefore,
  mayReport,
  type OrderStatus,
  RELATION_STATES,
  type RelationState,
  STAGES,
  stageOf,
} from "../domain/order-lifecycle.js";
import { idIn, orderRefFromId } from "../domain/resource-names.js";
import { acquireLease, releaseLease } from "../lease.js";
import { firstPosition, OrderListing } from "../list-orders.js";
import type { Fields, Ports, Snapshot, Write } from "../ports.js";
import { closeRelation } from "./close-relation.js";
import { linkEntryPath, wasLinkedByUs } from "./history.js";
import { parseRelation, RELATIONS, type Relation, relationIn, relationPath } from "./relation.js";
import { ReportLag } from "./report-lag.js";
import { writeTrouble } from "./report-status.js";

const LEASE_PATH = "leases/sweep";

/** The maximum duration of a sweep, in milliseconds. */
const LEASE_MS = 540_000;

/** How long a sweep lists orders before it looks them up one by one, in milliseconds. */
const LISTING_BUDGET_MS = 60_000;

/**
 * Until when, after its start, a sweep checks relations, handles missing orders, and checks attempts, in milliseconds. The next sweep
 * continues with the rest.
 */
const RELATIONS_BUDGET_MS = 240_000;
const MISSING_BUDGET_MS = 300_000;
const BUDGET_MS = 420_000;

const PAGE_SIZE = 300;

/** The maximum of lookups counted in one sweep while a large share of the orders is missing: an outage must not cause a storm of writes. */
const MAX_MASS_LOOKS = 100;

const OPEN_RELATION_STATES = (Object.keys(RELATION_STATES) as RelationState[]).filter(
  (state) => RELATION_STATES[state].open,
);
const OPEN_ATTEMPT_STATES = (Object.keys(ATTEMPT_STATES) as AttemptState[]).filter(
  (state) => ATTEMPT_STATES[state].open,
);

/** For each collection, the path of the last document that a sweep checked before it ran out of time. An unreadable cursor starts anew. */
const cursor = v.fallback(v.nullable(v.string()), null);
const cursorsSchema = v.fallback(v.object({ relations: cursor, attempts: cursor }), {
  relations: null,
  attempts: null,
});

/** The maximum of waiting orders that the log names. */
const MAX_EXAMPLES = 5;

/** The result of a sweep. */
export interface SweepResult {
  outcome: "completed" | "skipped";
  closed: number;
  /** Attempts whose lease expired. */
  expired: number;
  /** Attempts that need an operator. */
  waiting: number;
  /** Open relations whose order the food service does not find. */
  missing: number;
  /** Documents or orders that could not be checked this time. */
  failed: number;
}

/**
 * Closes relations and attempts whose order has ended, declares attempts with an expired lease uncertain, and logs which orders need
 * an operator. A status that can't be listed costs one call for each of its orders. If the food service does not find an order, its
 * relation is closed as GONE after several lookups over MISSING_AFTER_MINUTES, unless a large share of all open orders is missing.
 * @throws StoreError if the documents can't be listed; the next sweep tries again
 */
export async function sweep(ports: Ports): Promise<SweepResult> {
  const result: SweepResult = { outcome: "completed", closed: 0, expired: 0, waiting: 0, missing: 0, failed: 0 };
  const lease = await acquireLease(LEASE_PATH, LEASE_MS, ports);
  if (!lease) {
    ports.log.warn("Sweep skipped: another sweep is running", { component: "sweep", outcome: "skipped" });
    return { ...result, outcome: "skipped" };
  }
  const startedAt = ports.clock.now();
  const cursors = { ...v.parse(cursorsSchema, lease.fields.cursors) };
  let oldestSeconds = 0;
  const examples: WaitingOrder[] = [];
  let isDone = false;
  const lag = new ReportLag(ports.clock.now());
  try {
    const active = await listActive(ports);
    const look = orderLookup(active, ports);
    const missing: { snapshot: Snapshot; relation: Relation }[] = [];
    let open = 0;
    const judge = async (snapshot: Snapshot) => {
      const relation = await sweepRelation(snapshot, look, result, ports);
      if (!relation) return;
      open++;
      oldestSeconds = Math.max(oldestSeconds, ageSeconds(relation, ports));
      lag.see(relation, active.get(relation.order));
      if ((await look(relation.order)).kind === "missing") missing.push({ snapshot, relation });
    };
    const relations = { collection: RELATIONS, states: OPEN_RELATION_STATES, until: startedAt + RELATIONS_BUDGET_MS };
    cursors.relations = await forEachDocument(relations, cursors.relations, result, ports, judge);
    result.missing = missing.length;
    await handleMissing(missing, open, startedAt + MISSING_BUDGET_MS, result, ports);
    const attempts = { collection: ATTEMPTS, states: OPEN_ATTEMPT_STATES, until: startedAt + BUDGET_MS };
    cursors.attempts = await forEachDocument(attempts, cursors.attempts, result, ports, (found) =>
      sweepAttempt(found, look, examples, result, ports),
    );
    isDone = true;
  } finally {
    await releaseLease(lease, ports, isDone ? { ...lag.fieldsAt(ports.clock.now()), cursors } : {});
  }
  logWaiting(result.waiting, examples, ports);
  ports.log.info("Sweep completed", { component: "sweep", ...result, oldestSeconds });
  return result;
}

/** The log's description of an order that needs an operator. */
type WaitingOrder = { order: string; stage: string; state: string; reason: unknown };

/** The current state of an order in the food service. */
type OrderLook =
  | { kind: "active"; status: OrderStatus }
  | { kind: "ended"; state: FinalStatus }
  /** It does not find the order, or replies about another one, possibly only for a while. */
  | { kind: "missing" };

type OrderLookup = (order: string) => Promise<OrderLook>;

/** Looks orders up in the food service, only those that its lists do not show as active, and each of them once. */
function orderLookup(active: ReadonlyMap<string, OrderStatus>, { food }: Ports): OrderLookup {
  const asked = new Map<string, OrderLook>();
  const ask = async (order: string): Promise<OrderLook> => {
    try {
      const { status } = await food.getOrder(order);
      const state = closingState(status);
      return state ? { kind: "ended", state } : { kind: "active", status };
    } catch (error) {
      if (isNotFound(error)) return { kind: "missing" };
      throw error;
    }
  };
  return async (order) => {
    const status = active.get(order);
    if (status !== undefined) return { kind: "active", status };
    const look = asked.get(order) ?? (await ask(order));
    asked.set(order, look);
    return look;
  };
}

/**
 * All orders that the food service lists as active, each with its own status, since a service may ignore the filter. Orders that can't
 * be listed are left out, and looked up one by one.
 */
async function listActive(ports: Ports): Promise<Map<string, OrderStatus>> {
  const statuses = new Map<string, OrderStatus>();
  const until = ports.clock.now() + LISTING_BUDGET_MS;
  const problems = await Promise.all(ACTIVE_STATUSES.map((status) => listInto(statuses, status, until, ports)));
  const reasons = problems.flatMap((problem) => problem ?? []);
  if (reasons.length > 0) {
    const line = { component: "sweep", outcome: "degraded", problems: reasons };
    ports.log.warn(
      `Sweep can't list all orders and looks them up one by one: ${reasons.join("; ")}`.slice(0, 1_000),
      line,
    );
  }
  return statuses;
}

/** Lists the orders of one status. Returns why the listing was incomplete, or undefined if it was complete. */
async function listInto(
  statuses: Map<string, OrderStatus>,
  status: ActiveStatus,
  until: number,
  { food, clock, settings }: Ports,
): Promise<string | undefined> {
  const listing = new OrderListing(firstPosition(status, settings), food);
  for (;;) {
    if (!listing.isOver && clock.now() >= until)
      return `${status}: listing takes longer than ${LISTING_BUDGET_MS / 1000} s`;
    const orders = await listing.next();
    if (!orders) return listing.problem && `${status}: ${listing.problem.code} ${listing.problem.message}`;
    for (const order of orders) if (stageOf(order.status)) statuses.set(order.name, order.status);
  }
}

/**
 * Handles open relations whose order the food service does not find. Counts the lookups, and closes relations that were missing for
 * long enough. If so many are missing that the food service is probably wrong, closes none and raises an alert.
 */
async function handleMissing(
  missing: { snapshot: Snapshot; relation: Relation }[],
  open: number,
  until: number,
  result: SweepResult,
  ports: Ports,
): Promise<void> {
  const isMass = isLargeShare(missing.length, open);
  if (isMass) {
    const message = `${missing.length} of ${open} open orders are missing from the food service: none is closed. Check FOOD_SERVICE_ADDRESS and its data`;
    ports.log.error(message, { component: "sweep", outcome: "orders_missing", missing: missing.length, open });
  }
  let looks = 0;
  for (const { snapshot, relation } of missing) {
    if ((isMass && looks >= MAX_MASS_LOOKS) || ports.clock.now() >= until) return;
    await judging(snapshot, result, ports, async () => {
      const seen = await countMissing(snapshot, relation, ports);
      if (seen === "believed" && !isMass) await closeAsGone(snapshot, relation, result, ports);
      else if (seen === "counted" || (seen === "believed" && (await parkAsMissing(relation, ports)))) looks++;
    });
  }
}

/** Counts a lookup that did not find a relation's order, unless the last one was shortly before. */
async function countMissing(
  snapshot: Snapshot,
  { trouble }: Relation,
  ports: Ports,
): Promise<"counted" | "believed" | "too soon"> {
  const windowMs = ports.settings.MISSING_AFTER_MINUTES * 60_000;
  const { absence, isBelieved } = countLook(trouble.missing, ports.clock.now(), windowMs);
  if (!absence) return isBelieved ? "believed" : "too soon";
  await writeTrouble(snapshot, { ...trouble, missing: absence }, ports);
  return "counted";
}

async function closeAsGone(snapshot: Snapshot, { order }: Relation, result: SweepResult, ports: Ports): Promise<void> {
  await closeRelation(snapshot, "GONE", ports);
  result.closed++;
  logClosed(order, "GONE", ports);
}

/** Returns whether it parked the order: another sweep may have done so before. */
async function parkAsMissing({ order }: Relation, ports: Ports): Promise<boolean> {
  const message = "the food service does not find the order, nor a large share of the others";
  const ref = orderRefFromId(idIn(order));
  const { outcome } = await park("kitchen", ref, { code: "ORDER_NOT_FOUND", message }, ports);
  return outcome === "blocked";
}

/**
 * Visits the matching documents page by page, from where the previous sweep ran out of time. A document that can't be checked is logged
 * and does not stop the others.
 * @param cursor the path of the last document that the previous sweep checked, null if it checked all
 * @returns the cursor for the next sweep
 */
async function forEachDocument(
  { collection, states, until }: { collection: string; states: string[]; until: number },
  cursor: string | null,
  result: SweepResult,
  ports: Ports,
  judge: (found: Snapshot) => Promise<void>,
): Promise<string | null> {
  let after: string | null | undefined = cursor;
  let judged = cursor;
  let hasWrapped = cursor === null;
  for (;;) {
    const matching = { collection, field: "state", oneOf: states };
    const page = await ports.store.query({ ...matching, limit: PAGE_SIZE, ...(after && { after }) });
    for (const found of page) {
      if (hasWrapped && cursor !== null && isAfter(found.path, cursor)) return null;
      if (ports.clock.now() >= until) {
        result.failed++;
        const line = { component: "sweep", path: found.path, outcome: "failed" };
        ports.log.error(`Sweep ran out of time at ${found.path}: the next sweep continues there`, line);
        return judged;
      }
      await judging(found, result, ports, () => judge(found));
      judged = found.path;
    }
    after = page.at(-1)?.path;
    if (page.length === PAGE_SIZE) continue;
    if (hasWrapped) return null;
    hasWrapped = true;
    after = undefined;
  }
}

/** Compares paths as the store sorts them, by their bytes. */
function isAfter(path: string, other: string): boolean {
  return Buffer.compare(Buffer.from(path), Buffer.from(other)) > 0;
}

/** Checks one document. An error is logged and does not stop the others. */
async function judging(found: Snapshot, result: SweepResult, ports: Ports, judge: () => Promise<void>): Promise<void> {
  try {
    await judge();
  } catch (error) {
    // Another process has just handled it, or the service is at its limit: the next sweep checks it.
    if (error instanceof ConflictError || error instanceof NoSlotError) return;
    result.failed++;
    const outcome = error instanceof ValidationError ? "quarantined" : "failed";
    const line = { component: "sweep", path: found.path, outcome, reason: toErrorInfo(error) };
    ports.log.error(`Sweep failed for ${found.path}`, line);
  }
}

/** Closes a relation whose order has ended. Returns the relation of an order that continues or is missing. */
async function sweepRelation(
  found: Snapshot,
  look: OrderLookup,
  result: SweepResult,
  ports: Ports,
): Promise<Relation | undefined> {
  const relation = parseRelation(found.path, found.fields);
  const seen = await look(relation.order);
  if (seen.kind === "missing") return relation;
  if (seen.kind === "active") {
    if (relation.trouble.missing) await writeTrouble(found, { ...relation.trouble, missing: undefined }, ports);
    return relation;
  }
  await closeRelation(found, seen.state, ports);
  result.closed++;
  logClosed(relation.order, seen.state, ports);
  return undefined;
}

function logClosed(order: string, to: RelationState, { log }: Ports): void {
  log.info(`Sweep closed the relation as ${to}`, { order, component: "sweep", outcome: "advanced", to });
}

/** The age of a relation in seconds; negative if another program wrote it and we have not adopted it yet. */
function ageSeconds({ times }: Relation, { clock }: Ports): number {
  const began = Math.min(...Object.values(times).map((time) => time.getTime()));
  return Math.round((clock.now() - began) / 1000);
}

async function sweepAttempt(
  found: Snapshot,
  look: OrderLookup,
  examples: WaitingOrder[],
  result: SweepResult,
  ports: Ports,
): Promise<void> {
  const attempt = attemptIn(found);
  const fields = await planAttemptUpdate(attempt, look, ports);
  if (fields === "settled") {
    await ports.store.commit([{ kind: "delete", path: found.path, version: found.version }]);
    result.closed++;
    return;
  }
  if (fields) {
    const write: Write = { kind: "update", path: found.path, version: found.version, fields };
    await ports.store.commit([write]);
    if (fields.state === "CLOSED") result.closed++;
    if (fields.state === "UNCERTAIN") result.expired++;
  }
  const { order, stage, reason } = attempt;
  const state = (fields?.state as AttemptState | undefined) ?? attempt.state;
  if (!ATTEMPT_STATES[state].needsOperator) return;
  result.waiting++;
  if (examples.length < MAX_EXAMPLES) examples.push({ order, stage, state, reason: fields?.reason ?? reason });
}

/** Logs one line, however many orders wait: the console lists each of them. */
function logWaiting(waiting: number, examples: WaitingOrder[], { log }: Ports): void {
  if (waiting === 0) return;
  const message = `Operator action required: ${waiting} ${waiting === 1 ? "attempt is" : "attempts are"} waiting`;
  log.error(message, { component: "sweep", outcome: "needs_operator", waiting, examples });
}

/** The update or deletion that an attempt needs; undefined if it needs none. */
async function planAttemptUpdate(
  attempt: Attempt,
  look: OrderLookup,
  ports: Ports,
): Promise<Fields | "settled" | undefined> {
  if (attempt.state === "FAILED" || attempt.state === "PARKED") return planClosing(attempt, look, ports);
  if (attempt.state !== "SENDING") return undefined;
  const next = nextAction(attempt, ports.clock.now(), ports.settings.CREATE_POLICY);
  if (next.action === "wait") return undefined;
  const relation = await relationOf(attempt, ports);
  if (await isStaleClaim(attempt, relation, ports)) return "settled";
  let message: string | undefined = next.reason;
  if (next.action === "send") {
    const seen = await look(attempt.order);
    const ended = await isOver(attempt, seen, ports);
    // Count a lookup that found nothing; the attempt stays unchanged until the order counts as gone.
    if (typeof ended === "object") return ended;
    message = ended ? "the order ended before an answer was saved" : whyNotResent(attempt, seen, relation);
  }
  return message === undefined ? undefined : uncertainFields({ code: "LEASE_EXPIRED", message }, null);
}

/** Why no stage sends a create again with the same key: another program linked or advanced the order. Undefined if a stage does. */
function whyNotResent({ stage }: Attempt, seen: OrderLook, relation: Relation | undefined): string | undefined {
  if (relation?.[stage] !== undefined) return "another program linked the order before an answer was saved";
  const now = seen.kind === "active" ? stageOf(seen.status) : undefined;
  const isAhead = now !== undefined && isBefore(STAGES[stage].takes, STAGES[now].takes);
  // For a link that an operator discarded, a later stage sends the create.
  if (!isAhead || relation?.discarded[stage] !== undefined) return undefined;
  return "another program advanced the order before an answer was saved";
}

/** Closes an attempt that created nothing, once its order has ended or its problem has resolved itself. */
async function planClosing(attempt: Attempt, look: OrderLookup, ports: Ports): Promise<Fields | undefined> {
  const code = attempt.reason?.code;
  // The order's name can't be looked up.
  if (code === "UNUSABLE_NAME") return undefined;
  const seen = await look(attempt.order);
  // It is listed, but perhaps only listed.
  if (code === "ORDER_UNREADABLE" && seen.kind === "active") {
    return (await isReadable(attempt, ports)) ? closedFields(attempt, ports) : undefined;
  }
  const isParked = attempt.state === "PARKED";
  const over =
    (isParked && isResolved(attempt, seen, await relationOf(attempt, ports))) || (await isOver(attempt, seen, ports));
  if (typeof over === "object") return over;
  if (over) return closedFields(attempt, ports);
  return attempt.missing && seen.kind === "active" ? { missing: null } : undefined;
}

/** One that an operator dismissed before does not expire, since it prevents a create. */
function closedFields({ dismissedFor }: Attempt, { clock }: Ports): Fields {
  return { state: "CLOSED", nextTryAt: null, expireAt: dismissedFor ? null : expiryOf(clock.now()) };
}

/** Whether the food service replies about an attempt's order. */
async function isReadable({ order }: Attempt, { food }: Ports): Promise<boolean> {
  try {
    await food.getOrder(order);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Whether the problem that an operator was asked about has resolved itself. */
function isResolved({ stage, reason }: Attempt, seen: OrderLook, relation: Relation | undefined): boolean {
  switch (reason?.code) {
    case "LINK_NOT_FOUND":
      return relation !== undefined && !relation.trouble.missingLink;
    case "REPORT_REJECTED":
    case "REPORT_IGNORED":
      return !relation?.trouble.report || !isBehind(seen, relation);
    case "ORDER_NOT_FOUND":
      return seen.kind === "active";
    case "ACTIVE_AFTER_CANCELLATION":
      return relation?.state !== "CANCELLED";
    case "ORDER_REPLACED":
      return relation === undefined;
    default:
      return relation?.[stage] !== undefined;
  }
}

/** Whether the food service shows an order behind its relation. */
function isBehind(seen: OrderLook, { state }: Relation): boolean {
  if (!state) return false;
  const { reports } = RELATION_STATES[state];
  if (!reports) return false;
  return seen.kind === "missing" || (seen.kind === "active" && mayReport(seen.status, reports));
}

/** Whether an attempt's order has ended. For a missing order, the fields that count the lookup, until it counts as gone. */
async function isOver(
  { missing, reason }: Attempt,
  seen: OrderLook,
  { clock, settings }: Ports,
): Promise<boolean | Fields> {
  if (seen.kind !== "missing") return seen.kind === "ended";
  // The attempt waits because its order is missing.
  if (reason?.code === "ORDER_NOT_FOUND") return false;
  const { absence, isBelieved } = countLook(missing, clock.now(), settings.MISSING_AFTER_MINUTES * 60_000);
  return absence ? { missing: { ...absence } } : isBelieved;
}

/**
 * Whether a claim was made after the link. The claim that made the link deleted its attempt, so this attempt is younger than the
 * link, and its owner saw the link before it sent anything.
 */
async function isStaleClaim({ stage }: Attempt, relation: Relation | undefined, ports: Ports): Promise<boolean> {
  const link = relation?.[stage];
  if (link === undefined) return false;
  const [entry] = await ports.store.read(linkEntryPath(stage, link));
  return wasLinkedByUs(entry);
}

async function relationOf({ order }: Attempt, { store }: Ports): Promise<Relation | undefined> {
  const [snapshot] = await store.read(relationPath(idIn(order)));
  return relationIn(snapshot);
}
