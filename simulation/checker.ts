/**
 * Checks a finished run against the invariants. It reads the recorded history, the documents and the food service's own
 * state, and depends on nothing of the handlers' implementation.
 */

import { auditPath } from "../functions/src/attempts/audit.js";
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
import { reasonCodeOf } from "./coverage.js";
import { DECIDABLE, type Fault, keyOfOthers, type Operation } from "./faults.js";
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
  "a create ends within its lease",
  "the order is read last",
  "what prevents a create does not expire",
  "a claim belongs to its run until its lease ends",
  "an operator decides about what they saw",
  "one poll at a time",
  "a brief reappearance reopens nothing",
  "a dismissal stands",
  "repeated failures ask an operator",
  "a decision has its effect",
  "what waits for an operator stays",
  "what is closed stays closed",
  "no status starves",
  "a poll releases its lease",
  "an unusable name is parked",
] as const;

type Invariant = (typeof INVARIANTS)[number];

export interface Violation {
  invariant: Invariant;
  message: string;
}

/** A write to the store. */
export interface RecordedWrite extends DocumentWrite {
  /** The number of the run that made it, 0 if another program did; undefined if that is not known. */
  run?: number;
  /** The document's version before. */
  version?: string | undefined;
}

/** Everything that a run is judged by. */
export interface Evidence {
  history: readonly Entry[];
  runs: readonly Run[];
  writes: readonly RecordedWrite[];
  documents: (path: string) => Fields | undefined;
  truth: GroundTruth;
  settings: Settings;
  /** The largest CREATE_TRIES that was deployed. */
  maxCreateTries: number;
  /** Orders whose relation is unreadable and must stay unchanged. */
  poisoned: ReadonlySet<string>;
  /** The state of each order at the horizon: the end of all faults, the longest backoff and two ticks. */
  stuckAtHorizon: readonly string[];
  /** Whether a message was still being redelivered at the end. */
  unsettled: boolean;
  /** The names that the food service did not find, and when. */
  absences: readonly World["absences"][number][];
  /** The order statuses that other programs set. */
  setByOthers: World["setByOthers"];
  /** Errors that only a bug throws. */
  bugs: readonly string[];
  /** The orders whose name the food service gave to a new order, and when. */
  replaced: World["replaced"];
  /** The attempts and their versions that operators saw, by the keys of their decisions. */
  decisions: World["decisions"];
  /** By run number, how many lists got no slot in time. The next poll lists the rest of these statuses. */
  listsWithoutSlot: World["listsWithoutSlot"];
  /** When all was over. After it, the system may only read. */
  over: Moment;
}

/** A moment of a run, by how many writes and how many effects there were before it. */
export interface Moment {
  write: number;
  effect: number;
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
  checkOnePoll(evidence, violate);
  checkClaims(evidence, violate);
  checkDecisions(evidence, violate);
  checkDismissals(evidence, violate);
  checkEffects(evidence, violate);
  checkRepeatedFailures(evidence, violate);
  checkWaiting(evidence, violate);
  checkClosed(evidence, violate);
  checkStarvation(evidence, violate);
  checkReopened(evidence, violate);
  checkAwaited(evidence, violate);
  for (const bug of evidence.bugs) violate("no run meets a bug", bug);
  if (evidence.history.every(({ fault }) => fault === undefined)) checkPace(evidence, keys, violate);
  return violations;
}

type Violate = (invariant: Invariant, message: string) => void;

/** The order and the stage of each idempotency key. */
type Keys = ReadonlyMap<string, { order: string; stage: CreatingStage }>;

function keysOf(truth: GroundTruth): Keys {
  const keys = new Map<string, { order: string; stage: CreatingStage }>();
  for (const { name } of truth.orders) {
    for (const stage of CREATING_STAGES) {
      const key = idempotencyKey(name, stage);
      keys.set(key, { order: name, stage });
      keys.set(keyOfOthers(key), { order: name, stage });
    }
  }
  return keys;
}

const idOf = (order: string) => order.slice("orders/".length);

const relationPathOf = (order: string) => `relations/${idOf(order)}`;

const attemptPathOf = (stage: string | undefined, order: string) => `attempts/${stage}:${idOf(order)}`;

function entriesByRun(history: readonly Entry[]): ReadonlyMap<number, readonly Entry[]> {
  const byRun = new Map<number, Entry[]>();
  for (const entry of history) {
    const entries = byRun.get(entry.run);
    if (entries) entries.push(entry);
    else byRun.set(entry.run, [entry]);
  }
  return byRun;
}

/** Whether an operator dismissed an attempt, even if it was opened again for another reason. */
const isDismissed = (attempt: Fields | undefined) => Boolean(attempt?.isDismissed || attempt?.dismissedFor);

const isCreate = ({ operation }: Pick<Entry, "operation">) =>
  operation === "createKitchenOrder" || operation === "createShipment";

/** Whether the process that sent a create could know that it was not applied. */
function provablyNotApplied(entry: Entry): boolean {
  return entry.fault !== undefined && DECIDABLE.includes(entry.fault);
}

