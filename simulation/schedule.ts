/** One run of the whole system under one schedule of faults, from the first order to the last look. */

import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import { MISSING_LINK } from "../functions/src/attempts/attempt.js";
import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
import { isReasonCode } from "../functions/src/attempts/reason-codes.js";
import {
  CREATING_STAGES,
  closingState,
  RELATION_STATES,
  type RelationState,
} from "../functions/src/domain/order-lifecycle.js";
import type { Fields, Randomness } from "../functions/src/ports.js";
import type { Settings } from "../functions/src/settings.js";
import type { DocumentWrite } from "../harness/event-bridge.js";
import {
  changesSince,
  check,
  GRACE_MS,
  type Moment,
  type RecordedWrite,
  type Violation,
  waitsForMissing,
} from "./checker.js";
import { type Coverage, reasonCodeOf, situationOf } from "./coverage.js";
import { branching, type Choose, choosing, type Fault, following, type Schedule } from "./faults.js";
import { needsDecision, Operator } from "./operator.js";
import { System, TICK_MS } from "./system.js";
import { type Entry, World } from "./world.js";

/** What is simulated, but for the faults. */
export interface Scenario {
  seed: number;
  orders: number;
  policy: Settings["CREATE_POLICY"];
  /** Whether there are orders of an older scheduler and documents that can't be read. */
  inherited: boolean;
  /** Whether an operator resolves the attempts that need one; an eager one also decides what would be sent again. */
  operator: boolean | "eager";
  /** How many passes a poll makes in a tick. */
  passes: number;
  /** Orders per page of a listing. */
  pageSize: number;
  /** Whether other settings are deployed while orders are in progress, with the other create policy. */
  redeploys: boolean;
  /** Whether orders wait for many ticks, in front of few instances, which then remember what the orders wait for. */
  waits: boolean;
}

export interface Outcome {
  violations: Violation[];
  history: readonly Entry[];
  /** What struck, by effect: the schedule that replays this run. */
  struck: Map<number, Fault>;
  /** Whether the create policy could not matter: the run is the same under the other policy. */
  isPolicyFree: boolean;
}

const HOUR_MS = 3_600_000;

/** How long after the horizon a last create may take to finish: kitchen, drone and sweep, of usual orders and of those that wait. */
const AFTER_HORIZON_MS = { usual: 10 * TICK_MS, waits: 30 * TICK_MS };

/** Hanging calls use up their process's slots. A poll without a slot lists nothing, which delays every order by a tick. At most this many are allowed for. */
const MOST_IDLE_POLLS = 5;

/** What else is different after a deploy while orders are in progress. */
const OTHER_SETTINGS = { CREATE_LEASE_SECONDS: 40, CREATE_TRIES: 3, MISSING_AFTER_MINUTES: 12, POLL_PASSES: 2 };

export function settingsFor({ policy, pageSize, passes }: Pick<Scenario, "policy" | "pageSize" | "passes">): Settings {
  return {
    FOOD_SERVICE_ADDRESS: "localhost:1",
    FOOD_SERVICE_SECURITY: "tls",
    FOOD_SERVICE_CA: "system",
    FOOD_SERVICE_AUTH: "none",
    FOOD_SERVICE_AUDIENCE: "none",
    FOOD_SERVICE_CLIENT_AUTH: "none",
    USERS_ADDRESS: "localhost:1",
    USERS_SECURITY: "tls",
    CALL_DEADLINE_SECONDS: 10,
    POLL_PASSES: passes,
    POLL_PAGE_SIZE: pageSize,
    CREATE_POLICY: policy,
    CREATE_LEASE_SECONDS: 20,
    CREATE_TRIES: 2,
    MISSING_AFTER_MINUTES: 10,
  };
}

/** What a run takes note of, beyond its history. */
export interface Notes {
  /** Takes note of the protocol's states. */
  coverage?: Coverage;
  /** The number of the effect after which each entry says in which situation its effect was tried; undefined if none does. */
  situationsAfter?: number | undefined;
}

/** Runs a scenario under an explicit schedule of faults. */
export function replay(scenario: Scenario, schedule: Schedule, notes: Notes = {}): Promise<Outcome> {
  return simulate(scenario, following(schedule), notes);
}

/** Runs a scenario under faults chosen at random from its seed; every 25th seed goes without, to see the usual pace. */
export function search(scenario: Scenario, notes: Notes = {}): Promise<Outcome> {
  const random = seededRandomness(scenario.seed ^ 0x5f3759df);
  if (scenario.seed % 25 === 0) return simulate(scenario, () => undefined, notes);
  const share = [0.005, 0.02, 0.06][Math.floor(random.fraction() * 3)] ?? 0.02;
  return simulate(scenario, choosing(random, share, 5 + Math.floor(random.fraction() * 40)), notes);
}

