/**
 * Holds what happened against what must always hold. It judges by the recorded history, the documents and the food
 * service's own ground truth, and knows nothing of how the handlers work.
 */
import { MAX_BACKOFF_MS } from "../functions/src/attempts/backoff.js";
import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
import { isReasonCode } from "../functions/src/attempts/reason-codes.js";
import {
  ACTIVE_STATUSES,
  CREATING_STAGES,
  type CreatingStage,
  ORDER_STATUSES,
  type OrderStatus,
  RELATION_STATES,
  type RelationState,
} from "../functions/src/domain/order-lifecycle.js";
import type { Fields } from "../functions/src/ports.js";
import { closingEntry, linkEntryPath } from "../functions/src/relations/history.js";
import type { Settings } from "../functions/src/settings.js";
import type { DocumentWrite } from "../harness/event-bridge.js";
import { allCreated, type GroundTruth } from "../services/food-service/model/food-service-model.js";
import { DECIDABLE, type Fault, type Operation } from "./faults.js";
import { type Run, TICK_MS } from "./system.js";
import type { Entry, World } from "./world.js";

export const INVARIANTS = [
  "at most one applied create",
  "no blind resend",
  "shipment only for a packaged meal",
  "link is final and true",
  "no create after an end was seen",
  "parked only after rejections",
  "an operator's link is saved",
  "reports go forward",
  "uncertain only if undecidable",
  "acknowledged work is durable",
  "unreadable documents stay untouched",
  "given up only if nothing was created",
  "an order ends as its shipment did",
  "relations of ended orders are closed",
  "the history records every state",
  "every order moves on",
  "every attempt ends",
  "every message is acknowledged",
  "absence is not an end",
  "a lasting absence is an end",
  "a large share is never closed",
  "every status is listed to its end",
  "writes stop",
  "no head-of-line blocking",
  "a run awaits what it starts",
  "no run meets a bug",
  "a new order gets its own meal",
] as const;

type Invariant = (typeof INVARIANTS)[number];

export interface Violation {
  invariant: Invariant;
  message: string;
}

/** All that a run leaves to be judged. */
export interface Evidence {
  history: readonly Entry[];
  runs: readonly Run[];
  writes: readonly DocumentWrite[];
  documents: (path: string) => Fields | undefined;
  truth: GroundTruth;
  settings: Settings;
  /** Orders whose relation can't be read, and must stay as it is. */
  poisoned: ReadonlySet<string>;
  /** The state of each order at the horizon: the end of all faults, the longest backoff and two ticks. */
  stuckAtHorizon: readonly string[];
  /** Whether some message still came back when all was over. */
  unsettled: boolean;
  /** What the food service did not find, and when. */
  absences: readonly World["absences"][number][];
  /** The statuses that others than we and the customer gave to orders. */
  setByOthers: World["setByOthers"];
  /** Errors that only a bug throws. */
  bugs: readonly string[];
  /** The orders whose name the food service gave to a new one, and when. */
  replaced: World["replaced"];
  /** How many lists found no slot in time, by the number of their run: the next poll lists the rest of these statuses. */
  listsWithoutSlot: World["listsWithoutSlot"];
  /** How many writes there were when all was over; what comes after may only be looked at. */
  overAtWrite: number;
}

export function check(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const violate = (invariant: Invariant, message: string) => violations.push({ invariant, message });
  const keys = keysOf(evidence.truth);
  checkCreates(evidence, keys, violate);
  checkRuns(evidence, keys, violate);
  checkWrites(evidence, keys, violate);
  checkGivenUp(evidence, keys, violate);
  checkEnds(evidence, violate);
  checkMassAbsence(evidence, violate);
  checkPolls(evidence, violate);
  checkAwaited(evidence, violate);
  for (const bug of evidence.bugs) violate("no run meets a bug", bug);
  if (evidence.history.every(({ fault }) => fault === undefined)) checkPace(evidence, keys, violate);
  return violations;
}

type Violate = (invariant: Invariant, message: string) => void;

