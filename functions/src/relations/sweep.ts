/**
 * The sweep: looks after what the poll can't see, since its order has left the active lists.
 * What it costs grows with what is open, not with what ever was.
 */

import {
  ATTEMPT_STATES,
  ATTEMPTS,
  type Attempt,
  type AttemptState,
  attemptIn,
  expiryOf,
  nextAction,
} from "../attempts/attempt.js";
import { ConflictError, isCallError, NoSlotError, toErrorInfo, ValidationError } from "../domain/errors.js";
import {
  ACTIVE_STATUSES,
  closingState,
  type OrderStatus,
  RELATION_STATES,
  type RelationState,
} from "../domain/order-lifecycle.js";
import { acquireLease, releaseLease } from "../lease.js";
import type { Ports, Snapshot, Write } from "../ports.js";
import { closeRelation } from "./close-relation.js";
import { linkEntryPath, wasLinkedByUs } from "./history.js";
import { RELATIONS, type Relation, relationIn, relationPath } from "./relation.js";
import { ReportLag } from "./report-lag.js";

const LEASE_PATH = "leases/sweep";

/** As long as a sweep may run, in milliseconds. */
const LEASE_MS = 540_000;

const PAGE_SIZE = 300;

const OPEN_RELATION_STATES = (Object.keys(RELATION_STATES) as RelationState[]).filter(
  (state) => RELATION_STATES[state].open,
);
const OPEN_ATTEMPT_STATES = (Object.keys(ATTEMPT_STATES) as AttemptState[]).filter(
  (state) => ATTEMPT_STATES[state].open,
);

/** The log names so many waiting orders. */
const MAX_EXAMPLES = 5;

/** What a sweep did. */
export interface SweepResult {
  outcome: "completed" | "skipped";
  closed: number;
  /** Attempts whose lease ran out. */
  expired: number;
  /** Attempts that wait for an operator. */
  waiting: number;
  /** Documents or orders that could not be judged this time. */
  failed: number;
}

/**
 * Closes relations and attempts whose order has ended, declares attempts uncertain whose lease ran out, and says in one
 * log line each which orders wait for an operator.
 * @throws CallError, StoreError where the orders or documents can't be listed; the next sweep comes to them
 */
export async function sweep(ports: Ports): Promise<SweepResult> {
  const result: SweepResult = { outcome: "completed", closed: 0, expired: 0, waiting: 0, failed: 0 };
  const lease = await acquireLease(LEASE_PATH, LEASE_MS, ports);
  if (!lease) {
    ports.log.warn("Sweep skipped: another sweep is running", { component: "sweep", outcome: "skipped" });
    return { ...result, outcome: "skipped" };
  }
  let oldestSeconds = 0;
  const examples: WaitingOrder[] = [];
  let isDone = false;
  const lag = new ReportLag(ports.clock.now());
  try {
    const active = await listActive(ports);
    const endOf = finalStatusLookup(active, ports);
    await forEachDocument(RELATIONS, OPEN_RELATION_STATES, result, ports, async (found) => {
      const open = await sweepRelation(found, endOf, result, ports);
      if (!open) return;
      oldestSeconds = Math.max(oldestSeconds, ageSeconds(open, ports));
      lag.see(open, active.get(open.order));
    });
    await forEachDocument(ATTEMPTS, OPEN_ATTEMPT_STATES, result, ports, (found) =>
      sweepAttempt(found, endOf, examples, result, ports),
    );
    isDone = true;
  } finally {
    await releaseLease(lease, ports, isDone ? lag.fieldsAt(ports.clock.now()) : {});
  }
  logWaiting(result.waiting, examples, ports);
  ports.log.info("Sweep completed", { component: "sweep", ...result, oldestSeconds });
  return result;
}

/** What the log says of an order that waits for an operator. */
type WaitingOrder = Pick<Attempt, "order" | "stage" | "state" | "reason">;

/** How an order ended, undefined for one that goes on; GONE where the food service does not know it. */
type FinalStatusLookup = (order: string) => Promise<"DELIVERED" | "REJECTED" | "CANCELLED" | "GONE" | undefined>;

/** Asks the food service only about orders that are not in its active lists. */
function finalStatusLookup(active: ReadonlyMap<string, OrderStatus>, { food }: Ports): FinalStatusLookup {
  return async (order) => {
    if (active.has(order)) return undefined;
    try {
      return closingState((await food.getOrder(order)).status);
    } catch (error) {
      if (isCallError(error) && error.code === "NOT_FOUND") return "GONE";
      throw error;
    }
  };
}

async function listActive({ food, settings }: Ports): Promise<Map<string, OrderStatus>> {
  const statuses = new Map<string, OrderStatus>();
  for (const status of ACTIVE_STATUSES) {
    const seen = new Set<string>();
    let pageToken = "";
    do {
      seen.add(pageToken);
      const page = await food.listOrders({ status, pageSize: settings.POLL_PAGE_SIZE, pageToken });
      for (const order of page.orders) statuses.set(order.name, order.status);
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && !seen.has(pageToken));
  }
  return statuses;
}