/** An operator's decision, from the audit log. */
interface Decision {
  path: string;
  order: string;
  stage: CreatingStage;
  /** The linked name; undefined for a retry. */
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

function checkCreates(evidence: Evidence, keys: Keys, violate: Violate): void {
  const retries = decisionsIn(evidence.writes).filter(({ link }) => link === undefined);
  checkAppliedOnce(evidence, keys, retries, violate);
  checkResends(evidence, keys, retries, violate);
  checkLeases(evidence, keys, violate);
  checkExpiry(evidence, violate);
  checkParked(evidence, retries, violate);
}

/**
 * A stage's create is applied once, and once more for each retry that an operator decided on and for a new order with the same name. What
 * the food service had lost for good before the last create no longer counts: it forgot the key with it.
 */
function checkAppliedOnce(
  { truth, replaced, absences }: Evidence,
  keys: Keys,
  retries: readonly Decision[],
  violate: Violate,
): void {
  const wasLostBy = (name: string, time: number) =>
    absences.some((absence) => absence.name === name && isForGood(absence) && absence.from <= time);
  for (const [key, created] of Map.groupBy(allCreated(truth), ({ idempotencyKey }) => idempotencyKey ?? "")) {
    const latest = Math.max(...created.map(({ createdAt }) => Date.parse(createdAt)));
    const count = created.filter(({ name }) => !wasLostBy(name, latest)).length;
    const { order, stage } = keys.get(key) ?? {};
    const retried = retries.filter((retry) => retry.order === order && retry.stage === stage).length;
    if (!order) violate("at most one applied create", `a create with the key ${key} belongs to no order and stage`);
    else if (count > 1 + retried + (replaced.has(order) ? 1 : 0))
      violate("at most one applied create", `${order}: ${count} creates of its ${stage}`);
  }
}

/** A create that may have been applied is sent again only with an honored key, after an operator's retry, or for a new order. */
function checkResends(
  { history, runs, settings, replaced }: Evidence,
  keys: Keys,
  retries: readonly Decision[],
  violate: Violate,
): void {
  const isKeyed = ({ run }: Entry) => (runs[run - 1]?.policy ?? settings.CREATE_POLICY) === "idempotency-key";
  const wasRetriedBetween = (earlier: Entry, later: Entry) => {
    const { order, stage } = keys.get(later.subject) ?? {};
    const isBetween = (at: number) => at >= earlier.at && at <= later.at;
    return (
      isBetween(replaced.get(order ?? "") ?? Number.NaN) ||
      // For a new order with the same name, a retry starts both stages anew.
      retries.some(
        (retry) => retry.order === order && (retry.stage === stage || replaced.has(retry.order)) && isBetween(retry.at),
      )
    );
  };
  const mayHaveBeenApplied = new Map<string, Entry>();
  for (const entry of history.filter(isCreate)) {
    const earlier = mayHaveBeenApplied.get(entry.subject);
    if (earlier && !(isKeyed(earlier) && isKeyed(entry)) && !wasRetriedBetween(earlier, entry)) {
      violate("no blind resend", `effect ${entry.effect} sends again what effect ${earlier.effect} may have created`);
    }
    if (!provablyNotApplied(entry)) mayHaveBeenApplied.set(entry.subject, entry);
  }
}

const REFUSALS: readonly (Fault | undefined)[] = ["refused", "refused at length", "refused again"];

/** An order is parked only after the food service rejected its create CREATE_TRIES times since the last retry. */
function checkParked(
  { history, writes, settings }: Pick<Evidence, "history" | "writes" | "settings">,
  retries: readonly Decision[],
  violate: Violate,
): void {
  for (const { path, after, at } of writes) {
    if (!path.startsWith("attempts/") || after?.state !== "PARKED" || Number(after.tries) === 0) continue;
    if (isReasonCode(reasonCodeOf(after))) continue;
    const { order, stage } = after as { order: string; stage: CreatingStage };
    const retriedAt =
      retries.findLast((retry) => retry.order === order && retry.stage === stage && retry.at <= at)?.at ?? 0;
    const key = idempotencyKey(order, stage);
    const rejections = history.filter(
      (entry) =>
        isCreate(entry) &&
        entry.subject === key &&
        REFUSALS.includes(entry.fault) &&
        entry.at >= retriedAt &&
        entry.at <= at,
    );
    if (rejections.length >= settings.CREATE_TRIES) continue;
    violate("parked only after rejections", `${path} was parked after ${rejections.length} rejections`);
  }
}

/** Some claim covers each create until its deadline: no other process takes the claim over while the create may still arrive. */
function checkLeases({ history, writes }: Evidence, keys: Keys, violate: Violate): void {
  const leases = new Map<string, number[]>();
  for (const { path, after } of writes) {
    const until = path.startsWith("attempts/") && after?.state === "SENDING" ? after.leaseUntil : undefined;
    if (until instanceof Date) leases.set(path, [...(leases.get(path) ?? []), until.getTime()]);
  }
  for (const { operation, subject, effect, deadline = 0 } of history) {
    const { order = "", stage } = keys.get(subject) ?? {};
    if (!isCreate({ operation }) || leases.get(attemptPathOf(stage, order))?.some((until) => until >= deadline))
      continue;
    violate("a create ends within its lease", `effect ${effect} creates for ${order} until after its lease`);
  }
}

/** A time-to-live policy deletes only attempts that are over: any other one still prevents a create. */
function checkExpiry({ writes }: Evidence, violate: Violate): void {
  for (const { path, after } of writes) {
    if (!path.startsWith("attempts/") || !after?.expireAt) continue;
    if (after.state === "CLOSED" && !isDismissed(after)) continue;
    violate("what prevents a create does not expire", `${path} is ${after.state} and expires`);
  }
}

/** What a run has seen so far. */
interface Seen {
  /** The latest status of each order. */
  statuses: Map<string, OrderStatus>;
  /** The orders whose meal was packaged. */
  packaged: Set<string>;
  /** The orders whose status was read after the status of their meal. */
  readLast: Set<string>;
}

/** Judges each effect of a run by what the run had seen before. */
function checkRuns(evidence: Evidence, keys: Keys, violate: Violate): void {
  const byRun = entriesByRun(evidence.history);
  const mealOwners = kitchenOrderOwners(evidence.truth, keys);
  for (const run of evidence.runs) {
    const seen: Seen = { statuses: new Map(), packaged: new Set(), readLast: new Set() };
    for (const entry of byRun.get(run.number) ?? []) {
      addToSeen(seen, entry, mealOwners);
      if (entry.operation === "updateOrder") checkReport(entry, seen.statuses, violate);
      if (!isCreate(entry)) continue;
      checkCreateAllowed(entry, keys, seen, violate);
      if (run.ended === "taken") checkCreateRecorded(entry, keys, evidence, violate);
    }
  }
}

/** The order that each kitchen order was created for. */
function kitchenOrderOwners({ kitchenOrders }: GroundTruth, keys: Keys): ReadonlyMap<string, string | undefined> {
  return new Map(
    kitchenOrders.map(({ name, idempotencyKey: key }) => {
      const owner = keys.get(key ?? "");
      return [name, owner?.stage === "kitchen" ? owner.order : undefined];
    }),
  );
}

function addToSeen(seen: Seen, entry: Entry, mealOwners: ReadonlyMap<string, string | undefined>): void {
  const { operation, subject, result } = entry;
  if (operation === "getOrder" && result && result in ORDER_STATUSES) seen.statuses.set(subject, result as OrderStatus);
  if (operation === "getOrder") seen.readLast.add(subject);
  const owner = operation === "getKitchenOrder" ? mealOwners.get(subject) : undefined;
  if (owner === undefined) return;
  seen.readLast.delete(owner);
  if (result === "PACKAGED") seen.packaged.add(owner);
}

function checkCreateAllowed({ subject, effect }: Entry, keys: Keys, seen: Seen, violate: Violate): void {
  const { order = "", stage } = keys.get(subject) ?? {};
  const status = seen.statuses.get(order);
  if (!status || ORDER_STATUSES[status].ended) {
    violate("no create after an end was seen", `effect ${effect} creates for ${order}, seen as ${status}`);
  }
  if (stage === "shipment" && !seen.packaged.has(order)) {
    violate("shipment only for a packaged meal", `effect ${effect} ships ${order} before it saw the meal packaged`);
  }
  if (!seen.readLast.has(order)) {
    violate("the order is read last", `effect ${effect} creates for ${order}, whose meal was read after the order`);
  }
}

/** A message may be acknowledged only after its create is recorded: as a link, or as an attempt that is still open. */
function checkCreateRecorded(entry: Entry, keys: Keys, { documents, replaced }: Evidence, violate: Violate): void {
  const target = keys.get(entry.subject);
  const isAnswered = entry.result !== undefined && entry.applied && entry.fault === undefined;
  if (!target || !isAnswered || replaced.has(target.order)) return;
  const { order, stage } = target;
  const link = documents(relationPathOf(order))?.[stage];
  const attempt = documents(attemptPathOf(stage, order))?.state;
  if (link || attempt === "UNCERTAIN" || attempt === "SENDING") return;
  if (isDismissed(documents(attemptPathOf(stage, order)))) return;
  violate("acknowledged work is durable", `${order}: its ${stage} was created, but no document records it`);
}

function checkReport(entry: Entry, seen: ReadonlyMap<string, OrderStatus>, violate: Violate): void {
  const [order = "", target = ""] = entry.about.split(" ");
  const from = seen.get(order);
  const { rank: to } = ORDER_STATUSES[target as OrderStatus];
  const rank = from && ORDER_STATUSES[from].rank;
  const forward = rank !== undefined && to !== undefined && rank < to && !ORDER_STATUSES[from as OrderStatus].ended;
  if (!forward) violate("reports go forward", `effect ${entry.effect} reports ${target} for an order seen as ${from}`);
}

function checkWrites(evidence: Evidence, keys: Keys, violate: Violate): void {
  const { history, writes, truth, poisoned, absences, replaced } = evidence;
  const ownerOf = ownersOfCreated(truth, keys);
  const linkedBy = new Map<string, string>();
  const noticed = noticedIn(evidence);
  const decided = decidedRuns(writes);
  for (const write of writes) {
    checkBelievedAbsence(write, writes, absences, noticed, violate);
    const [collection, id = "", below] = write.path.split("/");
    if (collection !== "relations" || below) continue;
    const order = `orders/${id}`;
    // The relation of an earlier order with this name makes room for the new one's.
    if (!write.after && write.at >= (replaced.get(order) ?? Number.POSITIVE_INFINITY)) continue;
    if (!poisoned.has(order)) checkLinks(order, write, ownerOf, linkedBy, decided, violate);
    else if (write.before) violate("unreadable documents stay untouched", `${write.path} was written`);
  }
  checkOperatorLinks(writes, violate);
  for (const { operation, about, subject, effect } of history) {
    const order = operation === "updateOrder" ? (about.split(" ")[0] ?? "") : (keys.get(subject)?.order ?? "");
    if (poisoned.has(order))
      violate("unreadable documents stay untouched", `effect ${effect} ${operation} for ${order}`);
  }
}

/** The order and the stage that each kitchen order and each shipment was created for. */
function ownersOfCreated(truth: GroundTruth, keys: Keys) {
  return new Map(allCreated(truth).map(({ name, idempotencyKey: key }) => [name, keys.get(key ?? "")]));
}

function checkBelievedAbsence(
  { path, before, after, at }: DocumentWrite,
  writes: readonly DocumentWrite[],
  absences: Evidence["absences"],
  noticed: Noticed,
  violate: Violate,
): void {
  const believed = believedAbsence(path, before, after, writes);
  if (!believed || believed.names.some((name) => wasLongAbsent(name, at, absences, noticed(name, at)))) return;
  violate("absence is not an end", `${path} became ${believed.what}, but what was missing was absent only briefly`);
}

/** The last time before which a name was certainly there: it can have been absent only since then. */
type Noticed = (name: string, before: number) => number;

/** This many lookups that find a name end an earlier absence. One alone may lose to a concurrent write and go unsaved. */
const NOTICED_LOOKS = 2;

/** Finds out when names were seen: orders by sweeps that met no fault, kitchen orders and shipments by runs that read their relation. */
function noticedIn({ history, runs, absences }: Evidence): Noticed {
  let sweeps: { from: number; to: number }[] | undefined;
  const byRun = entriesByRun(history);
  const cleanSweeps = () =>
    runs.flatMap(({ kind, ended, number }) => {
      const entries = byRun.get(number) ?? [];
      const isClean = entries.every(({ fault, result }) => fault === undefined && result !== undefined);
      const [from, to] = [entries[0]?.at ?? 0, entries.at(-1)?.at ?? 0];
      return kind === "sweep" && ended === "taken" && isClean && entries.some(isListing) ? [{ from, to }] : [];
    });
  const isThere = (name: string, from: number, to: number) =>
    !absences.some((absence) => (absence.name ?? name) === name && absence.from <= to && absence.until >= from);
  return (name, before) => {
    if (name.startsWith("orders/")) {
      sweeps ??= cleanSweeps();
      return sweeps.filter(({ from, to }) => to < before && isThere(name, from, to)).at(-NOTICED_LOOKS)?.from ?? 0;
    }
    const looks = history.filter(({ subject, at, run, result }) => {
      if (subject !== name || at >= before || !isActiveReply(result)) return false;
      const isClean = byRun.get(run)?.every(({ fault }) => fault === undefined);
      return (
        isClean && runs[run - 1]?.ended === "taken" && byRun.get(run)?.some(({ operation }) => operation === "read")
      );
    });
    return looks.at(-NOTICED_LOOKS)?.at ?? 0;
  };
}

/** Whether a reply is a status: then the name was found. */
const isActiveReply = (result: string | undefined) => result !== undefined && /^[A-Z_]+$/.test(result);

/** Each link names what was created for this order and stage, is linked by no other order, and never changes. */
function checkLinks(
  order: string,
  { path, before, after, run }: RecordedWrite,
  ownerOf: ReturnType<typeof ownersOfCreated>,
  linkedBy: Map<string, string>,
  decided: ReturnType<typeof decidedRuns>,
  violate: Violate,
): void {
  const missing = (troubleOf(before).missingLink as Fields | undefined)?.name;
  for (const stage of CREATING_STAGES) {
    const was = before?.[stage];
    const is = after?.[stage];
    if (was === is) continue;
    // An operator may have had a replacement created for a lost one, or have found one.
    const isDiscarded = (before?.discarded as Fields | null | undefined)?.[stage] === was;
    const isReplaced = isDiscarded || (decided.has(run) && missing === was);
    if (was !== undefined && !isReplaced) {
      violate("link is final and true", `${path}: ${stage} changed from ${was} to ${is}`);
    }
    const owner = ownerOf.get(String(is));
    if (owner?.order !== order || owner.stage !== stage) {
      violate("link is final and true", `${path}: ${stage} is ${is}, which was not created for it`);
    }
    const other = linkedBy.get(String(is));
    if (other && other !== order) violate("link is final and true", `${is} is linked by ${other} and by ${order}`);
    linkedBy.set(String(is), order);
  }
}

function checkOperatorLinks(writes: readonly DocumentWrite[], violate: Violate): void {
  for (const { order, stage, link, at } of decisionsIn(writes)) {
    if (link === undefined) continue;
    const relation = writes.findLast((write) => write.path === relationPathOf(order) && write.at <= at)?.after;
    if (relation?.[stage] === link) continue;
    violate("an operator's link is saved", `${order}: ${stage} is ${relation?.[stage]}, the operator linked ${link}`);
  }
}

/**
 * What a write treats as missing: an order that it closes as GONE, or the resource that it parks an order for.
 * `names` are the candidates, one of which must have been missing for long.
 */
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
  const code = reasonCodeOf(after);
  if (code === "ORDER_NOT_FOUND" || code === "ORDER_UNREADABLE") return { what: code, names: [`orders/${id}`] };
  if (code !== "LINK_NOT_FOUND") return undefined;
  const linked = writes.flatMap((write) =>
    write.path === `relations/${id}` ? CREATING_STAGES.map((stage) => String(write.after?.[stage])) : [],
  );
  return { what: code, names: linked };
}