/** What a key belongs to. */
type Keys = ReadonlyMap<string, { order: string; stage: CreatingStage }>;

function keysOf(truth: GroundTruth): Keys {
  const keys = new Map<string, { order: string; stage: CreatingStage }>();
  for (const { name } of truth.orders) {
    for (const stage of CREATING_STAGES) keys.set(idempotencyKey(name, stage), { order: name, stage });
  }
  return keys;
}

const isCreate = ({ operation }: Pick<Entry, "operation">) =>
  operation === "createKitchenOrder" || operation === "createShipment";

/** Whether the process that sent it could be certain that a create was not carried out. */
function provablyNotApplied(entry: Entry): boolean {
  return entry.fault !== undefined && DECIDABLE.includes(entry.fault);
}

/** What operators decided, by the audit log. */
interface Decision {
  path: string;
  order: string;
  stage: CreatingStage;
  /** The link, undefined for a retry. */
  link: string | undefined;
  at: number;
}

function decisionsIn(writes: readonly DocumentWrite[]): Decision[] {
  return writes.flatMap(({ path, before, after, at }) => {
    if (!path.startsWith("audit/") || before || !after) return [];
    const { order, stage, action, name } = after;
    const link = action === "link" ? String(name) : undefined;
    return [{ path, order: String(order), stage: stage as CreatingStage, link, at }];
  });
}

function checkCreates(
  { history, runs, writes, truth, settings, replaced }: Evidence,
  keys: Keys,
  violate: Violate,
): void {
  const applied = new Map<string, number>();
  for (const { idempotencyKey: key } of allCreated(truth)) {
    applied.set(key ?? "", (applied.get(key ?? "") ?? 0) + 1);
  }
  const retries = decisionsIn(writes).filter(({ link }) => link === undefined);
  for (const [key, count] of applied) {
    const { order, stage } = keys.get(key) ?? {};
    const retried = retries.filter((retry) => retry.order === order && retry.stage === stage).length;
    if (!order) violate("at most one applied create", `a create with the key ${key} belongs to no order and stage`);
    else if (count > 1 + retried + (replaced.has(order) ? 1 : 0))
      violate("at most one applied create", `${order}: ${count} creates of its ${stage}`);
  }
  const policyOf = ({ run }: Entry) => runs[run - 1]?.policy ?? settings.CREATE_POLICY;
  const isKeyed = (entry: Entry) => policyOf(entry) === "idempotency-key";
  const sent = new Map<string, Entry>();
  for (const entry of history.filter(isCreate)) {
    const earlier = sent.get(entry.subject);
    const { order, stage } = keys.get(entry.subject) ?? {};
    const replacedAt = replaced.get(order ?? "") ?? Number.NEGATIVE_INFINITY;
    const wasReplaced = (since: Entry) => replacedAt >= since.at && replacedAt <= entry.at;
    const wasRetried = (since: Entry) =>
      retries.some(
        (retry) => retry.order === order && retry.stage === stage && retry.at >= since.at && retry.at <= entry.at,
      );
    if (earlier && !(isKeyed(earlier) && isKeyed(entry)) && !wasRetried(earlier) && !wasReplaced(earlier)) {
      violate("no blind resend", `effect ${entry.effect} sends again what effect ${earlier.effect} may have created`);
    }
    if (!provablyNotApplied(entry)) sent.set(entry.subject, entry);
  }
  checkParked({ history, writes, settings }, retries, violate);
}