/** Runs a scenario under a schedule up to an effect, and under faults chosen at random from there on. */
export function branch(
  scenario: Scenario,
  from: number,
  schedule: Schedule,
  random: Randomness,
  notes: Notes = {},
): Promise<Outcome> {
  return simulate(scenario, branching(schedule, from, choosing(random, 0.04, 12)), notes);
}

async function simulate(scenario: Scenario, choose: Choose, notes: Notes): Promise<Outcome> {
  const struck = new Map<number, Fault>();
  let quiet = false;
  const world = new World(scenario.seed, (effect, operation) => {
    const fault = quiet ? undefined : choose(effect, operation);
    if (fault) struck.set(effect, fault);
    return fault;
  });
  const { policy } = scenario;
  const settings = settingsFor(scenario);
  const system = new System(world, settings, lives(scenario), scenario.waits ? 2 : 3);
  const writes = recordWrites(system, notes.coverage);
  const { situationsAfter = Number.POSITIVE_INFINITY } = notes;
  world.describe = (entry) => (entry.effect > situationsAfter ? situationOf(entry, system.surroundings()) : undefined);
  const poisoned = await placeOrders(system, scenario);
  system.start();
  if (scenario.operator) new Operator(system, scenario.operator === "eager").start();
  const other = policy === "park" ? "idempotency-key" : "park";
  if (scenario.redeploys) {
    const next = { ...settingsFor({ ...scenario, policy: other }), ...OTHER_SETTINGS };
    world.after(world.between(30_000, 4 * TICK_MS), () => system.deploy(next));
  }

  // Faults strike for as long as the orders take when all goes well, and once more.
  const faultsUntil = world.now + 10 * TICK_MS;
  let stuckAtHorizon: string[] | undefined;
  let over: Moment;
  let unsettled: boolean;
  for (;;) {
    await world.until(world.now + TICK_MS);
    quiet = world.now >= faultsUntil;
    const horizon = world.faultsOver + GRACE_MS + Math.min(world.listsWithoutSlot.size, MOST_IDLE_POLLS) * TICK_MS;
    const latest = horizon + AFTER_HORIZON_MS[scenario.waits ? "waits" : "usual"];
    if (stuckAtHorizon === undefined && world.now >= horizon) stuckAtHorizon = stuck(system, poisoned, world.now);
    const seemsOver = world.now >= world.strikesOver && (await isOver(system, poisoned, scenario, horizon));
    if (!seemsOver && world.now < latest) continue;
    quiet = true;
    unsettled = !system.isIdle;
    over = { write: writes.length, effect: world.history.length };
    // Between two ticks, when nothing that they began is still in progress.
    await world.until(system.nextRoundAt + TICK_MS / 2);
    // A change shows that it was not over yet.
    if (world.now >= latest || changesSince(over, { writes, history: world.history }).length === 0) break;
  }
  system.stop();
  await world.until(world.now + HOUR_MS);

  const documents = (path: string) => system.fieldsAt(path);
  const { history } = world;
  const truth = system.food.truth();
  const violations = check({
    history,
    runs: system.runs,
    writes,
    documents,
    truth,
    settings,
    maxCreateTries: scenario.redeploys ? OTHER_SETTINGS.CREATE_TRIES : settings.CREATE_TRIES,
    poisoned,
    stuckAtHorizon: stuckAtHorizon ?? [],
    over,
    unsettled,
    absences: [...world.absences, ...world.emptied],
    setByOthers: world.setByOthers,
    replaced: world.replaced,
    listsWithoutSlot: world.listsWithoutSlot,
    bugs: world.bugs,
    decisions: world.decisions,
  });
  const isPolicyFree = world.replaced.size === 0 && history.every(isClear) && writes.every(isPlainClaim);
  return { violations, history, struck, isPolicyFree };
}

/** Whether an effect is not a create, or is one that the food service received once and answered. */
function isClear({ operation, fault, result }: Entry): boolean {
  return !operation.startsWith("create") || (fault === undefined && result !== undefined);
}

/** Whether a write is not about an attempt, or claims or ends one. Whatever else becomes of an attempt, the policy may decide. */
function isPlainClaim({ path, before, after }: DocumentWrite): boolean {
  return !path.startsWith("attempts/") || (before ? !after : after?.state === "SENDING");
}