/** The lookups that establish an absence span at least this time, whatever the clocks show. */
const LEAST_ABSENCE_MS = 480_000;

/** The maximum age of the latest lookup when its consequence is written. */
const LOOK_AGE_MS = 300_000;

/** Whether a name was absent recently, and long before. In between, it may have been present, unless that was noticed. */
function wasLongAbsent(name: string, at: number, absences: Evidence["absences"], noticedAt: number): boolean {
  const own = absences.filter(
    (absence) => (absence.name ?? name) === name && absence.from <= at && absence.until >= noticedAt,
  );
  return own.some(({ until }) => until >= at - LOOK_AGE_MS) && own.some(({ from }) => from <= at - LEAST_ABSENCE_MS);
}

/** Documents that are written on a schedule, independent of any order. */
const NOT_ABOUT_ORDERS = /^(leases|statistics)\//;

/** The states that claim that nothing was created. */
const GIVEN_UP = ["FAILED", "PARKED", "CLOSED"];

function checkGivenUp({ writes, documents, truth, absences, replaced }: Evidence, keys: Keys, violate: Violate): void {
  const createdAt = new Map<string, number>();
  const madeByOthers = new Set<unknown>();
  for (const { name, idempotencyKey: key, createdAt: at } of allCreated(truth).reverse()) {
    const { order = "", stage } = keys.get(key ?? "") ?? {};
    if (key !== idempotencyKey(order, stage ?? "kitchen")) {
      madeByOthers.add(name);
      continue;
    }
    // An operator may give up a resource that is lost.
    if (![name, order].some((lost) => isLostForGood(lost, { absences })) && !replaced.has(order))
      createdAt.set(attemptPathOf(stage, order), Date.parse(at));
  }
  const isLinked = (path: string) => {
    const [stage = "", id = ""] = path.slice("attempts/".length).split(":");
    const link = documents(`relations/${id}`)?.[stage];
    return link !== undefined && !madeByOthers.has(link);
  };
  /** When an operator decided that nothing was created, or that it does not matter. */
  const givenUp = new Map<string, number>();
  for (const { order, stage, link, at } of decisionsIn(writes)) {
    const path = attemptPathOf(stage, order);
    if (link === undefined) givenUp.set(path, Math.min(at, givenUp.get(path) ?? at));
  }
  // An attempt can also ask for an operator for another reason, whatever was created.
  const parkedForReason = new Set(
    writes.flatMap(({ path, after }) => (isReasonCode(reasonCodeOf(after)) ? [path] : [])),
  );
  for (const { path, after, at } of writes) {
    const created = createdAt.get(path);
    if (created === undefined || created > at || parkedForReason.has(path)) continue;
    if (at >= (givenUp.get(path) ?? Number.POSITIVE_INFINITY)) continue;
    if (after ? !GIVEN_UP.includes(String(after.state)) : isLinked(path)) continue;
    violate(
      "given up only if nothing was created",
      `${path} became ${after?.state ?? "nothing"} although its create was applied`,
    );
  }
}