/** An order is parked only after the food service rejected its create as often as the settings allow, since the last retry. */
function checkParked(
  { history, writes, settings }: Pick<Evidence, "history" | "writes" | "settings">,
  retries: readonly Decision[],
  violate: Violate,
): void {
  for (const { path, after, at } of writes) {
    if (!path.startsWith("attempts/") || after?.state !== "PARKED" || Number(after.tries) === 0) continue;
    if (isReasonCode((after.reason as { code?: string } | null | undefined)?.code)) continue;
    const { order, stage } = after as { order: string; stage: CreatingStage };
    const retriedAt =
      retries.findLast((retry) => retry.order === order && retry.stage === stage && retry.at <= at)?.at ?? 0;
    const key = idempotencyKey(order, stage);
    const rejections = history.filter(
      (entry) =>
        isCreate(entry) &&
        entry.subject === key &&
        (entry.fault === "refused" || entry.fault === "refused at length") &&
        entry.at >= retriedAt &&
        entry.at <= at,
    );
    if (rejections.length >= settings.CREATE_TRIES) continue;
    violate("parked only after rejections", `${path} was parked after ${rejections.length} rejections`);
  }
}

/** What one run of a handler saw and did, in order. */
function checkRuns({ history, runs, documents, truth, replaced }: Evidence, keys: Keys, violate: Violate): void {
  const byRun = new Map<number, Entry[]>();
  for (const entry of history) {
    const entries = byRun.get(entry.run) ?? [];
    entries.push(entry);
    byRun.set(entry.run, entries);
  }
  const kitchenKeys = new Map(truth.kitchenOrders.map(({ name, idempotencyKey }) => [name, idempotencyKey]));
  for (const { number, ended } of runs) {
    const entries = byRun.get(number) ?? [];
    const seen = new Map<string, OrderStatus>();
    for (const [index, entry] of entries.entries()) {
      if (entry.operation === "getOrder" && entry.result && entry.result in ORDER_STATUSES) {
        seen.set(entry.subject, entry.result as OrderStatus);
      }
      if (entry.operation === "updateOrder") checkReport(entry, seen, violate);
      if (!isCreate(entry)) continue;
      const { order = "", stage } = keys.get(entry.subject) ?? {};
      const status = seen.get(order);
      if (!status || ORDER_STATUSES[status].ended) {
        violate("no create after an end was seen", `effect ${entry.effect} creates for ${order}, seen as ${status}`);
      }
      const packaged = (read: Entry) =>
        read.operation === "getKitchenOrder" &&
        read.result === "PACKAGED" &&
        kitchenKeys.get(read.subject) === idempotencyKey(order, "kitchen");
      if (stage === "shipment" && !entries.slice(0, index).some(packaged)) {
        violate(
          "shipment only for a packaged meal",
          `effect ${entry.effect} ships ${order} without having seen its meal packaged`,
        );
      }
      const answered = entry.result !== undefined && entry.applied && entry.fault === undefined;
      if (answered && ended === "taken" && stage && !replaced.has(order)) {
        const link = documents(`relations/${order.slice(7)}`)?.[stage];
        const attempt = documents(`attempts/${stage}:${order.slice(7)}`)?.state;
        if (!link && attempt !== "UNCERTAIN" && attempt !== "SENDING") {
          violate("acknowledged work is durable", `${order}: its ${stage} was created, but nothing tells of it`);
        }
      }
    }
  }
}

function checkReport(entry: Entry, seen: ReadonlyMap<string, OrderStatus>, violate: Violate): void {
  const [order = "", target = ""] = entry.about.split(" ");
  const from = seen.get(order);
  const { rank: to } = ORDER_STATUSES[target as OrderStatus];
  const rank = from && ORDER_STATUSES[from].rank;
  const forward = rank !== undefined && to !== undefined && rank < to && !ORDER_STATUSES[from as OrderStatus].ended;
  if (!forward) violate("reports go forward", `effect ${entry.effect} reports ${target} for an order seen as ${from}`);
}