/** How orders fare. A lone order is quick, so its life has few effects and every pair of faults can be tried. */
function lives({ orders, waits }: Scenario): { speed: number; rejected: number; cancelled: number } {
  if (waits) return { speed: 2, rejected: 0.2, cancelled: orders === 1 ? 0 : 0.15 };
  return orders === 1 ? { speed: 20, rejected: 0.2, cancelled: 0 } : { speed: 10, rejected: 0.2, cancelled: 0.15 };
}

/** Records what is written, and the states to which it brings orders. */
function recordWrites(system: System, coverage?: Coverage): RecordedWrite[] {
  const writes: RecordedWrite[] = [];
  coverage?.begin();
  system.onDocument = ({ before, after }) => {
    const path = (after ?? before)?.path ?? "";
    const { now: at, writer: run } = system.world;
    writes.push({ path, before: before?.fields, after: after?.fields, at, run, version: before?.version });
    const [, id] = /^(?:relations\/|attempts\/[a-z]+:)([^/]+)$/.exec(path) ?? [];
    if (id !== undefined) coverage?.see(id, system);
  };
  return writes;
}

/** Places the orders over the first minutes, some of them as an older scheduler left them. */
async function placeOrders(system: System, { orders, inherited }: Scenario): Promise<Set<string>> {
  const poisoned = new Set<string>();
  const { world, food, store } = system;
  for (let index = 0; index < orders; index++) {
    const legacy = inherited && index % 5 === 4;
    const poison = inherited && index % 7 === 6;
    if (!legacy && !poison) {
      world.after(world.between(0, orders > 1 ? 120_000 : 0), () => void system.place(index));
      continue;
    }
    const name = system.place(index);
    const path = `relations/${name.slice("orders/".length)}`;
    const fields: Fields = {};
    if (legacy) {
      fields.kitchen = food.makeKitchenOrder(idempotencyKey(name, "kitchen")).name;
      food.changeOrder(name, "PREPARATION", ["status"]);
      if (index % 2 === 0) {
        fields.shipment = food.makeShipment(idempotencyKey(name, "shipment")).name;
        food.changeOrder(name, "IN_FLIGHT", ["status"]);
      }
    }
    if (poison) {
      poisoned.add(name);
      Object.assign(
        fields,
        [{ kitchen: 7 }, { schema: 99, kitchen: "kitchenorders/x" }, { state: "EATEN" }][index % 3],
      );
    }
    await store.commit([{ kind: "create", path, fields }]);
  }
  return poisoned;
}

/** Whether an operator dismissed an attempt, even if it was opened again for another reason. */
function wasDismissed(attempt: Fields | undefined): boolean {
  return Boolean(attempt?.isDismissed || attempt?.dismissedFor);
}

/** The fields of an attempt that say whether it needs a decision, as they are stored. */
type Stored = Parameters<typeof needsDecision>[0];

/** Whether every order was placed, nothing is in progress, and nothing more is to come. */
async function isOver(
  system: System,
  poisoned: ReadonlySet<string>,
  { operator, orders }: Scenario,
  horizon: number,
): Promise<boolean> {
  if (system.placed.length < orders || !system.isIdle) return false;
  for (const name of system.placed) {
    if (poisoned.has(name)) continue;
    const id = name.slice("orders/".length);
    const attempts = CREATING_STAGES.map((stage) => system.fieldsAt(`attempts/${stage}:${id}`));
    if (attempts.some((attempt) => attempt && (attempt.state === "SENDING" || attempt.state === "FAILED")))
      return false;
    const needing = attempts.filter((attempt) => attempt && needsDecision(attempt as Stored, system.policy));
    if (attempts.some((attempt) => attempt && willResolve(attempt, id, system))) return false;
    const isResent = ({ state }: Fields) => state === "UNCERTAIN";
    if (attempts.some((attempt) => attempt && isResent(attempt) && !needing.includes(attempt))) return false;
    if (operator && needing.length > 0) return false;
    // A look that found something missing is followed by another one.
    if (system.fieldsAt(`relations/${id}`)?.trouble) return false;
    const state = system.fieldsAt(`relations/${id}`)?.state as RelationState | undefined;
    if (system.world.isLostForGood(name)) {
      const isDismissed = attempts.some(wasDismissed);
      const isClosing = needing.length === 0 && (!isDismissed || system.world.now < horizon);
      if (state && RELATION_STATES[state].open && isClosing) return false;
      continue;
    }
    const ended = closingState(system.statusOf(name) ?? "UNKNOWN") !== undefined;
    if (ended && state && RELATION_STATES[state].open) return false;
    const isDismissed = attempts.some((attempt) => attempt && isGivenUp(attempt, system.fieldsAt(`relations/${id}`)));
    // The next sweep closes what waits for an order that has ended.
    if (ended && attempts.some((attempt) => attempt?.state === "PARKED")) return false;
    // Another program may have linked what the attempt was for; and a report is tried again.
    const goesOn = (attempt: Fields) =>
      system.fieldsAt(`relations/${id}`)?.[String(attempt.stage)] !== undefined &&
      !STOPPING.includes(String(reasonCodeOf(attempt)));
    const isWaiting = needing.some((attempt) => attempt && !goesOn(attempt));
    if (!ended && state !== "CANCELLED" && !isWaiting && !isDismissed) return false;
  }
  return true;
}

