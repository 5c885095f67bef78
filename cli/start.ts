/** `npm start`: the whole system on this machine, until Ctrl-C. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { addPortOptions, embeddedIn, numberFrom, portOptions, type RunnerOptions } from "../harness/cli-options.js";
import { PASSWORD, PEOPLE } from "../harness/emulators/test-accounts.js";
import { quoteForShell } from "../harness/process/shell.js";
import { ROOT } from "../harness/root.js";
import type { System, SystemOptions } from "../local/system.js";
import {
  addConnectionOptions,
  type ConnectionFlags,
  givenConnectionFlags,
  readConnection,
} from "../services/food-service/connection-options.js";
import { readAddress } from "../services/food-service/options.js";
import { checkFoodService } from "./check-food-service.js";
import { countOrders, lineOf } from "./order-counts.js";
import { type Running, runWithSystem } from "./run-with-system.js";
import { Screen } from "./terminal-status.js";

/** Where `npm run order` looks for the certificate. */
const CERTIFICATES = join(ROOT, ".local", "food-service");

const share = numberFrom(0, 1);

/** An option that is about the simulated food service only. */
const simulated = (flags: string, description: string) => new Option(flags, description).conflicts("server");

const program = new Command("npm start --")
  .description(
    "Runs the whole system on this machine: Firebase's Emulator Suite with the functions, and a food service.",
  )
  .helpOption("--help", "show this")
  .option("--server <host:port>", "use this food service instead of a simulated one", readAddress)
  .addOption(new Option("--embedded", "run in one process, without Java or emulators").conflicts("emulators"))
  .option("--emulators", "insist on the Emulator Suite, even where this machine lacks something for it")
  .option("--users <host:port>", "use this orchestrator 1 instead of a user chain of its own", readAddress)
  .option("--interval <seconds>", "poll so often, instead of at POLL_SCHEDULE", numberFrom(0.5, 86_400))
  .addOption(
    simulated("--speed <factor>", "how much faster than real kitchen and drones are").argParser(numberFrom(0.01, 1e6)),
  )
  .addOption(simulated("--rejected <share>", "share of shipments that end REJECTED, from 0 to 1").argParser(share))
  .addOption(
    simulated("--cancelled <share>", "share of orders that customers mean to cancel, from 0 to 1").argParser(share),
  )
  .addOption(simulated("--seed <text>", "decides every draw of the simulated food service"));
addConnectionOptions(program, "the roots of Node.js");
addPortOptions(program, "usual").parse();

interface Options extends RunnerOptions, ConnectionFlags {
  users?: string;
  server?: string;
  interval?: number;
  speed?: number;
  rejected?: number;
  cancelled?: number;
  seed?: string;
}
const options = program.opts<Options>();
const [alone] = options.server === undefined ? givenConnectionFlags(options) : [];
if (alone !== undefined) program.error(`error: ${alone} goes with --server`);

const screen = new Screen(process.stdout);
await runWithSystem(systemOptions, show);

async function systemOptions(): Promise<SystemOptions> {
  return {
    ...portOptions(program, "usual"),
    foodService: await foodService(),
    users: options.users,
    embedded: embeddedIn(options),
    interval: options.interval,
    // One pass a run: the interval is as fine as it should be.
    params: options.interval === undefined ? {} : { POLL_PASSES: "1" },
    withOwnParams: true,
    onProgress: (message) => console.log(message),
    onTrouble: (message) => screen.news(message),
  };
}

async function foodService(): Promise<Exclude<SystemOptions["foodService"], undefined>> {
  const { server, speed = 60, rejected = 0, cancelled = 0, seed } = options;
  if (server === undefined) {
    return { simulated: { speed, rejected, cancelled, seed }, certificates: CERTIFICATES };
  }
  const connection = readConnection(server, options);
  await checkFoodService(connection);
  return { given: connection };
}

/** Shows where everything is, then how many orders are where, until Ctrl-C or until the system ends by itself. */
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
  let pause = 1_000;
  while (!signal.aborted && status === undefined) {
    const began = Date.now();
    await countOrders(system.documents).then(
      (counts) => screen.status(`Orders: ${lineOf(counts)}`),
      // It is just ending, or busy: the next look tells.
      () => undefined,
    );
    // Looking at very many orders must not become the main work.
    pause = Math.max(1_000, 10 * (Date.now() - began));
    await Promise.race([sleep(pause, undefined, { signal }).catch(() => undefined), failed]);
  }
  screen.end();
  if (signal.aborted) console.log("Stopping");
  return status ?? 0;
}

function readyBlock({ suite, users, foodService, foodServer, scheduler, log }: System): string {
  const fired = scheduler.functions.map(({ name, schedule }) =>
    options.interval === undefined ? `${name} at "${schedule}"` : `${name} every ${options.interval} s`,
  );
  const isUsual = foodServer?.address.endsWith(":50051");
  const where = isUsual
    ? ""
    : ` --server ${foodServer?.address} --certificate ${quoteForShell(foodServer?.certificatePath ?? "")}`;
  const places = suite
    ? [
        `  Operators' page   ${suite.hosting}`,
        ...PEOPLE.map(({ email }) => `    sign in as      ${email}, password ${PASSWORD}`),
        `  Functions         ${suite.functions}`,
        `  Firestore         ${suite.firestore}`,
      ]
    : ["  Embedded          in this process; documents are gone when it ends"];
  return [
    "",
    "Ready",
    ...places,
    `  Food service      ${foodService?.FOOD_SERVICE_ADDRESS}${foodServer ? ", simulated" : ""}`,
    `  Users             ${users}`,
    `  Fired             ${fired.join(", ") || "nothing: no function has a schedule"}`,
    `  Log               ${log}`,
    ...(foodServer ? ["", `Place an order:  npm run order -- --customer krithik${where}`] : []),
    "Stop with Ctrl-C.",
    "",
  ].join("\n");
}