function checkWrites(
  { history, writes, truth, poisoned, absences, replaced }: Evidence,
  keys: Keys,
  violate: Violate,
): void {
  const owner = new Map<string, string>();
  for (const { name, idempotencyKey: key } of allCreated(truth)) owner.set(name, key ?? "");
  const linked = new Map<string, string>();
  for (const { path, before, after, at } of writes) {
    const [collection, id = "", below] = path.split("/");
    const believed = believedAbsence(path, before, after, writes);
    if (believed && !believed.names.some((name) => wasLongAbsent(name, at, absences))) {
      violate("absence is not an end", `${path} became ${believed.what}, but what was missing was absent only briefly`);
    }
    if (collection !== "relations" || below) continue;
    const order = `orders/${id}`;
    if (!after && at >= (replaced.get(order) ?? Number.POSITIVE_INFINITY)) continue;
    if (poisoned.has(order) && before) violate("unreadable documents stay untouched", `${path} was written`);
    for (const stage of CREATING_STAGES) {
      const was = before?.[stage];
      const is = after?.[stage];
      if (was === is || poisoned.has(order)) continue;
      // An operator had another one created because this one was lost.
      const isReplaced = (before?.discarded as Fields | null | undefined)?.[stage] === was;
      if (was !== undefined && !isReplaced)
        violate("link is final and true", `${path}: ${stage} changed from ${was} to ${is}`);
      const belongs = keys.get(owner.get(String(is)) ?? "");
      if (belongs?.order !== order || belongs.stage !== stage) {
        violate("link is final and true", `${path}: ${stage} is ${is}, which is not its own`);
      }
      const other = linked.get(String(is));
      if (other && other !== order) violate("link is final and true", `${is} is linked by ${other} and by ${order}`);
      linked.set(String(is), order);
    }
  }
  for (const { order, stage, link, at } of decisionsIn(writes)) {
    const path = `relations/${order.slice("orders/".length)}`;
    const relation = writes.findLast((write) => write.path === path && write.at <= at)?.after;
    if (link !== undefined && relation?.[stage] !== link) {
      violate("an operator's link is saved", `${order}: ${stage} is ${relation?.[stage]}, the operator linked ${link}`);
    }
  }
  for (const { operation, about, subject, effect } of history) {
    const order = operation === "updateOrder" ? (about.split(" ")[0] ?? "") : (keys.get(subject)?.order ?? "");
    if (poisoned.has(order))
      violate("unreadable documents stay untouched", `effect ${effect} ${operation} for ${order}`);
  }
}

/** What a write takes for gone: an order that is closed as GONE, or what an order is parked for. The names are those that may be meant. */
function believedAbsence(
  path: string,
  before: Fields | undefined,
  after: Fields | undefined,
  writes: readonly DocumentWrite[],
): { what: string; names: string[] } | undefined {
  const id = path.slice(path.search(/[/:]/) + 1).replace(/^(kitchen|shipment):/, "");
  if (!/^(relations|attempts)\/[^/]+$/.test(path)) return undefined;
  if (after?.state === "GONE" && before?.state !== "GONE") return { what: "GONE", names: [`orders/${id}`] };
  if (after?.state !== "PARKED" || before?.state === "PARKED") return undefined;
  const code = (after.reason as Fields | null | undefined)?.code;
  if (code === "ORDER_NOT_FOUND" || code === "ORDER_UNREADABLE") return { what: code, names: [`orders/${id}`] };
  if (code !== "LINK_NOT_FOUND") return undefined;
  const linked = writes.flatMap((write) =>
    write.path === `relations/${id}` ? CREATING_STAGES.map((stage) => String(write.after?.[stage])) : [],
  );
  return { what: code, names: linked };
}

/** Looks that find nothing are spread over at least so long, whatever the clocks say. */
const LEAST_ABSENCE_MS = 480_000;

/** The latest look may be so long ago when its consequences are written. */
const LOOK_AGE_MS = 300_000;

/** Whether a name was absent lately, and for the first time long before: in between it need not have been looked for. */
function wasLongAbsent(name: string, at: number, absences: Evidence["absences"]): boolean {
  const own = absences.filter((absence) => (absence.name ?? name) === name && absence.from <= at);
  return own.some(({ until }) => until >= at - LOOK_AGE_MS) && own.some(({ from }) => from <= at - LEAST_ABSENCE_MS);
}

/** Documents that are written on a schedule, whatever the orders do. */
const NOT_ABOUT_ORDERS = /^(leases|statistics)\//;

