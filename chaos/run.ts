/** One run of real processes under faults, from the first process to the verdict. */

import { appendFileSync, createWriteStream, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import { ATTEMPTS } from "../functions/src/attempts/attempt.js";
import type { Fields, Randomness } from "../functions/src/ports.js";
import { HISTORY } from "../functions/src/relations/history.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { readCollection } from "../harness/emulators/firestore-rest.js";
import { copyFunctions } from "../harness/emulators/functions-copy.js";
import { startEmulators } from "../harness/emulators/standalone.js";
import { PROJECT } from "../harness/emulators/suite.js";
import { Bridge, type DocumentWrite } from "../harness/event-bridge.js";
import { FoodServiceProcess, type SimulationOptions } from "../harness/food-service-process.js";
import { FoodServiceProxy } from "../harness/food-service-proxy.js";
import { functionEnvironment } from "../harness/function-instance.js";
import { ROOT } from "../harness/root.js";
import { makeRunDirectory } from "../harness/run-directory.js";
import { connectionTo } from "../services/food-service/connection-options.js";
import { allCreated } from "../services/food-service/model/food-service-model.js";
import { NotPlacedError, placeOrders } from "../services/food-service/place-orders.js";
import { settingsFor } from "../simulation/schedule.js";
import { EmptyReplica } from "./empty-replica.js";
import { Counts, Injector } from "./fault-injector.js";
import { Fleet, type Policy, type Release } from "./fleet.js";
import { endsThatStood, OtherProgram } from "./other-program.js";
import { type Documents, type Judged, judge, whyNotSettled } from "./verdict.js";

export interface ChaosOptions {
  orders: number;
  kills: number;
  policy: Policy;
  /** The policy from the deploy in the middle of the run on. */
  nextPolicy: Policy;
  seed: number;
  onProgress(message: string): void;
  /** Called from time to time with the number of kills so far. */
  onKills(kills: number): void;
  signal: AbortSignal;
}

export interface Outcome extends Judged {
  kills: number;
  faults: Counts;
  /** How many attempts were open when the policy changed; undefined if it does not. */
  openAtChange: number | undefined;
  /** The folder of the logs. */
  directory: string;
}

/** Long enough that on a busy machine a process still gets the response that the proxy has written in time. */
const CALL_DEADLINE_SECONDS = 4;
const CREATE_LEASE_SECONDS = 8;

/** The time between two polls, each of which publishes every active order. */
const pollIntervalMs = (orders: number) => Math.min(5_000, 1_200 + 10 * orders);

const sweepIntervalMs = (orders: number) => Math.min(10_000, 3_000 + 20 * orders);

/** Starting an instance takes almost a second of CPU time. */
const KILL_INTERVAL_MS = 1_100;
const FIRST_KILL_MS = 2_000;

/** The share of orders that another program ends; at least two orders, one by each status. */
const ENDED_BY_OTHER_SHARE = 0.1;

/** Once faults have stopped, every order must have ended or need an operator within this time. */
const ORDERS_TIMEOUT_MS = 300_000;

/** Then every event must be acknowledged within this time. */
const EVENTS_TIMEOUT_MS = 90_000;

/** Runs it, and stops everything that was started. */
export async function runChaos(options: ChaosOptions): Promise<Outcome> {
  const parts = new AsyncDisposableStack();
  try {
    const system = await startSystem(options, (stop) => parts.defer(async () => void (await stop())));
    await applyLoad(options, system);
    return await settleAndJudge(options, system);
  } finally {
    await parts.disposeAsync();
  }
}

type Stop = () => Promise<unknown> | unknown;

/** Everything that runs, with faults disabled. */
interface ChaosSystem {
  directory: string;
  /** host:port of the emulator. */
  firestore: string;
  food: FoodServiceProcess;
  proxy: FoodServiceProxy;
  other: OtherProgram;
  emptyReplica: EmptyReplica;
  fleet: Fleet;
  bridge: Bridge;
  counts: Counts;
  /** Injects faults into calls while there is one. */
  injector: Injector | undefined;
  /** Whether faults are enabled now. */
  isTroubled: boolean;
  next: Release;
  /** Ends the schedules and resolves when their last ticks are over. */
  stopTicks(): Promise<unknown>;
}

async function startSystem(options: ChaosOptions, onEnd: (stop: Stop) => void): Promise<ChaosSystem> {
  const { orders, policy, nextPolicy, onProgress, signal } = options;
  const directory = makeRunDirectory(ROOT);
  const log = createWriteStream(join(directory, "chaos.log"));
  onEnd(() => new Promise((resolve) => log.end(resolve)));
  const onLine = (line: string) => log.write(`${new Date().toISOString()} ${line}\n`);

  onProgress("Starting the emulators and the food service");
  const emulators = await startEmulators({ directory, onLine, signal });
  onEnd(() => emulators.stop());
  const { firestore, pubsub } = emulators;
  const food = await FoodServiceProcess.start({ directory, simulation: simulationOf(options), onLine });
  onEnd(() => food.kill());
  const counts = new Counts();
  const isSweep = (process: number) => fleet.all.some(({ number, name }) => number === process && name === "sweep");
  const emptyReplica = new EmptyReplica({ isSweep, counts });
  const proxy = new FoodServiceProxy({
    foodService: food,
    replaceReply: (call, reply) => emptyReplica.replaceReply(call, reply),
    onMoment: (call, moment) => system.injector?.onMoment(call, moment),
  });
  onEnd(() => proxy.closeAll());
  const [build, nextBuild] = makeBuilds(directory);
  const env = functionEnvironment(PROJECT, emulators, food, {
    CALL_DEADLINE_SECONDS: String(CALL_DEADLINE_SECONDS),
    CREATE_LEASE_SECONDS: String(CREATE_LEASE_SECONDS),
    POLL_PAGE_SIZE: "100",
  });
  const fleet = new Fleet({ proxy, random: randomFor(options, "routes"), env, release: { build, policy }, onLine });
  onEnd(() => fleet.stop());
  const random = randomFor(options, "events");
  const isTroubled = () => system.isTroubled;
  const bridge = new Bridge({ functions: fleet, project: PROJECT, random, counts, isTroubled });
  onEnd(() => bridge.stop());
  const ticking = new AbortController();
  let ticks: Promise<unknown> = Promise.resolve();
  const stopTicks = () => {
    ticking.abort();
    return ticks;
  };
  const other = new OtherProgram(food);
  const next = { build: nextBuild, policy: nextPolicy };
  const parts = { directory, firestore, food, proxy, other, emptyReplica, fleet, bridge, counts, next, stopTicks };
  const system: ChaosSystem = { ...parts, injector: undefined, isTroubled: false };

  await bridge.subscribe(pubsub);
  Object.assign(process.env, {
    FIRESTORE_EMULATOR_HOST: firestore,
    GCLOUD_PROJECT: PROJECT,
    METADATA_SERVER_DETECTION: "none",
  });
  bridge.watch(ATTEMPTS);
  onProgress("Starting the functions");
  await fleet.start();
  onEnd(() => ticking.abort());
  signal.addEventListener("abort", () => ticking.abort());
  ticks = Promise.all([
    bridge.tickEvery(pollIntervalMs(orders), "pollOrders", ticking.signal),
    bridge.tickEvery(sweepIntervalMs(orders), "sweep", ticking.signal),
  ]);
  return system;
}

/** Places the orders while faults strike; resolves when the last fault is over. */
async function applyLoad(options: ChaosOptions, system: ChaosSystem): Promise<void> {
  const { orders, kills, onProgress, signal } = options;
  const { fleet, food, proxy, other, emptyReplica, counts, next } = system;
  const span = FIRST_KILL_MS + kills * KILL_INTERVAL_MS;
  onProgress(`Placing ${orders} orders and killing ${kills} times within ${Math.round(span / 1000)} s`);
  const lease = CREATE_LEASE_SECONDS * 1000;
  const random = randomFor(options, "faults");
  const injector = new Injector({
    ...{ fleet, food, proxy, other, emptyReplica, random, counts, kills, span, lease, next, signal },
    ends: Math.max(2, Math.round(ENDED_BY_OTHER_SHARE * orders)),
  });
  Object.assign(system, { injector, isTroubled: true });
  const counting = setInterval(() => options.onKills(injector.kills), 1_000);
  try {
    await Promise.all([place(food, orders, 0.7 * span, signal), injector.run()]);
  } finally {
    clearInterval(counting);
  }
  system.isTroubled = false;
}

async function settleAndJudge(options: ChaosOptions, system: ChaosSystem): Promise<Outcome> {
  const { orders, policy, nextPolicy, onProgress, signal } = options;
  const { directory, firestore, food, proxy, other, emptyReplica, fleet, bridge, counts, injector, stopTicks } = system;
  onProgress("No more faults: waiting until every order has ended or needs an operator");
  const isOver = await ordersSettle(options, system);
  const overAtWrite = isOver ? bridge.writes.length : Number.POSITIVE_INFINITY;
  // One more sweep, which must write nothing.
  await sleep(sweepIntervalMs(orders) + 500, undefined, { signal });
  await stopTicks();
  const unsettled = !(await bridge.settles(EVENTS_TIMEOUT_MS, signal));
  const documents = await documentsIn(firestore);

  const truth = food.truth();
  countFailures(proxy, truth, counts);
  for (const _ of endsThatStood(other.ended, truth)) counts.add("order ended by another program");
  const { calls, breaks } = proxy;
  const { deliveries, pauses } = fleet;
  const outside = { endedByOther: other.ended, emptied: emptyReplica.emptied };
  const records = { calls, breaks, deliveries, pauses, ...outside, writes: bridge.writes, truth };
  const judged = judge({
    ...records,
    documents,
    settings: settingsFor({ policy: nextPolicy, pageSize: 7, passes: 1 }),
    unsettled,
    overAtWrite,
  });
  if (judged.problems.length > 0) writeFileSync(join(directory, "records.json"), JSON.stringify(records));
  const openAtChange =
    policy === nextPolicy ? undefined : openAttempts(bridge.writes, injector?.deployedAt ?? 0, policy);
  return { ...judged, kills: injector?.kills ?? 0, faults: counts, openAtChange, directory };
}

/** Whether every order has ended or needs an operator, and every event was acknowledged, in time. */
async function ordersSettle(
  { nextPolicy, onProgress, signal }: ChaosOptions,
  { firestore, food, bridge }: ChaosSystem,
) {
  for (const deadline = Date.now() + ORDERS_TIMEOUT_MS; ; ) {
    const documents = await documentsIn(firestore);
    const active = food.truth().orders.filter((order) => whyNotSettled(order, documents, nextPolicy) !== undefined);
    const isOver = active.length === 0 && bridge.isIdle;
    if (isOver || Date.now() > deadline) return isOver;
    onProgress(`${active.length} orders are active`);
    await sleep(2_000, undefined, { signal });
  }
}

const RANDOM_PARTS = ["faults", "events", "routes"] as const;

/** Separate randomness for each part, so more draws in one part do not change the others. */
function randomFor({ seed }: ChaosOptions, part: (typeof RANDOM_PARTS)[number]): Randomness {
  return seededRandomness(seed * 7919 + 1 + RANDOM_PARTS.indexOf(part));
}

/** How many attempts of this policy were open at this time, in milliseconds since the epoch. */
function openAttempts(writes: readonly DocumentWrite[], at: number, policy: Policy): number {
  const before = writes.filter((write) => write.path.startsWith(`${ATTEMPTS}/`) && write.at <= at);
  const latest = new Map(before.map(({ path, after }) => [path, after]));
  const isOpen = (attempt: Fields | undefined) => attempt?.state === "SENDING" || attempt?.state === "UNCERTAIN";
  return [...latest.values()].filter((attempt) => isOpen(attempt) && attempt?.policy === policy).length;
}

function simulationOf({ seed, policy, nextPolicy }: ChaosOptions): SimulationOptions {
  const shares = { rejected: 0.1, cancelled: 0.08, failures: 0.01, lostAnswers: 0.01 };
  return {
    ...shares,
    speed: 600,
    delay: 20,
    seed: String(seed),
    honoursKeys: [policy, nextPolicy].includes("idempotency-key"),
  };
}

/** The build, and a copy with different bytes but the same behavior as the next release. */
function makeBuilds(directory: string): [string, string] {
  const [now, next] = ["functions", "functions-next"].map((name) => join(directory, name)) as [string, string];
  for (const target of [now, next]) {
    copyFunctions({
      source: join(ROOT, "functions"),
      target,
      project: PROJECT,
      params: {},
      secrets: {},
      withOwn: false,
    });
  }
  for (const file of readdirSync(join(next, "lib")).filter((name) => name.endsWith(".js"))) {
    appendFileSync(join(next, "lib", file), "\n// The next release.\n");
  }
  return [now, next];
}

/** Places the orders over this time, although the food service is down now and then. */
async function place(food: FoodServiceProcess, count: number, span: number, signal: AbortSignal): Promise<void> {
  const began = Date.now();
  const placing = { connection: connectionTo(food.address, food.certificate), customer: "krithik", count: 1 };
  for (let placed = 0; placed < count; ) {
    const wait = began + (placed * span) / count - Date.now();
    if (wait > 0) await sleep(wait, undefined, { signal });
    signal.throwIfAborted();
    try {
      for await (const _ of placeOrders(placing)) placed++;
    } catch (error) {
      if (!(error instanceof NotPlacedError)) throw error;
      await sleep(200, undefined, { signal });
      // The order may have been placed, and only the reply lost.
      placed = food.truth().orders.length;
    }
  }
}

async function documentsIn(firestore: string): Promise<Documents> {
  const all = new Map<string, Fields>();
  for (const collection of [RELATIONS, ATTEMPTS, HISTORY]) {
    for (const { path, fields } of await readCollection(firestore, PROJECT, collection)) all.set(path, fields);
  }
  return all;
}

/** Counts the failures that the food service caused, as opposed to the proxy. */
function countFailures(proxy: FoodServiceProxy, truth: ReturnType<FoodServiceProcess["truth"]>, counts: Counts): void {
  const made = new Map(allCreated(truth).map((one) => [one.idempotencyKey, one.createdAt]));
  for (const { status, key, at, answeredAt = 0 } of proxy.calls) {
    if (status !== 14) continue;
    counts.add("call failed");
    const createdAt = Date.parse(made.get(key) ?? "");
    if (createdAt >= at - 1 && createdAt <= answeredAt) counts.add("create's answer lost");
  }
}