/** Faults after which the outcome of a create is still known: it was reported, possibly late. */
const REPORTED: readonly (Fault | undefined)[] = [undefined, "pause", "suspend", "cancel", ...DECIDABLE];

/**
 * Whether a run may be unable to know the outcome of its create, by its effects since its claim: it crashed, the reply was
 * inconclusive, its claim was delayed, or the store failed repeatedly.
 */
function wasDoubtful(entries: readonly Entry[], run: Run): boolean {
  if (run.ended === "lost" || run.ended === "running") return true;
  if (entries.some((entry) => isCreate(entry) && !REPORTED.includes(entry.fault))) return true;
  const troubled = entries.filter(
    ({ operation, fault }) => !isCreate({ operation }) && (fault === "outage" || !REPORTED.includes(fault)),
  );
  return troubled.length > 1 || troubled.some(({ fault }) => fault === "late");
}

/** Whether another run took a claim over before its own run had come to an end: that one can't know what was sent. */
function wasTakenOver([claim, ...later]: readonly Entry[], claims: readonly Entry[]): boolean {
  if (!claim) return false;
  const isDuring = ({ at }: Entry) => at > claim.at && later.some((entry) => entry.at > at);
  return claims.some(
    (entry) => entry.run !== claim.run && entry.operation === "commit" && entry.applied && isDuring(entry),
  );
}

/**
 * While the food service finds no order at all, at most one relation, or a fifth of the open ones, may be closed as GONE per tick, besides
 * those that an operator closes.
 */