/** Attempts that say that nothing was created. */
const GIVEN_UP = ["FAILED", "PARKED", "CLOSED"];

function checkGivenUp({ writes, documents, truth, absences, replaced }: Evidence, keys: Keys, violate: Violate): void {
  const createdAt = new Map<string, number>();
  for (const { name, idempotencyKey: key, createdAt: at } of allCreated(truth).reverse()) {
    const { order = "", stage } = keys.get(key ?? "") ?? {};
    // An operator may decide otherwise about what is lost.
    if (!isLostForGood(name, { absences }) && !replaced.has(order))
      createdAt.set(`attempts/${stage}:${order.slice(7)}`, Date.parse(at));
  }
  const isLinked = (path: string) => {
    const [stage = "", id = ""] = path.slice("attempts/".length).split(":");
    return documents(`relations/${id}`)?.[stage] !== undefined;
  };
  // An attempt may also say that an order needs an operator for a reason of ours, whatever was created.
  const isOurReason = (fields: Fields | undefined) =>
    isReasonCode((fields?.reason as { code?: string } | null | undefined)?.code);
  const ofOurs = new Set(writes.flatMap(({ path, after }) => (isOurReason(after) ? [path] : [])));
  for (const { path, after, at } of writes) {
    const created = createdAt.get(path);
    if (created === undefined || created > at || ofOurs.has(path)) continue;
    if (after ? !GIVEN_UP.includes(String(after.state)) : isLinked(path)) continue;
    violate(
      "given up only if nothing was created",
      `${path} became ${after?.state ?? "nothing"} though its create was carried out`,
    );
  }
}

/** Faults that leave no doubt about a create: its outcome was reported, if late. */
const REPORTED: readonly (Fault | undefined)[] = [undefined, "pause", "suspend", "cancel", ...DECIDABLE];

/**
 * Whether a run may not know the outcome of its create, given its effects from its claim on: it died, the create's answer
 * was inconclusive, its claim came late, or the store failed it again and again.
 */
function wasDoubtful(entries: readonly Entry[], run: Run): boolean {
  if (run.ended === "lost" || run.ended === "running") return true;
  if (entries.some((entry) => isCreate(entry) && !REPORTED.includes(entry.fault))) return true;
  const troubled = entries.filter(
    ({ operation, fault }) => !isCreate({ operation }) && (fault === "outage" || !REPORTED.includes(fault)),
  );
  return troubled.length > 1 || troubled.some(({ fault }) => fault === "late");
}

/** Whether a run stood still with a claim until another one took it over, which can't know what had been sent by then. */
function wasTakenOver(own: readonly Entry[], claims: readonly Entry[]): boolean {
  const index = own.findIndex(({ fault }) => fault === "pause" || fault === "suspend");
  const [paused, next] = own.slice(index);
  if (index === -1 || !paused) return false;
  const during = ({ at }: Entry) => at > paused.at && at < (next?.at ?? Number.POSITIVE_INFINITY);
  return claims.some(
    (entry) => entry.run !== paused.run && entry.operation === "commit" && entry.applied && during(entry),
  );
}

/** So many relations may be closed as GONE at a time though the food service finds no order: one, or a fifth of those that are open. */
function checkMassAbsence({ writes, absences, poisoned }: Evidence, violate: Violate): void {
  const open = new Set<string>();
  let gone: number[] = [];
  for (const { path, after, at } of writes) {
    if (!/^relations\/[^/]+$/.test(path) || poisoned.has(path.replace("relations", "orders"))) continue;
    const state = after?.state as RelationState | undefined;
    if (state === "GONE" && absences.some(({ name, from, until }) => !name && from <= at && at <= until)) {
      gone = [...gone.filter((earlier) => earlier > at - TICK_MS), at];
      const most = Math.max(1, Math.ceil((open.size + gone.length) / 5));
      if (gone.length > most) {
        violate(
          "a large share is never closed",
          `${path} is closed with ${gone.length - 1} others of ${open.size} open ones`,
        );
      }
    }
    if (state && RELATION_STATES[state].open) open.add(path);
    else open.delete(path);
  }
}

