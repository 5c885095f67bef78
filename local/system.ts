/**
 * The whole system on this machine: Emulator Suite, functions, local scheduler and food service. Shared by the programs that
 * start it and the tests.
 */

import { createWriteStream, readFileSync } from "node:fs";
import { join } from "node:path";
import type { FoodServiceConnection } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { FoodServiceProcess, type SimulationOptions } from "../harness/food-service-process.js";
import { choosePorts, type NamedListener, type Ports } from "../harness/process/free-ports.js";
import { ROOT } from "../harness/root.js";
import { makeRunDirectory } from "../harness/run-directory.js";
import { connectionTo, environmentOf } from "../services/food-service/connection-options.js";
import { startInProcess } from "../services/users/in-process.js";
import { lineLog } from "../services/users/log.js";
import { provideConsole } from "./built-console.js";
import { type DataDirectory, openDataDirectory } from "./data-directory.js";
import { startEmbedded } from "./embedded.js";
import type { Runner, RunnerOptions } from "./runner.js";
import { Scheduler } from "./scheduler.js";
import { inFile, inMemory, type OpenStorage } from "./storage.js";
import { findPrograms, startInSuite } from "./suite-runner.js";

export interface SystemOptions {
  /** "auto" takes free ports for everything, a number that many from there on, "usual" those in firebase.json. */
  portsFrom?: "auto" | "usual" | number;
  ports?: Partial<Record<NamedListener, number>>;
  /** Undefined for a run without a food service of its own. */
  foodService?: { given: FoodServiceConnection } | { simulated: SimulationOptions; certificates?: string } | undefined;
  /** The interval of each scheduled function in seconds, instead of its own schedule. */
  intervals?: { pollOrders?: number; sweep?: number } | undefined;
  /** Orchestrator 1 of an external user chain, as host:port, instead of one started by this run. */
  users?: string | undefined;
  /** Whether to run in one process, without Java or emulators; undefined to decide by what the machine has. */
  embedded?: boolean | undefined;
  /** The folder that persists documents, accounts and the simulated food service; undefined if they are not persisted. */
  data?: string | undefined;
  /** Whether to attach to a running Firestore, whose host is in FIRESTORE_EMULATOR_HOST, instead of starting one. */
  firestore?: { project: string } | undefined;
  /** Params of the functions by name. */
  params?: Record<string, string>;
  /** Whether the person's own params in functions/.env* apply if this run does not set them. */
  withOwnParams?: boolean;
  /** Receives progress messages during start-up. */
  onProgress?(message: string): void;
  /** Receives a message for each problem after start-up. */
  onTrouble?(message: string): void;
  /** Whether a system that runs embedded serves the console; the Emulator Suite's hosting always does. */
  withConsole?: boolean;
  /** Cancels the start when aborted. */
  signal?: AbortSignal;
}

export interface System extends Runner {
  /** The folder of this run. */
  directory: string;
  /** The folder of its persistent state; undefined if it has none. */
  data: string | undefined;
  /** Orchestrator 1 of the user chain, as host:port. */
  users: string;
  /** Undefined for a system without any. */
  foodService: FoodServiceConnection | undefined;
  /** The food service, if it is the simulated one. */
  foodServer: FoodServiceProcess | undefined;
  /** Stops everything and resolves when nothing runs and nothing listens. */
  stop(): Promise<void>;
}

/**
 * Starts the system and resolves when all of it responds.
 * @throws StartError that says why it could not start; everything that was started is stopped again
 */
export async function startSystem(options: SystemOptions): Promise<System> {
  const parts = new AsyncDisposableStack();
  try {
    const system = await startParts(options, parts);
    return { ...system, stop: () => parts.disposeAsync() };
  } catch (error) {
    await parts.disposeAsync();
    throw error;
  }
}

