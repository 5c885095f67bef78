/** `npm run demo`: starts a system, places orders, waits until all have ended, and verifies the result. */
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { parseRelation, RELATIONS, type Relation } from "../functions/src/relations/relation.js";
import { addPortOptions, embeddedIn, portOptions, type RunnerOptions } from "../harness/cli-options.js";
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import { Progress } from "../harness/progress.js";
import type { System } from "../local/system.js";
import { numberFrom } from "../services/cli-options.js";
import { connectionTo } from "../services/food-service/connection-options.js";
import { NotPlacedError, placeOrders } from "../services/food-service/place-orders.js";
import { StartError } from "../services/server.js";
import { pathOf } from "./order-timeline.js";
import { type Running, runWithSystem } from "./run-with-system.js";
import { type Evidence, judge, whyNotEnded } from "./verify-run.js";

/** One name is too short for the user orchestrators; its order must be delivered anyway. */
const CUSTOMERS = ["krithik", "amelie", "santiago", "noor al huda", "ana", "o'brien"];

const share = numberFrom(0, 1);
const program = new Command("npm run demo --")
  .description("Runs the whole system, places orders, waits until all have ended, and verifies the result.")
  .helpOption("--help", "show this help")
  .option("--orders <number>", "how many orders", numberFrom(1, 10_000, { whole: true }), 30)
  .option("--seed <text>", "seed of the simulated food service")
  .option("--rejected <share>", "share of shipments that end REJECTED, from 0 to 1", share, 0.1)
  .option("--cancelled <share>", "share of orders that customers try to cancel, from 0 to 1", share, 0.1)
  .option("--speed <factor>", "how much faster than in reality the kitchen and drones are", numberFrom(0.01, 1e6), 120)
  .option("--interval <seconds>", "time between polls", numberFrom(0.2, 60), 1)
  .option("--deadline <seconds>", "timeout (default: 120 plus half a second per order)", numberFrom(1, 86_400))
  .addOption(new Option("--embedded", "run in one process, without Java or emulators").conflicts("emulators"))
  .option("--emulators", "require the Emulator Suite instead of falling back to embedded mode")
  .option("--json", "print only the last line to stdout", false);
addPortOptions(program, "auto").parse();

interface Options extends RunnerOptions {
  orders: number;
  seed?: string;
  rejected: number;
  cancelled: number;
  speed: number;
  interval: number;
  deadline?: number;
  json: boolean;
}
const options = program.opts<Options>();
const { orders, deadline = 120 + orders / 2 } = options;

// With --json, stdout carries only the result line; progress goes to stderr.
const out = options.json ? process.stderr : process.stdout;
const progress = new Progress({ unit: "orders ended", total: orders, out });

await runWithSystem(
  async () => {
    const { speed, rejected, cancelled, seed, interval } = options;
    return {
      ...portOptions(program, "auto"),
      foodService: { simulated: { speed, rejected, cancelled, seed } },
      embedded: embeddedIn(options),
      intervals: { pollOrders: interval, sweep: Math.max(interval, 5) },
      params: { POLL_PASSES: "1" },
      onProgress: (message) => progress.news(message),
      onTrouble: (message) => progress.news(message),
    };
  },
  demonstrate,
  130,
);

async function demonstrate({ system, signal }: Running): Promise<number> {
  const foodServer = system.foodServer as FoodServiceProcess;
  const began = Date.now();
  progress.news(`Ready. Placing ${orders} orders`);
  const placed = await place(foodServer);
  system.scheduler.start();

  const evidence = async (): Promise<Evidence> => ({
    placed,
    truth: foodServer.truth(),
    relations: await relationsIn(system),
  });
  const stopped = system.failed.then((reason) => {
    throw new StartError(`${reason}.`);
  });
  // Stopping also ends the suite, which is not a failure.
  stopped.catch(() => undefined);
  let now = await evidence();
  let lookMs = 0;
  while (unended(now).length > 0 && Date.now() - began < deadline * 1000) {
    progress.to(orders - unended(now).length);
    // Counting many orders must not become the main load, and the end must not be noticed late.
    const pauseMs = Math.min(Math.max(500, 3 * lookMs), 3_000);
    await Promise.race([sleep(pauseMs, undefined, { signal }), stopped]);
    const lookedAt = Date.now();
    now = await evidence();
    lookMs = Date.now() - lookedAt;
  }
  const seconds = Math.round((Date.now() - began) / 100) / 10;
  progress.to(orders - unended(now).length);
  progress.end();

  const { summary, problems, notes } = judge(now);
  if (!options.json) {
    for (const order of now.truth.orders) progress.news(pathOf(order, now.relations.get(order.name), now.truth));
  }
  for (const note of notes) progress.news(`Note: ${note}`);
  for (const problem of problems) progress.news(`Wrong: ${problem}`);
  if (problems.length > 0) progress.news(`The log of the functions is ${system.log}`);
  console.log(JSON.stringify({ ...summary, seconds }));
  return problems.length > 0 ? 1 : 0;
}

async function place(foodServer: FoodServiceProcess): Promise<string[]> {
  const { address: server, certificate } = foodServer;
  const placed: string[] = [];
  try {
    for (let index = 0; index < orders; index++) {
      const customer = CUSTOMERS[index % CUSTOMERS.length] as string;
      const placing = { connection: connectionTo(server, certificate), customer, count: 1 };
      placed.push(...(await Array.fromAsync(placeOrders(placing))));
    }
  } catch (error) {
    throw error instanceof NotPlacedError ? new StartError(error.message, { cause: error }) : error;
  }
  return placed;
}

async function relationsIn({ documents: read }: System): Promise<Map<string, Relation>> {
  const documents = await read(RELATIONS);
  return new Map(
    documents.map(({ path, fields }) => parseRelation(path, fields)).map((relation) => [relation.order, relation]),
  );
}

/** The orders that have not ended on both sides. */
function unended({ placed, truth, relations }: Evidence): string[] {
  const known = new Map(truth.orders.map((order) => [order.name, order]));
  return placed.filter((name) => whyNotEnded(known.get(name), relations.get(name)) !== undefined);
}