const CHANGES: readonly Operation[] = ["commit", "updateOrder", "createKitchenOrder", "createShipment", "publish"];

/** When a run was taken, all that it changed was over: the platform gives a process no time after its response. */
function checkAwaited({ history, runs }: Evidence, violate: Violate): void {
  const late = (number: number, { effect, operation, about }: Entry) =>
    violate("a run awaits what it starts", `run ${number} did not await effect ${effect} ${operation} ${about}`);
  for (const { number, pending } of runs)
    for (const entry of pending) if (CHANGES.includes(entry.operation)) late(number, entry);
  for (const entry of history) {
    const run = runs[entry.run - 1];
    if (run?.ended === "taken" && entry.effect >= run.endedBefore) late(run.number, entry);
  }
}

/** Faults of a listing: they concern its own status and nothing else. */
const ofListing = ({ operation }: Entry) => operation === "listOrders";

/**
 * Every status is listed, page after page; what time did not suffice for is passed on, whatever fails beside it. Only a list that finds no
 * slot ends early.
 */
function checkPolls({ history, runs, listsWithoutSlot }: Evidence, violate: Violate): void {
  const polls = runs.filter(({ kind }) => kind === "poll" || kind === "continuation");
  const byRun = new Map<number, Entry[]>(polls.map(({ number }) => [number, []]));
  for (const entry of history) byRun.get(entry.run)?.push(entry);
  /** What runs passed on, by status and token. */
  const passedOn = history.flatMap(({ published }) =>
    published && "positions" in published ? published.positions : [],
  );
  for (const run of polls) {
    const entries = byRun.get(run.number) ?? [];
    const lists = entries.filter(ofListing);
    if (lists.length === 0) continue;
    const problem = (message: string) => violate("every status is listed to its end", `run ${run.number} ${message}`);
    const troubled = entries.filter((entry) => entry.fault !== undefined && !ofListing(entry));
    if (run.ended === "thrown" && troubled.length === 0) problem("ended because of a page");
    if (run.ended !== "taken") continue;
    const firsts = new Map<string, string>();
    for (const { subject, about } of lists)
      if (!firsts.has(subject)) firsts.set(subject, about.slice(subject.length + 1));
    if (run.kind === "continuation") {
      // What it goes on with was passed on; a status may also be listed again from its beginning.
      for (const [status, token] of firsts) {
        if (token && !passedOn.some((position) => position.status === status && position.pageToken === token))
          problem(`lists ${status} from ${token}, which no run passed on`);
      }
      if (
        ![...firsts].some(([status, token]) =>
          passedOn.some((position) => position.status === status && position.pageToken === token),
        )
      )
        problem("starts over");
    }
    const published = new Set(
      entries.flatMap(({ published }) => (published && "orders" in published ? published.orders : [])),
    );
    const continuation = entries.flatMap(({ published }) =>
      published && "positions" in published ? published.positions : [],
    );
    const left = ACTIVE_STATUSES.filter(
      (status) => !firsts.has(status) && !continuation.some((position) => position.status === status),
    );
    const dropped = run.kind === "poll" ? left.map((status) => `neither listed ${status} nor passed it on`) : [];
    for (const status of firsts.keys()) {
      const last = lists.findLast(({ subject }) => subject === status);
      const next = last?.fault === undefined ? (last?.page?.next ?? "") : "";
      const isPassedOn = continuation.some((position) => position.status === status && position.pageToken === next);
      if (next !== "" && !isPassedOn)
        dropped.push(`stopped at the page ${next} of ${status} and passed it on to no run`);
    }
    if (dropped.length > (listsWithoutSlot.get(run.number) ?? 0)) for (const message of dropped) problem(message);
    for (const { page, fault } of lists) {
      for (const { name, status } of fault === undefined ? (page?.orders ?? []) : []) {
        if (isActive(status) && !published.has(name)) problem(`listed ${name} and did not publish it`);
      }
    }
  }
}