/** Goes through matching documents page by page; one that can't be judged is logged and does not stop the others. */
async function forEachDocument(
  collection: string,
  states: string[],
  result: SweepResult,
  ports: Ports,
  judge: (found: Snapshot) => Promise<void>,
): Promise<void> {
  let page: Snapshot[];
  let after: string | undefined;
  do {
    page = await ports.store.query({
      collection,
      field: "state",
      oneOf: states,
      limit: PAGE_SIZE,
      ...(after && { after }),
    });
    for (const found of page) {
      try {
        await judge(found);
      } catch (error) {
        // Whoever changed the document meanwhile has judged it.
        if (error instanceof ConflictError || error instanceof NoSlotError) continue;
        result.failed++;
        const outcome = error instanceof ValidationError ? "quarantined" : "failed";
        ports.log.error(`Sweep failed for ${found.path}`, {
          component: "sweep",
          path: found.path,
          outcome,
          reason: toErrorInfo(error),
        });
      }
    }
    after = page.at(-1)?.path;
  } while (page.length === PAGE_SIZE);
}

/** Closes a relation whose order has ended; the relation of one that is on its way comes back. */
async function sweepRelation(
  found: Snapshot,
  endOf: FinalStatusLookup,
  result: SweepResult,
  ports: Ports,
): Promise<Relation | undefined> {
  const relation = relationIn(found);
  const end = relation && (await endOf(relation.order));
  if (!end) return relation;
  await closeRelation(found, end, ports);
  result.closed++;
  ports.log.info(`Sweep closed the relation as ${end}`, {
    order: relation.order,
    component: "sweep",
    outcome: "advanced",
    to: end,
  });
  return undefined;
}

/** How long a relation has been there, in seconds; 0 where another program wrote it and nobody has adopted it yet. */
function ageSeconds({ times }: Relation, { clock }: Ports): number {
  const began = Math.min(...Object.values(times).map((time) => time.getTime()));
  return Number.isFinite(began) ? Math.max(0, Math.round((clock.now() - began) / 1000)) : 0;
}

async function sweepAttempt(
  found: Snapshot,
  endOf: FinalStatusLookup,
  examples: WaitingOrder[],
  result: SweepResult,
  ports: Ports,
): Promise<void> {
  const attempt = attemptIn(found);
  if (!attempt) return;
  const fields = await planAttemptUpdate(attempt, endOf, ports);
  if (fields === "settled") {
    await ports.store.commit([{ kind: "delete", path: found.path, version: found.version }]);
    result.closed++;
    return;
  }
  if (fields) {
    const write: Write = { kind: "update", path: found.path, version: found.version, fields };
    await ports.store.commit([write]);
    if (fields.state === "CLOSED") result.closed++;
    else result.expired++;
  }
  const { order, stage, state, reason } = { ...attempt, ...fields };
  if (!ATTEMPT_STATES[state].needsOperator) return;
  result.waiting++;
  if (examples.length < MAX_EXAMPLES) examples.push({ order, stage, state, reason });
}

/** One line, however many orders wait: each is a document that the console lists. */
function logWaiting(waiting: number, examples: WaitingOrder[], { log }: Ports): void {
  if (waiting === 0) return;
  const message = `Operator action required: ${waiting} ${waiting === 1 ? "attempt is" : "attempts are"} waiting`;
  log.error(message, { component: "sweep", outcome: "needs_operator", waiting, examples });
}

/** What is to change in an attempt, or that it is to go; undefined where nothing is. */
async function planAttemptUpdate(attempt: Attempt, endOf: FinalStatusLookup, ports: Ports) {
  if (attempt.state === "FAILED" || attempt.state === "PARKED") {
    // Nothing was created for certain: once the order has ended, or has its link, nobody need care any more.
    const over = (await endOf(attempt.order)) !== undefined || (await isLinked(attempt, ports));
    const closed = { state: "CLOSED", nextTryAt: null, expireAt: expiryOf(ports.clock.now()) } as const;
    return over ? closed : undefined;
  }
  if (attempt.state !== "SENDING") return undefined;
  const next = nextAction(attempt, ports.clock.now(), ports.settings.CREATE_POLICY);
  if (next.action === "wait") return undefined;
  if (await isStaleClaim(attempt, ports)) return "settled";
  const ended = next.action === "send" && (await endOf(attempt.order)) !== undefined;
  if (next.action !== "declare uncertain" && !ended) return undefined;
  const reason = { code: "LEASE_EXPIRED", message: ended ? "the order ended before an answer was kept" : next.reason };
  return { state: "UNCERTAIN", leaseUntil: null, nextTryAt: null, reason } as const;
}

async function isLinked(attempt: Attempt, ports: Ports): Promise<boolean> {
  return attempt.state === "PARKED" && (await linkOf(attempt, ports)) !== undefined;
}

/**
 * Whether a claim came when the link was made already. A claim that made a link deleted the attempt, so that this one is
 * younger than the link, and whoever had it saw the link before sending anything.
 */
async function isStaleClaim(attempt: Attempt, ports: Ports): Promise<boolean> {
  const link = await linkOf(attempt, ports);
  if (link === undefined) return false;
  const [entry] = await ports.store.read(linkEntryPath(attempt.stage, link));
  return wasLinkedByUs(entry);
}

async function linkOf({ order, stage }: Attempt, { store }: Ports): Promise<string | undefined> {
  const [snapshot] = await store.read(relationPath(order.slice(order.indexOf("/") + 1)));
  return relationIn(snapshot)?.[stage];
}
