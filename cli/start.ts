/** `npm start`: the whole system on this machine, until Ctrl-C. */
import { join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import type { FoodServiceConnection } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { addPortOptions, embeddedIn, portOptions, type RunnerOptions } from "../harness/cli-options.js";
import { hasDocuments } from "../harness/emulators/firestore-rest.js";
import { PROJECT } from "../harness/emulators/suite.js";
import { PASSWORD, PEOPLE } from "../harness/emulators/test-accounts.js";
import { quoteForShell } from "../harness/process/shell.js";
import { Screen } from "../harness/progress.js";
import { ROOT } from "../harness/root.js";
import { hasState } from "../local/data-directory.js";
import { FoodServiceView } from "../local/food-service-view.js";
import { describeSchedule } from "../local/scheduler.js";
import type { System, SystemOptions } from "../local/system.js";
import { numberFrom, readAddress } from "../services/cli-options.js";
import {
  addConnectionOptions,
  type ConnectionFlags,
  givenConnectionFlags,
  readConnection,
} from "../services/food-service/connection-options.js";
import { StartError } from "../services/server.js";
import { checkFoodService, UnreachableError } from "./check-food-service.js";
import { countOrders, lineOf } from "./order-counts.js";
import { type Running, runWithSystem } from "./run-with-system.js";

/** Where `npm run order` looks for the certificate. */
const CERTIFICATES = join(ROOT, ".local", "food-service");

/** The interval of checks for something that isn't up yet, in milliseconds. */
const RETRY_MS = 1_000;

const NO_ORDERS = { names: [], isAll: true };

const share = numberFrom(0, 1);

/** An option that is about the simulated food service only. */
const simulated = (flags: string, description: string) => new Option(flags, description).conflicts("server");

const program = new Command("npm start --")
  .description(
    "Runs the whole system on this machine: Firebase's Emulator Suite with the functions, and a food service.",
  )
  .helpOption("--help", "show this help")
  .option("--server <host:port>", "use this food service instead of a simulated one", readAddress)
  .addOption(new Option("--embedded", "run in one process, without Java or emulators").conflicts("emulators"))
  .option("--emulators", "require the Emulator Suite instead of falling back to embedded mode")
  .option("--users <host:port>", "use this orchestrator 1 instead of starting the user orchestrators", readAddress)
  .option("--interval <seconds>", "time between polls", numberFrom(0.5, 86_400), 5)
  .option(
    "--data <folder>",
    "persist documents, accounts and the simulated food service in this folder (default with --server: a folder under .local/state)",
  )
  .option("--fresh", "start without earlier state although the food service has active orders; deletes nothing", false)
  .option(
    "--project <id>",
    "the project in the Firestore that FIRESTORE_EMULATOR_HOST names",
    process.env.GCLOUD_PROJECT ?? PROJECT,
  )
  .addOption(
    simulated("--speed <factor>", "how much faster than in reality the kitchen and drones are").argParser(
      numberFrom(0.01, 1e6),
    ),
  )
  .addOption(simulated("--rejected <share>", "share of shipments that end REJECTED, from 0 to 1").argParser(share))
  .addOption(
    simulated("--cancelled <share>", "share of orders that customers try to cancel, from 0 to 1").argParser(share),
  )
  .addOption(simulated("--seed <text>", "seed of the simulated food service"));
addConnectionOptions(program, "Node.js' own roots");
addPortOptions(program, "usual").parse();

interface Options extends RunnerOptions, ConnectionFlags {
  users?: string;
  server?: string;
  interval: number;
  data?: string;
  fresh: boolean;
  project: string;
  speed?: number;
  rejected?: number;
  cancelled?: number;
  seed?: string;
}
const options = program.opts<Options>();
const [alone] = options.server === undefined ? givenConnectionFlags(options) : [];
if (alone !== undefined) program.error(`error: ${alone} requires --server`);

/** A Firestore that is running already, as host:port. */
const firestore = process.env.FIRESTORE_EMULATOR_HOST || undefined;
if (firestore !== undefined && (options.emulators || options.data !== undefined)) {
  program.error(
    `error: FIRESTORE_EMULATOR_HOST=${firestore} attaches to that Firestore, so it can't be combined with --emulators or --data`,
  );
}

const screen = new Screen(process.stdout);
await runWithSystem(systemOptions, show);

async function systemOptions(signal: AbortSignal): Promise<SystemOptions> {
  const { interval, project } = options;
  const data = dataDirectory();
  const foodServiceOptions = await foodService(signal);
  if (firestore !== undefined) await waitForFirestore(firestore, signal);
  if (foodServiceOptions && "given" in foodServiceOptions) {
    const hasRelations = data === undefined ? await hasDocuments(firestore ?? "", project, RELATIONS) : hasState(data);
    if (!hasRelations) await confirmFreshStart(foodServiceOptions.given, data);
  }
  return {
    ...portOptions(program, "usual"),
    foodService: foodServiceOptions,
    users: options.users,
    embedded: embeddedIn(options),
    data,
    firestore: firestore === undefined ? undefined : { project },
    intervals: { pollOrders: interval },
    // One pass per run, since the interval is already short.
    params: { POLL_PASSES: "1" },
    withOwnParams: true,
    withConsole: true,
    onProgress: (message) => console.log(message),
    onTrouble: (message) => screen.news(message),
  };
}

/** The folder of this run's state, one per food service; undefined if the state is not persisted. */
function dataDirectory(): string | undefined {
  const { data, server } = options;
  if (data !== undefined) return resolve(data);
  if (server === undefined || firestore !== undefined) return undefined;
  return join(ROOT, ".local", "state", server.replace(/[^\w.-]/g, "_"));
}

async function foodService(signal: AbortSignal): Promise<Exclude<SystemOptions["foodService"], undefined>> {
  const { server, speed = 60, rejected = 0, cancelled = 0, seed } = options;
  if (server === undefined) {
    return { simulated: { speed, rejected, cancelled, seed }, certificates: CERTIFICATES };
  }
  const connection = readConnection(server, options);
  await waitForServer(connection, signal);
  return { given: connection };
}

/** Resolves when the food service responds. If it isn't up yet, says so and waits. */
async function waitForServer(connection: FoodServiceConnection, signal: AbortSignal): Promise<void> {
  for (let said = false; ; said = true) {
    try {
      return await checkFoodService(connection);
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      if (!said) console.log(`${error.message}\nWaiting for the food service. Stop with Ctrl-C.`);
    }
    await sleep(RETRY_MS, undefined, { signal });
  }
}

async function waitForFirestore(host: string, signal: AbortSignal): Promise<void> {
  for (let said = false; ; said = true) {
    try {
      await fetch(`http://${host}/`);
      return;
    } catch {
      if (!said) console.log(`Nothing answers on FIRESTORE_EMULATOR_HOST=${host}. Waiting for it. Stop with Ctrl-C.`);
    }
    await sleep(RETRY_MS, undefined, { signal });
  }
}

/**
 * Without their relations, orders that an earlier run sent to the kitchen need an operator, and NEW ones may be cooked twice.
 * @throws StartError unless the user confirms
 */
async function confirmFreshStart(connection: FoodServiceConnection, data: string | undefined): Promise<void> {
  const view = new FoodServiceView(connection);
  const found = await view.findOrderPastNew().finally(() => view.close());
  if (found === undefined || options.fresh) return;
  const place = data ?? `the project ${options.project} in the Firestore on ${firestore}`;
  const problem = [
    `There is no earlier state in ${place}, but the food service has active orders: ${found}.`,
    "Without the state of the run that advanced them, meals in preparation may be cooked twice.",
  ].join("\n");
  if (process.stdin.isTTY && process.stdout.isTTY) {
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await terminal.question(`${problem}\nStart without it? [y/N] `);
    terminal.close();
    if (/^y(es)?$/i.test(answer.trim())) return;
    throw new StartError("Not started. Name the folder of that run with --data.");
  }
  throw new StartError(
    `${problem}\nName the folder of that run with --data, or its Firestore with FIRESTORE_EMULATOR_HOST and --project; --fresh starts without it.`,
  );
}

/** Shows all addresses, then the order counts, until Ctrl-C or until the system stops. */
async function show({ system, signal }: Running): Promise<number> {
  system.scheduler.start();
  console.log(readyBlock(system));
  const failed = system.failed.then((reason) => {
    if (signal.aborted) return;
    screen.news(reason);
    return 1;
  });
  let status: number | undefined;
  void failed.then((failure) => (status = failure));
  const view = system.foodService && new FoodServiceView(system.foodService);
  let pause = 1_000;
  while (!signal.aborted && status === undefined) {
    const began = Date.now();
    await countOrders(system.store, async () => (await view?.newOrders()) ?? NO_ORDERS).then(
      (counts) => screen.status(`Orders: ${lineOf(counts)}`),
      // The system is ending or busy; the next count will show.
      () => undefined,
    );
    // Counting many orders must not become the main load, and the line must not stay outdated for long after a slow count.
    pause = Math.min(10_000, Math.max(1_000, 10 * (Date.now() - began)));
    await Promise.race([sleep(pause, undefined, { signal }).catch(() => undefined), failed]);
  }
  view?.close();
  screen.end();
  if (signal.aborted) console.log("Stopping");
  return status ?? 0;
}

function describeState(data: string | undefined): string {
  if (firestore !== undefined) return `project ${options.project} in the Firestore on ${firestore}`;
  return data ?? "in memory, lost when this run ends; use --data to persist it";
}

function readyBlock({
  suite,
  console: operatorConsole,
  users,
  foodService,
  foodServer,
  scheduler,
  log,
  data,
}: System): string {
  const intervals = { pollOrders: options.interval };
  const schedules = scheduler.functions.map(
    ({ name, schedule }) => `${name} ${describeSchedule(name, schedule, intervals)}`,
  );
  const isUsual = foodServer?.address.endsWith(":50051");
  const where = isUsual
    ? ""
    : ` --server ${foodServer?.address} --certificate ${quoteForShell(foodServer?.certificatePath ?? "")}`;
  const places = suite
    ? [
        `  Console           ${suite.hosting}`,
        ...PEOPLE.map(({ email }) => `    sign in as      ${email}, password ${PASSWORD}`),
        `  Functions         ${suite.functions}`,
        `  Firestore         ${suite.journal ?? suite.firestore}`,
      ]
    : [`  Console           ${operatorConsole}`, "  Embedded          in this process"];
  return [
    "",
    "Ready",
    ...places,
    `  State             ${describeState(data)}`,
    `  Food service      ${foodService?.FOOD_SERVICE_ADDRESS}${foodServer ? ", simulated" : ""}`,
    `  Users             ${users}`,
    `  Schedules         ${schedules.join(", ") || "none: no function has a schedule"}`,
    `  Log               ${log}`,
    ...(foodServer ? ["", `Place an order:  npm run order -- --customer krithik${where}`] : []),
    "Stop with Ctrl-C.",
    "",
  ].join("\n");
}