const isActive = (status: string) => (ACTIVE_STATUSES as string[]).includes(status);

function isLostForGood(name: string, { absences }: Pick<Evidence, "absences">): boolean {
  return absences.some((absence) => absence.name === name && absence.until === Number.POSITIVE_INFINITY);
}

function checkEnds(evidence: Evidence, violate: Violate): void {
  const { truth, documents, history, runs, writes, poisoned, stuckAtHorizon, overAtWrite, unsettled } = evidence;
  if (unsettled) violate("every message is acknowledged", "messages still come back when all is over");
  const shipments = new Map(truth.shipments.map(({ name, status }) => [name, status]));
  for (const message of stuckAtHorizon) violate("every order moves on", message);
  for (const { name, status, changes } of truth.orders) {
    if (poisoned.has(name)) continue;
    const relation = documents(`relations/${name.slice(7)}`);
    const state = relation?.state as RelationState | undefined;
    if (isLostForGood(name, evidence)) {
      checkLost(evidence, name, state, violate);
      continue;
    }
    if (ORDER_STATUSES[status].ended && state && RELATION_STATES[state].open) {
      violate("relations of ended orders are closed", `${name} is ${status}, its relation is ${state}`);
    }
    for (const [what, path] of state && relation ? entriesOf(name, state, relation) : []) {
      if (documents(path)?.order === name) continue;
      violate("the history records every state", `${name} has no entry of its own for ${what}`);
    }
    const outcome = shipments.get(String(relation?.shipment));
    if (evidence.replaced.has(name)) {
      checkReplaced(evidence, name, relation, violate);
      continue;
    }
    if (state === "CANCELLED" && !changes.some((change) => change.status === "CANCELLED")) {
      violate("an order ends as its shipment did", `${name}: its relation is CANCELLED, the order never was`);
    }
    const isByOthers = evidence.setByOthers.some((change) => change.order === name && change.status === state);
    if ((state === "DELIVERED" || state === "REJECTED") && outcome !== state && !isByOthers) {
      violate("an order ends as its shipment did", `${name}: its relation is ${state}, its shipment ${outcome}`);
    }
    for (const stage of CREATING_STAGES) {
      const attempt = documents(`attempts/${stage}:${name.slice(7)}`);
      if (!attempt) continue;
      if (attempt.state === "SENDING" || attempt.state === "FAILED") {
        violate("every attempt ends", `${name}: its ${stage} attempt is ${attempt.state} when all is over`);
      }
      const code = (attempt.reason as Fields | null | undefined)?.code;
      const names = code === "LINK_NOT_FOUND" ? CREATING_STAGES.map((linked) => String(relation?.[linked])) : [name];
      const isAbsence = code === "LINK_NOT_FOUND" || code === "ORDER_NOT_FOUND" || code === "ORDER_UNREADABLE";
      if (attempt.state === "PARKED" && isAbsence && !names.some((lost) => isLostForGood(lost, evidence))) {
        violate("every attempt ends", `${name}: its ${stage} attempt is ${code}, but nothing is lost`);
      }
      if (attempt.state !== "UNCERTAIN") continue;
      const key = idempotencyKey(name, stage);
      const claims = history.filter(
        (entry) => entry.about.includes(`attempts/${stage}:${name.slice(7)}`) || entry.subject === key,
      );
      const involved = runs.filter(({ number }) => claims.some(({ run }) => run === number));
      const justified = involved.some((run) => {
        const own = history.filter((entry) => entry.run === run.number && sinceClaim(entry, history, stage, name));
        return wasDoubtful(own, run) || wasTakenOver(own, claims);
      });
      if (!justified)
        violate("uncertain only if undecidable", `${name}: its ${stage} is UNCERTAIN, but its outcome was known`);
    }
  }
  for (const { path } of writes.slice(overAtWrite)) {
    if (!NOT_ABOUT_ORDERS.test(path)) violate("writes stop", `${path} was written when all was over`);
  }
}