/** The reasons for which an order that is linked does not go on without an operator. */
const STOPPING = [
  "LINK_NOT_FOUND",
  "ORDER_NOT_FOUND",
  "ORDER_UNREADABLE",
  "ORDER_REPLACED",
  "ACTIVE_AFTER_CANCELLATION",
];

/** The reasons for which an order whose attempt is dismissed goes on, if it can, since it is linked. */
const LINKED_REASONS = ["LINK_NOT_FOUND", "REPORT_REJECTED", "REPORT_IGNORED", "ORDER_REPLACED"];

/** Whether an operator dismissed an attempt without which its order does not go on. */
function isGivenUp(attempt: Fields, relation: Fields | undefined): boolean {
  const code = String(reasonCodeOf(attempt));
  const isLinked = relation?.[String(attempt.stage)] !== undefined;
  return wasDismissed(attempt) && !(isLinked && (LINKED_REASONS.includes(code) || !isReasonCode(code)));
}

/** Whether an attempt waits for something that was lost and has come back. */
function willResolve(attempt: Fields, id: string, system: System): boolean {
  if (attempt.state !== "PARKED" || !waitsForMissing(attempt)) return false;
  const relation = system.fieldsAt(`relations/${id}`);
  return ![`orders/${id}`, relation?.kitchen, relation?.shipment].some((name) =>
    system.world.isLostForGood(String(name)),
  );
}

/** The orders that have not ended, do not wait for the service, and do not wait for an operator either. */
function stuck(system: System, poisoned: ReadonlySet<string>, now: number): string[] {
  const truth = system.food.truth();
  const kitchenOrders = new Map(truth.kitchenOrders.map((made) => [made.name, made]));
  const shipments = new Map(truth.shipments.map((made) => [made.name, made]));
  return truth.orders.flatMap(({ name, status }) => {
    if (poisoned.has(name) || closingState(status)) return [];
    // An operator has just decided, so it has only begun to move.
    if ((system.decidedAt.get(name) ?? 0) > now - 2 * TICK_MS) return [];
    const id = name.slice("orders/".length);
    const attempts = CREATING_STAGES.map((stage) => system.fieldsAt(`attempts/${stage}:${id}`));
    if (attempts.some((attempt) => attempt?.state === "PARKED" || attempt?.state === "UNCERTAIN")) return [];
    if (attempts.some(wasDismissed)) return [];
    // A sweep shows it to an operator. If one crashed, its lease must expire first.
    const isAdvanced = system.world.setByOthers.some(({ order }) => order === name);
    if (isAdvanced && attempts.some((attempt) => attempt?.state === "SENDING")) return [];
    // Another program may have created what we would: an operator was asked until the order ended, and then it was set back.
    if (attempts.some((attempt) => attempt?.state === "CLOSED" && reasonCodeOf(attempt) === MISSING_LINK)) return [];
    const relation = system.fieldsAt(`relations/${id}`);
    const state = relation?.state as RelationState | undefined;
    if (system.world.isLostForGood(name) && !(state && RELATION_STATES[state].open)) return [];
    // A customer's cancellation that our own update overran: the relation is closed, the order is not ours any more.
    if (state === "CANCELLED") return [];
    const ended = (
      made: { changes: { status: string; at: string }[] } | undefined,
      when: (status: string) => boolean,
    ) => made?.changes.some((change) => when(change.status) && Date.parse(change.at) <= now - 2 * TICK_MS);
    const inFlight = relation?.shipment !== undefined;
    const serviceIsDone = inFlight
      ? ended(shipments.get(String(relation.shipment)), (is) => is === "DELIVERED" || is === "REJECTED")
      : ended(kitchenOrders.get(String(relation?.kitchen)), (is) => is === "PACKAGED");
    const reported = state && RELATION_STATES[state].reports === status;
    if (relation?.kitchen !== undefined && !serviceIsDone && (reported || state === undefined)) return [];
    return [`${name} is ${status}, its relation ${JSON.stringify(relation)}, its attempts ${JSON.stringify(attempts)}`];
  });
}
