/** One run of real processes under faults, from the first process to the verdict. */
import { appendFileSync, createWriteStream, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import { ATTEMPTS } from "../functions/src/attempts/attempt.js";
import type { Fields } from "../functions/src/ports.js";
import { HISTORY } from "../functions/src/relations/history.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { readCollection } from "../harness/emulators/firestore-rest.js";
import { copyFunctions } from "../harness/emulators/functions-copy.js";
import { startEmulators, subscribe } from "../harness/emulators/standalone.js";
import { PROJECT } from "../harness/emulators/suite.js";
import { Bridge, SHARES, SUBSCRIBERS } from "../harness/event-bridge.js";
import { FoodProcess } from "../harness/food-service-child.js";
import { FoodGate } from "../harness/food-service-proxy.js";
import type { Child } from "../harness/process/child-process.js";
import { choosePorts } from "../harness/process/free-ports.js";
import { ROOT } from "../harness/root.js";
import { makeRunDirectory } from "../harness/run-directory.js";
import { connectionTo } from "../services/food-service/connection-options.js";
import { NotPlacedError, placeOrders } from "../services/food-service/place-orders.js";
import { settingsFor } from "../simulation/schedule.js";
import { Counts, Injector } from "./fault-injector.js";
import { Fleet } from "./fleet.js";
import { type Documents, type Judged, judge, unrest } from "./verdict.js";

export interface ChaosOptions {
  orders: number;
  kills: number;
  policy: "park" | "idempotency-key";
  seed: number;
  onProgress(message: string): void;
  /** Is told now and then how often a process was killed so far. */
  onKills(kills: number): void;
  signal: AbortSignal;
}

export interface Outcome extends Judged {
  kills: number;
  faults: Counts;
  /** Where the logs are. */
  directory: string;
}

const CALL_DEADLINE = 2;
const CREATE_LEASE = 5;

/** The time between two polls, in milliseconds: each brings every order that is under way. */
const pollEvery = (orders: number) => Math.min(5_000, 1_200 + 10 * orders);

const sweepEvery = (orders: number) => Math.min(10_000, 3_000 + 20 * orders);

/** The time for each kill, and before the first, in milliseconds: an instance takes most of a second of a processor to start. */
const PER_KILL = 1_100;
const FIRST = 2_000;

/** Once faults have stopped, all orders must come to rest within this time, in milliseconds. */
const REST = 100_000;

/** Then every event must be taken within this time, in milliseconds. */
const SETTLING = 30_000;

/** Runs it; whatever was started is stopped again. */
export async function runChaos(options: ChaosOptions): Promise<Outcome> {
  const stops: (() => Promise<unknown> | unknown)[] = [];
  try {
    return await runIn(options, (stop) => stops.push(stop));
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

async function runIn(options: ChaosOptions, onEnd: (stop: () => Promise<unknown> | unknown) => void): Promise<Outcome> {
  const { orders, kills, policy, seed, onProgress, signal } = options;
  const randoms = [1, 2, 3, 4].map((part) => seededRandomness(seed * 7919 + part));
  const [forFaults, forEvents, forRoutes] = randoms as [
    (typeof randoms)[0] & object,
    (typeof randoms)[0] & object,
    (typeof randoms)[0] & object,
  ];
  const directory = makeRunDirectory(ROOT);
  const log = createWriteStream(join(directory, "chaos.log"));
  onEnd(() => new Promise((resolve) => log.end(resolve)));
  const onLine = (line: string) => log.write(`${new Date().toISOString()} ${line}\n`);

  onProgress("Starting the emulators and the food service");
  const ports = await choosePorts({ from: "auto" });
  const [firestore, pubsub] = [`127.0.0.1:${ports.firestore}`, `127.0.0.1:${ports.pubsub}`];
  const emulators = await startEmulators({
    root: ROOT,
    directory,
    ports: { firestore: ports.firestore, pubsub: ports.pubsub },
    onLine,
    signal,
  });
  onEnd(() => Promise.all(emulators.map((child: Child) => child.stop("SIGKILL", 0))));
  const food = await FoodProcess.start({
    root: ROOT,
    directory,
    port: ports.foodService,
    args: foodArguments(options),
    onLine,
  });
  onEnd(() => food.kill());

  const counts = new Counts();
  let injector: Injector | undefined;
  const gate = new FoodGate({
    key: food.key,
    certificate: food.certificate,
    foodServicePort: ports.foodService,
    onMoment: (call, moment) => injector?.onMoment(call, moment),
  });
  onEnd(() => gate.closeAll());
  const [build, nextBuild] = makeBuilds(directory);
  const env = environment(options, { firestore, pubsub, certificate: food.certificate });
  const fleet = new Fleet({ gate, random: forRoutes, root: ROOT, env, build, onLine });
  onEnd(() => fleet.stop());
  let troubled = false;
  const bridge = new Bridge({ fleet, project: PROJECT, random: forEvents, counts, isTroubled: () => troubled });
  onEnd(() => bridge.stop());
  const pushPort = await bridge.listen();
  for (const [name, topic] of Object.entries(SUBSCRIBERS)) {
    const shares = Array.from({ length: SHARES }, (_, share) => `http://127.0.0.1:${pushPort}/${name}/${share}`);
    await subscribe(pubsub, PROJECT, topic, shares);
  }
  Object.assign(process.env, {
    FIRESTORE_EMULATOR_HOST: firestore,
    GCLOUD_PROJECT: PROJECT,
    METADATA_SERVER_DETECTION: "none",
  });
  bridge.watch(ATTEMPTS);
  onProgress("Starting the functions");
  await fleet.start();

  const ticking = new AbortController();
  onEnd(() => ticking.abort());
  signal.addEventListener("abort", () => ticking.abort());
  const ticks = [
    bridge.tickEvery(pollEvery(orders), "pollOrders", ticking.signal),
    bridge.tickEvery(sweepEvery(orders), "sweep", ticking.signal),
  ];

  const span = FIRST + kills * PER_KILL;
  onProgress(`Placing ${orders} orders and killing ${kills} times within ${Math.round(span / 1000)} s`);
  const lease = CREATE_LEASE * 1000;
  injector = new Injector({ fleet, food, gate, random: forFaults, counts, kills, span, lease, nextBuild, signal });
  troubled = true;
  const counting = setInterval(() => options.onKills(injector?.kills ?? 0), 1_000);
  onEnd(() => clearInterval(counting));
  const placing = place(food, orders, 0.7 * span, signal);
  await Promise.all([placing, injector.run()]);
  troubled = false;

  onProgress("No more faults: waiting until every order has ended or waits for an operator");
  const deadline = Date.now() + REST;
  let documents = await documentsIn(firestore);
  let isOver = false;
  for (;;) {
    const restless = food.truth().orders.filter((order) => unrest(order, documents) !== undefined);
    isOver = restless.length === 0 && bridge.isIdle;
    if (isOver || Date.now() > deadline) break;
    onProgress(`${restless.length} orders are under way`);
    await sleep(2_000, undefined, { signal });
    documents = await documentsIn(firestore);
  }
  const overAtWrite = isOver ? bridge.writes.length : Number.POSITIVE_INFINITY;
  // One more look at everything: nothing may be written any more.
  await sleep(sweepEvery(orders) + 500, undefined, { signal });
  ticking.abort();
  await Promise.all(ticks);
  const unsettled = !(await bridge.settles(SETTLING, signal));
  documents = await documentsIn(firestore);

  const truth = food.truth();
  countFailures(gate, truth, counts);
  const { calls, breaks } = gate;
  const { deliveries, pauses } = fleet;
  const records = { calls, breaks, deliveries, pauses, writes: bridge.writes, truth };
  const judged = judge({ ...records, documents, settings: settingsFor(policy), unsettled, overAtWrite });
  if (judged.problems.length > 0) writeFileSync(join(directory, "records.json"), JSON.stringify(records));
  return { ...judged, kills: injector.kills, faults: counts, directory };
}

function foodArguments({ seed, policy }: ChaosOptions): string[] {
  const shares = ["--rejected", "0.1", "--cancelled", "0.08", "--failures", "0.01", "--lost-answers", "0.01"];
  const honours = policy === "idempotency-key" ? ["--honours-keys"] : [];
  return ["--speed", "600", "--delay", "20", "--seed", String(seed), ...shares, ...honours];
}

/** The build as it is, and a copy of it as the next release would be: the same but for its bytes. */
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

function environment(
  { policy }: ChaosOptions,
  { firestore, pubsub, certificate }: { firestore: string; pubsub: string; certificate: string },
): Record<string, string> {
  return {
    GCLOUD_PROJECT: PROJECT,
    FIREBASE_CONFIG: JSON.stringify({ projectId: PROJECT }),
    FIRESTORE_EMULATOR_HOST: firestore,
    PUBSUB_EMULATOR_HOST: pubsub,
    METADATA_SERVER_DETECTION: "none",
    FOOD_SERVICE_CA: certificate,
    CALL_DEADLINE_SECONDS: String(CALL_DEADLINE),
    CREATE_LEASE_SECONDS: String(CREATE_LEASE),
    CREATE_POLICY: policy,
    POLL_PAGE_SIZE: "100",
    // Customers are looked up by nothing here.
    USERS_SECURITY: "tls",
  };
}

/** Places the orders over this time, past a food service that is down now and then. */
async function place(food: FoodProcess, count: number, span: number, signal: AbortSignal): Promise<void> {
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
      // The order may have been taken, and only its answer lost.
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

/** Counts what the food service did to calls by itself. */
function countFailures(gate: FoodGate, truth: ReturnType<FoodProcess["truth"]>, counts: Counts): void {
  const made = new Map([...truth.kitchenOrders, ...truth.shipments].map((one) => [one.idempotencyKey, one.createdAt]));
  for (const { status, key, at, answeredAt = 0 } of gate.calls) {
    if (status !== 14) continue;
    counts.add("call failed");
    const createdAt = Date.parse(made.get(key) ?? "");
    if (createdAt >= at - 1 && createdAt <= answeredAt) counts.add("create's answer lost");
  }
}