async function startParts(options: SystemOptions, parts: AsyncDisposableStack): Promise<Omit<System, "stop">> {
  const { onProgress = () => {}, onTrouble = () => {}, signal = new AbortController().signal } = options;
  const { embedded, intervals, withOwnParams = false } = options;
  const isEmbedded = embedded === true || options.firestore !== undefined;
  const programs = isEmbedded ? undefined : await findPrograms(embedded === false, onProgress, signal);
  const ports = await portsFor(options, programs !== undefined);
  signal.throwIfAborted();
  const directory = makeRunDirectory(ROOT);
  const data = options.data === undefined ? undefined : openDataDirectory(options.data);
  if (data) parts.defer(async () => data.close());
  const shared = { directory, data, ports, intervals, parts, onProgress, onTrouble, signal };
  const { foodService, foodServer } = await startFoodService(options, shared);
  const users = options.users ?? (await startOwnUsers(directory, parts));
  const { params, secrets } = foodService ? environmentOf(foodService) : { params: {}, secrets: {} };
  const runnerOptions = { ...shared, params: { USERS_ADDRESS: users, ...params, ...options.params }, secrets };
  const runner = programs
    ? await startInSuite({ ...runnerOptions, ...programs, withOwnParams })
    : await startInThisProcess(runnerOptions, await storageFor(options, data), options.withConsole);
  return { ...runner, directory, data: data?.path, users, foodService, foodServer };
}

/** The food service of a run. Starts it if it is the simulated one. */
async function startFoodService(
  { foodService }: SystemOptions,
  { directory, data, ports, parts, onProgress, onTrouble, signal }: Omit<RunnerOptions, "params" | "secrets">,
): Promise<Pick<System, "foodService" | "foodServer">> {
  if (!foodService) return { foodService, foodServer: undefined };
  if ("given" in foodService) return { foodService: foodService.given, foodServer: undefined };
  onProgress("Starting the simulated food service");
  const foodServer = await FoodServiceProcess.start({
    directory: data?.path ?? directory,
    certificates: foodService.certificates ?? join(directory, "certificates"),
    port: ports.foodService,
    simulation: foodService.simulated,
    onDeath: onTrouble,
    signal,
  });
  parts.defer(() => foodServer.stop());
  return { foodService: connectionTo(foodServer.address, foodServer.certificate), foodServer };
}

async function startOwnUsers(directory: string, parts: AsyncDisposableStack): Promise<string> {
  const log = createWriteStream(join(directory, "users.log"));
  parts.defer(() => new Promise((resolve) => log.end(resolve)));
  const users = await startInProcess((server) => lineLog(server, (lines) => log.write(lines)));
  parts.defer(() => users.stop());
  return users.orchestrator1.address;
}

async function storageFor({ firestore }: SystemOptions, data: DataDirectory | undefined): Promise<OpenStorage> {
  if (firestore) return (await import("./firestore-storage.js")).inFirestore(firestore.project);
  return data ? inFile(data.documents) : inMemory;
}

async function startInThisProcess(
  { directory, params, secrets, ports, intervals, parts, onTrouble }: RunnerOptions,
  openStorage: OpenStorage,
  withConsole = false,
): Promise<Runner> {
  const dist = join(directory, "console");
  if (withConsole) await provideConsole(dist);
  const consoleAt = withConsole ? { port: ports.hosting, dist } : undefined;
  const embedded = await startEmbedded(directory, { ...params, ...secrets }, openStorage, consoleAt);
  parts.defer(() => embedded.stop());
  const scheduler = new Scheduler(embedded.scheduled, embedded.fire, { intervals, onTrouble });
  parts.defer(async () => scheduler.stop());
  return {
    suite: undefined,
    console: embedded.console,
    documents: embedded.documents,
    store: embedded.store,
    scheduler,
    log: embedded.log,
    // It lives in this process, and ends with it.
    failed: new Promise(() => {}),
  };
}

async function portsFor(
  { portsFrom = "usual", ports = {}, withConsole = false, foodService }: SystemOptions,
  withSuite: boolean,
): Promise<Ports> {
  const isSimulated = foodService !== undefined && "simulated" in foodService;
  return choosePorts({
    from: portsFrom === "usual" ? usualPorts() : portsFrom,
    chosen: ports,
    isNeeded: (listener) =>
      listener === "foodService" ? isSimulated : withSuite || (listener === "hosting" && withConsole),
  });
}

/** The ports in firebase.json, and the food service's own. */
function usualPorts(): Record<NamedListener, number> {
  const { emulators } = JSON.parse(readFileSync(join(ROOT, "firebase.json"), "utf8")) as {
    emulators: Record<Exclude<NamedListener, "foodService">, { port: number }>;
  };
  const { hosting, functions, firestore, pubsub, auth } = emulators;
  return {
    hosting: hosting.port,
    functions: functions.port,
    firestore: firestore.port,
    pubsub: pubsub.port,
    auth: auth.port,
    foodService: 50051,
  };
}