function checkMassAbsence({ writes, absences, poisoned }: Evidence, violate: Violate): void {
  const open = new Set<string>();
  const decided = decidedRuns(writes);
  let gone: number[] = [];
  for (const { path, after, at, run } of writes) {
    if (!/^relations\/[^/]+$/.test(path) || poisoned.has(path.replace("relations", "orders"))) continue;
    const state = after?.state as RelationState | undefined;
    if (
      state === "GONE" &&
      !decided.has(run) &&
      absences.some(({ name, from, until }) => !name && from <= at && at <= until)
    ) {
      gone = [...gone.filter((earlier) => earlier > at - TICK_MS), at];
      const max = Math.max(1, Math.ceil((open.size + gone.length) / 5));
      if (gone.length > max) {
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

/**
 * Only the run that made a claim may change it before its lease ends, judged by the writer's clock. Only that run or an operator may say at any
 * time that nothing was sent.
 */
function checkClaims({ writes, runs, replaced }: Evidence, violate: Violate): void {
  const decided = decidedRuns(writes);
  const claimedBy = new Map<unknown, number>();
  for (const { path, before, after, at, run } of writes) {
    if (!path.startsWith("attempts/") || run === undefined) continue;
    const until = before?.state === "SENDING" && before.leaseUntil instanceof Date ? before.leaseUntil.getTime() : 0;
    if (until > at + (runs[run - 1]?.skew ?? 0) && claimedBy.get(before?.id) !== run) {
      const message = `run ${run} changed ${path}, which run ${claimedBy.get(before?.id)} had claimed`;
      violate("a claim belongs to its run until its lease ends", message);
    }
    const isGivenUp =
      (before?.state === "SENDING" || before?.state === "UNCERTAIN") && GIVEN_UP.includes(String(after?.state));
    if (isGivenUp && claimedBy.get(before.id) !== run && !decided.has(run) && !replaced.has(String(before.order)))
      violate("given up only if nothing was created", `run ${run} gave up ${path}, which another one may have sent`);
    // A lookup that is counted changes the document and not the claim.
    if (after?.state === "SENDING" && before?.id !== after.id) claimedBy.set(after.id, run);
  }
}

/** A decision applies to the attempt as its operator saw it. */
function checkDecisions({ writes, decisions }: Evidence, violate: Violate): void {
  const seenBy = new Map([...decisions].map(([key, seen]) => [auditPath(key), seen]));
  for (const [index, { path, run }] of writes.entries()) {
    const seen = seenBy.get(path);
    const decided = seen && writes.slice(0, index).findLast((write) => write.run === run && write.path === seen.path);
    if (!decided) continue;
    const isOther = seen.claim === undefined ? decided.version !== seen.version : decided.before?.id !== seen.claim;
    if (isOther)
      violate("an operator decides about what they saw", `run ${run} decided about ${seen.path} as it was before`);
  }
}

/**
 * At most one run at a time lists orders for the poll: a continuation is processed once, a poll takes the lease only when it is free, and
 * lists only as long as it has it.
 */
function checkOnePoll({ history, runs, writes }: Evidence, violate: Violate): void {
  const paused = new Set(history.flatMap(({ fault, process }) => (fault && PAUSES.includes(fault) ? [process] : [])));
  const leases = new Map<number, number>();
  const passedOn = new Set(history.flatMap((entry) => (positionsIn([entry]).length > 0 ? [entry.run] : [])));
  const runOf = new Map<unknown, number>();
  for (const { path, before, after, at, run } of writes) {
    const until = after?.until;
    if (path !== "leases/poll" || !(until instanceof Date) || run === undefined) continue;
    const { kind, skew = 0 } = runs[run - 1] ?? {};
    const owner = runOf.get(before?.holder);
    if (after?.holder === "") {
      if (owner !== undefined && owner !== run)
        violate("one poll at a time", `run ${run} released the lease of ${owner}`);
      continue;
    }
    runOf.set(after?.holder, run);
    if (kind === "continuation" && owner !== undefined && !passedOn.has(owner))
      violate("one poll at a time", `run ${run} continues run ${owner}, which passed nothing on`);
    if (kind === "poll" && before?.until instanceof Date && before.until.getTime() > at + skew)
      violate("one poll at a time", `run ${run} took the lease of another poll`);
    leases.set(run, until.getTime());
  }
  const processedBy = new Map<number, number>();
  for (const [number, entries] of Map.groupBy(history.filter(isListing), ({ run }) => run)) {
    const run = runs[number - 1];
    if (run?.kind !== "poll" && run?.kind !== "continuation") continue;
    if (run.continuation !== undefined) {
      const other = processedBy.get(run.continuation);
      if (other !== undefined) violate("one poll at a time", `runs ${other} and ${number} continue the same poll`);
      processedBy.set(run.continuation, number);
    }
    const until = leases.get(number) ?? 0;
    if (!paused.has(run.process) && entries.some(({ at }) => at + run.skew > until))
      violate("one poll at a time", `run ${number} lists when its lease is over`);
  }
}

const PAUSES: readonly Fault[] = ["pause", "suspend", "overtaken"];

/** The runs that applied an operator's decision. */
function decidedRuns(writes: Evidence["writes"]): ReadonlySet<number | undefined> {
  return new Set(writes.flatMap(({ path, run }) => (path.startsWith("audit/") ? [run] : [])));
}

const troubleOf = (relation: Fields | undefined) => (relation?.trouble ?? {}) as Fields;

/**
 * Once an operator has dismissed an attempt, nothing is sent for it until another decision, and no operator is asked again for the same
 * reason. What another program may have created is never sent without a decision.
 */
function checkDismissals({ writes, replaced }: Evidence, violate: Violate): void {
  const dismissed = new Map<string, string | undefined>();
  for (const [index, { path, before, after }] of writes.entries()) {
    if (path.startsWith("audit/") && after) {
      const attempt = attemptPathOf(String(after.stage), String(after.order));
      const seen = writes[index + 1]?.path === attempt ? writes[index + 1]?.before : undefined;
      if (after.action === "dismiss") dismissed.set(attempt, reasonCodeOf(seen));
      else dismissed.delete(attempt);
    }
    if (!path.startsWith("attempts/") || !after || replaced.has(String(after.order))) continue;
    if (after.state === "SENDING") {
      if (dismissed.has(path)) violate("a dismissal stands", `${path} was dismissed, and is sent`);
      else if (before?.state !== "FAILED" && reasonCodeOf(before) === "STRANDED")
        violate("no blind resend", `${path} is sent although another program advanced its order`);
    }
    if (after.state !== "PARKED" || before?.state === "PARKED" || !dismissed.has(path)) continue;
    if (dismissed.get(path) === reasonCodeOf(after))
      violate("a dismissal stands", `${path} was dismissed, and is parked again as ${reasonCodeOf(after)}`);
    dismissed.set(path, undefined);
  }
}

/** The reasons for which nothing can be sent again. */
const NEVER_RETRIED = ["STRANDED", "ORDER_NOT_FOUND", "ORDER_UNREADABLE", "UNUSABLE_NAME"];

/** A decision does what its operator asked for, in the same commit. */
function checkEffects({ history, writes, replaced }: Evidence, violate: Violate): void {
  const relations = new Map<string, Fields | undefined>();
  for (const [index, { path, after, at, run }] of writes.entries()) {
    if (path.startsWith("relations/")) relations.set(path, after);
    if (!path.startsWith("audit/") || !after || after.action === "link") continue;
    const order = String(after.order);
    const stage = after.stage as CreatingStage;
    const rest = writes.slice(index + 1);
    const end = rest.findIndex((write) => write.run !== run || write.at !== at || write.path.startsWith("audit/"));
    const commit = end === -1 ? rest : rest.slice(0, end);
    const attempt = commit.find((write) => write.path === attemptPathOf(stage, order));
    const code = reasonCodeOf(attempt?.before);
    const was = relations.get(relationPathOf(order));
    const relation = commit.findLast((write) => write.path === relationPathOf(order));
    const is = relation ? relation.after : was;
    const isTroubled = history.some((entry) => entry.run === run && entry.fault !== undefined);
    const decision = { action: String(after.action), code, stage, replacedAt: replaced.get(order) ?? 0 };
    const missing = missingEffect(decision, attempt?.after, was, is);
    if (missing && !isTroubled) violate("a decision has its effect", `${order}: ${after.action}, ${code}: ${missing}`);
  }
}

function isOpen(relation: Fields | undefined): boolean {
  return relation?.state !== undefined && RELATION_STATES[relation.state as RelationState].open;
}

function missingEffect(
  {
    action,
    code,
    stage,
    replacedAt,
  }: { action: string; code: string | undefined; stage: CreatingStage; replacedAt: number },
  attempt: Fields | undefined,
  was: Fields | undefined,
  is: Fields | undefined,
): string | undefined {
  if (action === "dismiss") {
    if (attempt?.state !== "CLOSED" || !attempt.isDismissed) return "the attempt is not dismissed";
    if (code === "ORDER_NOT_FOUND" && isOpen(is)) return "the relation is still open";
    const isEarlier = was?.placedAt instanceof Date && was.placedAt.getTime() < replacedAt;
    if (code === "ORDER_REPLACED" && isEarlier && is === was) return "the relation is still of the earlier order";
    return undefined;
  }
  if (code !== undefined && NEVER_RETRIED.includes(code)) return "nothing may be sent again";
  const hasLinks = CREATING_STAGES.some((one) => was?.[one] !== undefined);
  switch (code) {
    case "REPORT_REJECTED":
    case "REPORT_IGNORED":
      return troubleOf(is).report ? "the report still backs off" : undefined;
    case "ACTIVE_AFTER_CANCELLATION":
      return is?.state === "CANCELLED" && hasLinks ? "the relation is still CANCELLED" : undefined;
    case "ORDER_REPLACED":
      return is ? "the relation of the earlier order is still there" : undefined;
    default:
      return missingRetry(code, stage, attempt, was, is);
  }
}

function missingRetry(
  code: string | undefined,
  stage: CreatingStage,
  attempt: Fields | undefined,
  was: Fields | undefined,
  is: Fields | undefined,
): string | undefined {
  if (attempt?.state !== "FAILED" || attempt.tries !== 0) return "the create does not start anew";
  const isDiscarded = (is?.discarded as Fields | null | undefined)?.[stage] === was?.[stage];
  if (code === "LINK_NOT_FOUND" && isOpen(was) && was?.[stage] !== undefined && !isDiscarded)
    return "the lost link is still there";
  return undefined;
}

/** The maximum of failed reports of one status of an order before an operator is asked. Some of them are not counted: those of late events. */
const MAX_FAILED_REPORTS = 7;

const FAILED_REPORTS: readonly (Fault | undefined)[] = ["rejected", "ignored", "rejected for long", "ignored for long"];

/** An operator is asked after CREATE_TRIES rejected creates in a row, and after a few reports that failed. */
function checkRepeatedFailures({ history, writes, maxCreateTries, replaced }: Evidence, violate: Violate): void {
  const asked = new Set<string>();
  const rejected = new Map<string, Set<unknown>>();
  for (const { path, after } of writes) {
    if (path.startsWith("audit/") && after) rejected.delete(attemptPathOf(String(after.stage), String(after.order)));
    if (!path.startsWith("attempts/")) continue;
    const code = reasonCodeOf(after);
    if (!after || after.state === "PARKED" || isReasonCode(code)) rejected.delete(path);
    if (after && (after.state === "PARKED" || after.state === "UNCERTAIN" || after.isDismissed))
      asked.add(String(after.order));
    if (after?.state !== "FAILED" || code !== "INVALID_ARGUMENT" || replaced.has(String(after.order))) continue;
    const claims = (rejected.get(path) ?? new Set()).add(after.id);
    rejected.set(path, claims);
    if (claims.size === maxCreateTries)
      violate("repeated failures ask an operator", `${path} was rejected ${claims.size} times and is FAILED`);
  }
  const failed = new Map<string, number>();
  const hindered = new Set(
    history.flatMap(({ run, operation, fault }) => (fault && operation !== "updateOrder" ? [run] : [])),
  );
  for (const { operation, about, fault, run } of history) {
    // A report that fails while the store does is not counted.
    if (operation !== "updateOrder" || hindered.has(run)) continue;
    const count = FAILED_REPORTS.includes(fault) ? (failed.get(about) ?? 0) + 1 : 0;
    failed.set(about, count);
    if (count === MAX_FAILED_REPORTS && !asked.has(about.split(" ")[0] ?? ""))
      violate("repeated failures ask an operator", `the report ${about} failed ${count} times`);
  }
}

/** What waits for an operator is closed without a decision only once its reason is gone. */
function checkWaiting({ history, writes, truth, absences, replaced }: Evidence, violate: Violate): void {
  const decided = decidedRuns(writes);
  for (const [index, { path, before, after, at, run }] of writes.entries()) {
    if (!path.startsWith("attempts/") || before?.state !== "PARKED" || after?.state !== "CLOSED") continue;
    const order = String(before.order);
    if (run === undefined || decided.has(run) || replaced.has(order)) continue;
    const from = history.find((entry) => entry.run === run)?.at ?? 0;
    const wasAbsent = absences.some(({ name = order, until }) => name === order && until >= from - LONG_AGO_MS);
    const statuses = valuesSince(truth.orders.find(({ name }) => name === order)?.changes ?? [], from, at);
    if (wasAbsent || statuses.some(({ status }) => ORDER_STATUSES[status].ended)) continue;
    const changes = writes.slice(0, index).filter((write) => write.path === relationPathOf(order));
    const relations = valuesSince(changes, from, at).map((write) => write.after);
    const code = reasonCodeOf(before);
    const isGone = relations.length === 0 || relations.some((relation) => isReasonGone(before, relation, statuses));
    if ((relations.length === 0 && !isReasonCode(code)) || !isGone)
      violate("what waits for an operator stays", `${path}, parked as ${code}, was closed by run ${run}`);
  }
}

/** Longer than it takes until a missing order counts as gone. */
const LONG_AGO_MS = 2_400_000;

/** The values that something had between two times, by its changes. */
function valuesSince<C extends { at: string | number }>(changes: readonly C[], from: number, to: number): C[] {
  const timeOf = ({ at }: C) => (typeof at === "number" ? at : Date.parse(at));
  const first = changes.findLastIndex((change) => timeOf(change) <= from);
  return changes.slice(Math.max(0, first)).filter((change) => timeOf(change) <= to);
}

function isReasonGone(attempt: Fields, relation: Fields | undefined, statuses: { status: OrderStatus }[]): boolean {
  const trouble = troubleOf(relation);
  const state = relation?.state as RelationState | undefined;
  const code = reasonCodeOf(attempt);
  switch (code) {
    case "LINK_NOT_FOUND":
      return !trouble.missingLink;
    case "REPORT_REJECTED":
    case "REPORT_IGNORED": {
      const reports = state && RELATION_STATES[state].reports;
      const rank = reports && ORDER_STATUSES[reports].rank;
      return !trouble.report || statuses.some(({ status }) => (ORDER_STATUSES[status].rank ?? 9) >= (rank ?? 0));
    }
    case "ACTIVE_AFTER_CANCELLATION":
      return state !== "CANCELLED";
    default:
      return isReasonCode(code) || relation?.[String(attempt.stage)] !== undefined;
  }
}

/** A relation that is closed is opened by no link, and a cancelled one only if the food service shows the order as NEW. */
function checkClosed({ history, writes, replaced }: Evidence, violate: Violate): void {
  const decided = decidedRuns(writes);
  for (const { path, before, after, run } of writes) {
    if (!/^relations\/[^/]+$/.test(path) || !before?.state || !after?.state || run === undefined) continue;
    const isOpen = ({ state }: Fields) => RELATION_STATES[state as RelationState]?.open ?? true;
    if (isOpen(before) || !isOpen(after) || replaced.has(path.replace("relations/", "orders/"))) continue;
    if (CREATING_STAGES.some((stage) => before[stage] !== after[stage]))
      violate("what is closed stays closed", `${path} was ${before.state}, and a link made it ${after.state}`);
    const seen = history.findLast((entry) => entry.run === run && entry.operation === "getOrder")?.result;
    if (before.state === "CANCELLED" && !decided.has(run) && seen !== "NEW")
      violate("what is closed stays closed", `${path} was CANCELLED, and is ${after.state}, with its order ${seen}`);
  }
}

/** While a poll continues for long, each status is listed at least this often, if only pages fail. */
const LISTED_EVERY_MS = 2 * TICK_MS + 50_000;

function checkStarvation({ history, runs, listsWithoutSlot }: Evidence, violate: Violate): void {
  if (listsWithoutSlot.size > 0) return;
  const lists = history.filter((entry) => isListing(entry) && runs[entry.run - 1]?.kind !== "sweep");
  const otherFaults = history.filter((entry) => entry.fault !== undefined && !isListing(entry)).map(({ at }) => at);
  for (const [number, entries] of Map.groupBy(lists, ({ run }) => run)) {
    const { kind, ended } = runs[number - 1] ?? {};
    const until = entries.at(-1)?.at ?? 0;
    const from = (entries[0]?.at ?? 0) - LISTED_EVERY_MS;
    if (kind !== "continuation" || ended !== "taken" || otherFaults.some((at) => at >= from - TICK_MS && at <= until))
      continue;
    const listed = new Set(lists.flatMap(({ at, subject }) => (at >= from && at <= until ? [subject] : [])));
    for (const status of ACTIVE_STATUSES)
      if (!listed.has(status)) violate("no status starves", `${status} was not listed for long when run ${number} did`);
  }
}

/** How long a cancelled order is shown as active before it is reopened. */
const REAPPEARED_MS = 60_000;

/** Nothing looks at a cancelled order while it is shown as such, so two reappearances that are this close may count as one that lasts. */
const ONE_REAPPEARANCE_MS = 300_000;

/** A cancelled order whose food service shows it as active is reopened only if that lasts. */
function checkReopened({ history, runs, writes, truth, replaced }: Evidence, violate: Violate): void {
  // Times that different clocks took can't be compared.
  if (runs.some(({ skew }) => skew !== 0)) return;
  const decided = decidedRuns(writes);
  for (const { path, before, after, at, run } of writes) {
    const state = after?.state as RelationState | undefined;
    const isReopened = before?.state === "CANCELLED" && state !== undefined && RELATION_STATES[state].open;
    if (!isReopened || run === undefined || decided.has(run)) continue;
    const order = path.replace("relations/", "orders/");
    if (replaced.has(order)) continue;
    const readAt = history.findLast((entry) => entry.run === run && entry.operation === "getOrder")?.at ?? 0;
    const changes = truth.orders.find(({ name }) => name === order)?.changes ?? [];
    const reappearances = changes.flatMap((change, index) =>
      changes[index - 1]?.status === "CANCELLED" ? [Date.parse(change.at)] : [],
    );
    const recent = reappearances.filter((time) => time <= readAt && time > readAt - ONE_REAPPEARANCE_MS);
    if (recent.length > 0 && recent.every((time) => at - time < REAPPEARED_MS))
      violate("a brief reappearance reopens nothing", `${order} was shown as active for less than a minute`);
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

const isListing = ({ operation }: Entry) => operation === "listOrders";

/** Where a run stopped in the list of a status, for the next run to continue. */
interface Position {
  status: string;
  pageToken: string;
}

function positionsIn(entries: readonly Entry[]): Position[] {
  return entries.flatMap(({ published }) => (published && "positions" in published ? published.positions : []));
}

/** Every status is listed to its last page, by this run or by one that continues it, whatever else fails. */
function checkPolls({ history, runs, writes, listsWithoutSlot }: Evidence, violate: Violate): void {
  const byRun = entriesByRun(history);
  const passedOn = positionsIn(history);
  for (const run of runs.filter(({ kind }) => kind === "poll" || kind === "continuation")) {
    const entries = byRun.get(run.number) ?? [];
    if (!entries.some(isListing)) continue;
    if (run.ended === "taken") checkPollEnd(run, entries, writes, violate);
    for (const problem of pollProblems(run, entries, passedOn, listsWithoutSlot.get(run.number) ?? 0)) {
      violate("every status is listed to its end", `run ${run.number} ${problem}`);
    }
  }
}

/** A poll that ends and passes nothing on releases its lease, and parks the orders whose names can't be stored. */
function checkPollEnd({ number }: Run, entries: readonly Entry[], writes: Evidence["writes"], violate: Violate): void {
  if (entries.some((entry) => entry.fault !== undefined && !isListing(entry))) return;
  const isUnusable = entries.some(({ fault }) => fault === "unusable orders");
  if (isUnusable && !entries.some(({ about }) => about.includes(":unusable-")))
    violate("an unusable name is parked", `run ${number} listed unusable names and parked none`);
  if (positionsIn(entries).length > 0) return;
  const claimed = writes.findLastIndex(({ path, run }) => path === "leases/poll" && run === number);
  const lease = writes[claimed]?.after;
  const isTaken = writes.some(({ path }, index) => path === "leases/poll" && index > claimed);
  const isOver = entries.some(({ fault }) => fault && PAUSES.includes(fault));
  if (lease && lease.holder !== "" && !isTaken && !isOver)
    violate("a poll releases its lease", `run ${number} ended with its lease`);
}

function pollProblems(
  run: Run,
  entries: readonly Entry[],
  passedOn: readonly Position[],
  listsWithoutSlot: number,
): string[] {
  if (run.ended === "thrown") {
    // A fault of one page concerns its own status and must not end the run.
    const hasOtherFault = entries.some((entry) => entry.fault !== undefined && !isListing(entry));
    return hasOtherFault ? [] : ["ended because of a page"];
  }
  if (run.ended !== "taken") return [];
  const wrong = run.kind === "continuation" ? wrongStarts(entries, passedOn) : [];
  // A list that got no slot in time ends early; the next poll lists the rest.
  const dropped = droppedStatuses(run, entries);
  return [
    ...wrong,
    ...(dropped.length > listsWithoutSlot ? dropped : []),
    ...passesOf(entries).flatMap(unpublishedOrders),
  ];
}

/** The page token that each listed status was first listed with, empty for the first page. */
function startsOf(entries: readonly Entry[]): Map<string, string> {
  const starts = new Map<string, string>();
  for (const { subject, about } of entries.filter(isListing)) {
    if (!starts.has(subject)) starts.set(subject, about.slice(subject.length + 1));
  }
  return starts;
}

/** A continuation starts where another run stopped. It may also list a status from its first page, but not only such. */
function wrongStarts(entries: readonly Entry[], passedOn: readonly Position[]): string[] {
  const starts = [...startsOf(entries)];
  const isPassedOn = ([status, token]: [string, string]) =>
    passedOn.some((position) => position.status === status && position.pageToken === token);
  const problems = starts
    .filter((start) => start[1] !== "" && !isPassedOn(start))
    .map(([status, token]) => `lists ${status} from ${token}, which no run passed on`);
  return starts.some(isPassedOn) ? problems : [...problems, "starts over"];
}

/** Statuses that a run neither listed to their last page nor passed on. */
function droppedStatuses(run: Run, entries: readonly Entry[]): string[] {
  const lists = entries.filter(isListing);
  const continued = positionsIn(entries);
  const started = startsOf(entries);
  const neverListed = ACTIVE_STATUSES.filter(
    (status) => run.kind === "poll" && !started.has(status) && !continued.some((next) => next.status === status),
  );
  const dropped = neverListed.map((status) => `neither listed ${status} nor passed it on`);
  for (const status of started.keys()) {
    const last = lists.findLast(({ subject }) => subject === status);
    const next = last?.fault === undefined ? (last?.page?.next ?? "") : "";
    const isPassedOn = continued.some((position) => position.status === status && position.pageToken === next);
    if (next !== "" && !isPassedOn) dropped.push(`stopped at the page ${next} of ${status} and passed it on to no run`);
  }
  return dropped;
}

/** The passes of a poll that makes two in a tick: the second one lists the first page of a status again. After a fault, all is one. */
function passesOf(entries: readonly Entry[]): (readonly Entry[])[] {
  if (entries.some(({ fault }) => fault !== undefined)) return [entries];
  const firstPages = entries.filter((entry) => isListing(entry) && entry.about === `${entry.subject} `);
  const second = firstPages.find(({ subject }, index) =>
    firstPages.slice(0, index).some((one) => one.subject === subject),
  );
  const begins = second ? entries.indexOf(second) : entries.length;
  return [entries.slice(0, begins), entries.slice(begins)];
}

/** Active orders that a run listed but did not publish. */
function unpublishedOrders(entries: readonly Entry[]): string[] {
  const published = new Set(
    entries.flatMap(({ published }) => (published && "orders" in published ? published.orders : [])),
  );
  const listed = entries.flatMap((entry) =>
    isListing(entry) && entry.fault === undefined ? (entry.page?.orders ?? []) : [],
  );
  return listed
    .filter(({ name, status }) => isActive(status) && !published.has(name))
    .map(({ name }) => `listed ${name} and did not publish it`);
}

const isActive = (status: string) => (ACTIVE_STATUSES as string[]).includes(status);

function isLostForGood(name: string, { absences }: Pick<Evidence, "absences">): boolean {
  return absences.some((absence) => absence.name === name && isForGood(absence));
}

function isForGood({ until }: Evidence["absences"][number]): boolean {
  return until === Number.POSITIVE_INFINITY;
}

type Order = GroundTruth["orders"][number];

/** What must hold once all faults are over and everything had time to settle. */
function checkEnds(evidence: Evidence, violate: Violate): void {
  const { truth, poisoned, stuckAtHorizon, unsettled } = evidence;
  if (unsettled) violate("every message is acknowledged", "messages are still redelivered when all is over");
  for (const message of stuckAtHorizon) violate("every order moves on", message);
  for (const order of truth.orders) {
    if (!poisoned.has(order.name)) checkEndOf(order, evidence, violate);
  }
  for (const what of changesSince(evidence.over, evidence)) violate("writes stop", `${what} when all was over`);
}

/** What was written about orders since a moment, and sent to the food service to change it. */
export function changesSince(
  { write, effect }: Moment,
  { writes, history }: Pick<Evidence, "writes" | "history">,
): string[] {
  const written = writes.slice(write).filter(({ path }) => !NOT_ABOUT_ORDERS.test(path));
  const sent = history.slice(effect).filter((entry) => entry.operation === "updateOrder" || isCreate(entry));
  return [
    ...written.map(({ path }) => `${path} was written`),
    ...sent.map(({ effect: number, operation }) => `effect ${number} was ${operation}`),
  ];
}

function checkEndOf(order: Order, evidence: Evidence, violate: Violate): void {
  const { name, status } = order;
  const relation = evidence.documents(relationPathOf(name));
  const state = relation?.state as RelationState | undefined;
  if (isLostForGood(name, evidence)) {
    checkLost(evidence, name, state, violate);
    return;
  }
  if (ORDER_STATUSES[status].ended && state && RELATION_STATES[state].open) {
    violate("relations of ended orders are closed", `${name} is ${status}, its relation is ${state}`);
  }
  if (relation && state) {
    checkHistory(name, state, relation, evidence, violate);
    if (evidence.replaced.has(name)) checkReplaced(name, relation, evidence, violate);
    else checkOutcome(order, state, relation, evidence, violate);
  }
  for (const stage of CREATING_STAGES) checkAttempt(name, stage, relation, evidence, violate);
}

function checkHistory(
  name: string,
  state: RelationState,
  relation: Fields,
  { documents, history, writes }: Evidence,
  violate: Violate,
): void {
  const path = relationPathOf(name);
  // Only the event of its own write records what another program linked. A lost event is beyond us, and so is a link after the end.
  const isEventLost = history.some(
    ({ operation, about, fault }) => operation === "react" && about === path && fault === "loss",
  );
  const isBeyondUs = (what: string) =>
    writes.some(
      ({ path: written, run, before, after }) =>
        written === path &&
        run === 0 &&
        before?.[what] !== after?.[what] &&
        (isEventLost || (before?.state !== undefined && !isOpen(before))),
    );
  for (const [what, entry] of entriesOf(name, state, relation)) {
    if (documents(entry)?.order === name || isBeyondUs(what)) continue;
    violate("the history records every state", `${name} has no history entry for ${what}`);
  }
}

/** An order is delivered or rejected only as its shipment was, or as another program set it. */
function checkOutcome(
  { name, changes }: Order,
  state: RelationState,
  relation: Fields,
  { truth, setByOthers }: Evidence,
  violate: Violate,
): void {
  if (state === "CANCELLED" && !changes.some(({ status }) => status === "CANCELLED")) {
    violate("an order ends as its shipment did", `${name}: its relation is CANCELLED, the order never was`);
  }
  if (state !== "DELIVERED" && state !== "REJECTED") return;
  const outcome = truth.shipments.find((shipment) => shipment.name === relation.shipment)?.status;
  const isSetByOthers = setByOthers.some((change) => change.order === name && change.status === state);
  if (outcome === state || isSetByOthers) return;
  violate("an order ends as its shipment did", `${name}: its relation is ${state}, its shipment ${outcome}`);
}

/** An attempt ends: it waits only for an operator, and only for a reason that the evidence bears out. */
function checkAttempt(
  name: string,
  stage: CreatingStage,
  relation: Fields | undefined,
  evidence: Evidence,
  violate: Violate,
): void {
  const attempt = evidence.documents(attemptPathOf(stage, name));
  // It waits behind an operator's decision about the order's other stage, or the operator gave the order up there.
  const isBehind = CREATING_STAGES.some((other) => {
    const attempt = evidence.documents(attemptPathOf(other, name));
    return attempt?.state === "PARKED" || isDismissed(attempt);
  });
  if ((attempt?.state === "SENDING" || attempt?.state === "FAILED") && !isBehind) {
    violate("every attempt ends", `${name}: its ${stage} attempt is ${attempt.state} when all is over`);
  }
  if (attempt?.state === "PARKED" && isParkedForNothing(name, attempt, relation, evidence)) {
    violate("every attempt ends", `${name}: its ${stage} attempt is parked as missing, but nothing is lost`);
  }
  if (attempt?.state === "UNCERTAIN" && !wasUndecidable(name, stage, evidence)) {
    violate("uncertain only if undecidable", `${name}: its ${stage} is UNCERTAIN, but its outcome was known`);
  }
}

/** Whether the reason of an attempt goes away when what was missing is there again. */
export function waitsForMissing(attempt: Fields): boolean {
  return ["LINK_NOT_FOUND", "ORDER_NOT_FOUND", "ORDER_UNREADABLE"].includes(String(reasonCodeOf(attempt)));
}

/** Whether an attempt is parked for something missing although nothing of its order is lost for good. */
function isParkedForNothing(name: string, attempt: Fields, relation: Fields | undefined, evidence: Evidence): boolean {
  if (!waitsForMissing(attempt)) return false;
  const names =
    reasonCodeOf(attempt) === "LINK_NOT_FOUND" ? CREATING_STAGES.map((stage) => String(relation?.[stage])) : [name];
  return !names.some((missing) => isLostForGood(missing, evidence));
}

/** Whether some run that dealt with this attempt could not know the outcome of its create. */
function wasUndecidable(name: string, stage: CreatingStage, { history, runs }: Evidence): boolean {
  const path = attemptPathOf(stage, name);
  const key = idempotencyKey(name, stage);
  const related = history.filter((entry) => entry.about.includes(path) || entry.subject === key);
  const involved = runs.filter(({ number }) => related.some(({ run }) => run === number));
  return involved.some((run) => {
    const own = entriesSinceClaim(history, run, path);
    return wasDoubtful(own, run) || wasTakenOver(own, related);
  });
}

/**
 * A new order with an earlier one's name is linked only to what was created since, unless its relation is still the earlier one's or an
 * operator decided that it is the same order.
 */
function checkReplaced(order: string, relation: Fields, { truth, replaced, writes }: Evidence, violate: Violate): void {
  const replacedAt = replaced.get(order) ?? 0;
  // A relation without the earlier order's creation time can't distinguish the two orders.
  const earlier = writes.findLast((write) => write.path === relationPathOf(order) && write.at <= replacedAt);
  if (earlier?.after && !(earlier.after.placedAt instanceof Date)) return;
  const isSameOrder = ({ path, after, at }: RecordedWrite) =>
    path.startsWith("audit/") && after?.order === order && after.action === "dismiss" && at >= replacedAt;
  if (writes.some(isSameOrder)) return;
  if (!(relation.placedAt instanceof Date) || relation.placedAt.getTime() < replacedAt) return;
  const links = CREATING_STAGES.map((stage) => relation[stage]);
  for (const { name, createdAt } of allCreated(truth)) {
    if (!links.includes(name) || Date.parse(createdAt) >= replacedAt) continue;
    violate("a new order gets its own meal", `${order} was placed anew, and is linked to ${name} of the earlier order`);
  }
}

/** A lasting absence closes the relation or asks an operator, whether or not something was created. */
function checkLost({ documents }: Evidence, name: string, state: RelationState | undefined, violate: Violate): void {
  const attempts = CREATING_STAGES.map((stage) => documents(attemptPathOf(stage, name)));
  const isAsked = attempts.some(
    (attempt) => attempt?.state === "PARKED" || attempt?.state === "UNCERTAIN" || isDismissed(attempt),
  );
  if (state && RELATION_STATES[state].open && !isAsked) {
    violate("a lasting absence is an end", `${name} is lost for good, its relation is ${state}`);
  }
}

/** The history entries that a relation must have: one for each link, and one for its end. */
function entriesOf(order: string, state: RelationState, relation: Fields): [what: string, path: string][] {
  const links = CREATING_STAGES.filter((stage) => relation[stage] !== undefined);
  const entries = links.map((stage): [string, string] => [stage, linkEntryPath(stage, String(relation[stage]))]);
  return RELATION_STATES[state].open ? entries : [...entries, [state, closingEntry(order, state, 0).path]];
}

/** The effects of a run from its claim of this attempt on; empty if it made no claim. */
function entriesSinceClaim(history: readonly Entry[], run: Run, attempt: string): Entry[] {
  const entries = history.filter((entry) => entry.run === run.number);
  const claim = entries.find(({ operation, about }) => operation === "commit" && about.includes(attempt));
  return claim ? entries.filter(({ effect }) => effect >= claim.effect) : [];
}

/** Without faults, each healthy order takes each step within a tick, whatever other orders do. */
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
    if (poisoned.has(order) || at - due <= TICK_MS + PACE_MARGIN_MS) return;
    violate(
      "no head-of-line blocking",
      `${order}: its ${stage} was created ${(at - due) / SECOND_MS} s after it was due`,
    );
  }
}

const SECOND_MS = 1000;

/** How much longer than a tick a step may take without faults: calls wait for their slots. */
const PACE_MARGIN_MS = 2_000;

/** Within this time after the last fault every order must have advanced. */
export const GRACE_MS = MAX_BACKOFF_MS + 2 * TICK_MS;