/** What an order has that was placed under an earlier one's name was created after that, unless its relation is still the earlier one's. */
function checkReplaced(
  { truth, replaced, writes }: Evidence,
  order: string,
  relation: Fields | undefined,
  violate: Violate,
) {
  const replacedAt = replaced.get(order) ?? 0;
  // A relation that said nothing of the earlier order's time can't tell the two apart.
  const path = `relations/${order.slice("orders/".length)}`;
  const earlier = writes.findLast((write) => write.path === path && write.at <= replacedAt);
  if (earlier?.after && !(earlier.after.placedAt instanceof Date)) return;
  if (!(relation?.placedAt instanceof Date) || relation.placedAt.getTime() < replacedAt) return;
  const links = CREATING_STAGES.map((stage) => relation[stage]);
  for (const { name, createdAt } of allCreated(truth)) {
    if (!links.includes(name) || Date.parse(createdAt) >= replacedAt) continue;
    violate("a new order gets its own meal", `${order} was placed anew, and is linked to ${name} of the earlier order`);
  }
}

/** A lasting absence closes a relation, or asks an operator: whether or not something was created. */
function checkLost({ documents }: Evidence, name: string, state: RelationState | undefined, violate: Violate): void {
  const attempts = CREATING_STAGES.map((stage) => documents(`attempts/${stage}:${name.slice(7)}`));
  const isAsked = attempts.some(
    (attempt) => attempt?.state === "PARKED" || attempt?.state === "UNCERTAIN" || attempt?.isDismissed,
  );
  if (state && RELATION_STATES[state].open && !isAsked) {
    violate("a lasting absence is an end", `${name} is lost for good, its relation is ${state}`);
  }
}

/** The entries that the history must have of a relation: for each link, and for its end. */
function entriesOf(order: string, state: RelationState, relation: Fields): [what: string, path: string][] {
  const links = CREATING_STAGES.filter((stage) => relation[stage] !== undefined);
  const entries = links.map((stage): [string, string] => [stage, linkEntryPath(stage, String(relation[stage]))]);
  return RELATION_STATES[state].open ? entries : [...entries, [state, closingEntry(order, state, 0).path]];
}

function sinceClaim(entry: Entry, history: readonly Entry[], stage: CreatingStage, name: string): boolean {
  const path = `attempts/${stage}:${name.slice(7)}`;
  const claim = history.find(
    (other) => other.run === entry.run && other.operation === "commit" && other.about.includes(path),
  );
  return claim !== undefined && entry.effect >= claim.effect;
}

/** Where no fault struck, each healthy order takes each step within a tick, whatever stands beside it. */
function checkPace({ truth, poisoned }: Evidence, keys: Keys, violate: Violate): void {
  const placed = new Map(truth.orders.map(({ name, changes }) => [name, Date.parse(changes[0]?.at ?? "")]));
  const packaged = new Map<string, number>();
  for (const { idempotencyKey: key, changes, createdAt } of truth.kitchenOrders) {
    const order = keys.get(key ?? "")?.order ?? "";
    inTime("kitchen", order, placed.get(order), Date.parse(createdAt));
    packaged.set(order, Date.parse(changes.find(({ status }) => status === "PACKAGED")?.at ?? ""));
  }
  for (const { idempotencyKey: key, createdAt } of truth.shipments) {
    const order = keys.get(key ?? "")?.order ?? "";
    inTime("shipment", order, packaged.get(order), Date.parse(createdAt));
  }
  function inTime(stage: string, order: string, due = 0, at: number): void {
    if (poisoned.has(order) || at - due <= TICK_MS + SECOND_MS) return;
    violate("no head-of-line blocking", `${order}: its ${stage} came ${(at - due) / SECOND_MS} s after it was due`);
  }
}

const SECOND_MS = 1000;

/** How long after the last fault every order must have advanced. */
export const GRACE_MS = MAX_BACKOFF_MS + 2 * TICK_MS;
