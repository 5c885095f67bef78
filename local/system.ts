/**
 * The whole system on this machine: Emulator Suite, functions, local scheduler and food service. What starts it, shows it
 * and tests it shares this.
 */

import { createWriteStream, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { FoodServiceConnection } from "../functions/src/adapters/firebase/grpc-food-service.js";
import type { Snapshot, Store } from "../functions/src/ports.js";
import { downloadEmulator } from "../harness/emulators/download-emulator.js";
import { type EmulatorName, findEmulator } from "../harness/emulators/find-emulator.js";
import { findJava, type Java } from "../harness/emulators/find-java.js";
import { countDocuments, type Document, readCollection, readDocuments } from "../harness/emulators/firestore-rest.js";
import { PROJECT, type Suite, startSuite } from "../harness/emulators/suite.js";
import { addPeople } from "../harness/emulators/test-accounts.js";
import { FoodServiceProcess, type SimulationOptions } from "../harness/food-service-process.js";
import { choosePorts, type NamedListener, type Ports } from "../harness/process/free-ports.js";
import { ROOT } from "../harness/root.js";
import { makeRunDirectory } from "../harness/run-directory.js";
import { buildConsole } from "../operator-console/build.js";
import { connectionTo, environmentOf } from "../services/food-service/connection-options.js";
import { StartError } from "../services/server.js";
import { startInProcess } from "../services/users/in-process.js";
import { lineLog } from "../services/users/log.js";
import { AccountsFile } from "./accounts-file.js";
import { type DataDirectory, openDataDirectory, openDocuments } from "./data-directory.js";
import { startEmbedded } from "./embedded.js";
import { FirestoreJournal } from "./firestore-journal.js";
import { Scheduler } from "./scheduler.js";
import { inFile, inFirestore, inMemory, type OpenStorage } from "./storage.js";

export interface SystemOptions {
  /** "auto" takes free ports for everything, a number that many from there on, "usual" those in firebase.json. */
  portsFrom?: "auto" | "usual" | number;
  ports?: Partial<Record<NamedListener, number>>;
  /** Undefined runs without any. */
  foodService?: { given: FoodServiceConnection } | { simulated: SimulationOptions; certificates?: string } | undefined;
  /** Seconds between runs by scheduled function, instead of the function's own schedule. */
  intervals?: { pollOrders?: number; sweep?: number } | undefined;
  /** Orchestrator 1 of an external user chain, as host:port, instead of one started by this run. */
  users?: string | undefined;
  /** Whether to run in one process, without Java or emulators; undefined for what this machine can do. */
  embedded?: boolean | undefined;
  /** The folder in which documents, accounts and the simulated food service outlive the run; undefined forgets them. */
  data?: string | undefined;
  /** A Firestore that is running already, instead of one of this run's own; its host is in FIRESTORE_EMULATOR_HOST. */
  firestore?: { project: string } | undefined;
  /** Params of the functions by name. */
  params?: Record<string, string>;
  /** Whether the person's own params in functions/.env* hold for what is left open. */
  withOwnParams?: boolean;
  /** Receives progress messages during start-up. */
  onProgress?(message: string): void;
  /** Receives a message for each problem after start-up. */
  onTrouble?(message: string): void;
  /** Gives the start up when aborted. */
  /** Whether a system that runs embedded serves the console; the Emulator Suite's hosting always does. */
  withConsole?: boolean;
  signal?: AbortSignal;
}

interface Addresses {
  project: string;
  /** host:port */
  firestore: string;
  /** Where programs write what is to last; undefined when nothing does. It speaks gRPC only. */
  journal: string | undefined;
  pubsub: string;
  auth: string;
  /** http://host:port */
  functions: string;
  hosting: string;
}

export interface System {
  /** The folder of this run. */
  directory: string;
  /** The folder in which its state lasts; undefined when it is forgotten. */
  data: string | undefined;
  /** Where the Emulator Suite's parts are; undefined for a system that runs embedded. */
  suite: Addresses | undefined;
  /** The console of a system that runs embedded, http://host:port. */
  console: string | undefined;
  /** Every document of a collection. */
  documents(collection: string): Promise<Document[]>;
  /** Counts and reads documents. */
  store: Pick<Store, "count" | "read">;
  /** Orchestrator 1 of the user chain, as host:port. */
  users: string;
  /** Undefined for a system without any. */
  foodService: FoodServiceConnection | undefined;
  /** The food service where it is the simulated one. */
  foodServer: FoodServiceProcess | undefined;
  /** Not started yet: call `start`, or `tick` when it suits. */
  scheduler: Scheduler;
  /** The log of the functions and of what runs them. */
  log: string;
  /** Resolves with the reason when the system ends without being stopped. */
  failed: Promise<string>;
  /** Stops everything and resolves when nothing runs and nothing listens. */
  stop(): Promise<void>;
}

/**
 * Starts the system and resolves when all of it answers.
 * @throws StartError that tells what is in the way; whatever had been started is stopped again
 */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { onProgress = () => {}, onTrouble = () => {}, signal = new AbortController().signal } = options;
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => {
    for (const part of started.splice(0).reverse()) await part.stop();
  };
  try {
    const programs =
      options.embedded === true || options.firestore ? undefined : await programsFor(options, onProgress, signal);
    const simulated = options.foodService && "simulated" in options.foodService ? options.foodService : undefined;
    const ports = await portsFor(options, {
      withFoodService: simulated !== undefined,
      withSuite: programs !== undefined,
    });
    signal.throwIfAborted();
    const directory = makeRunDirectory(ROOT);
    const data = options.data === undefined ? undefined : openDataDirectory(options.data);
    if (data) started.push({ stop: async () => data.close() });

    let foodServer: FoodServiceProcess | undefined;
    if (simulated) {
      onProgress("Starting the simulated food service");
      foodServer = await FoodServiceProcess.start({
        directory: data?.path ?? directory,
        certificates: simulated.certificates ?? join(directory, "certificates"),
        port: ports.foodService,
        simulation: simulated.simulated,
        onDeath: onTrouble,
        signal,
      });
      started.push(foodServer);
    }
    const foodService = foodServiceOf(options, foodServer);
    const users = options.users ?? (await startOwnUsers(directory, started));

    const environment = foodService ? environmentOf(foodService) : { params: {}, secrets: {} };
    const configuration = {
      params: { USERS_ADDRESS: users, ...environment.params, ...options.params },
      secrets: environment.secrets,
    };
    const runner = programs
      ? await startInSuite({
          ...configuration,
          ...programs,
          directory,
          data,
          ports,
          signal,
          options,
          onProgress,
          onTrouble,
        })
      : await startEmbeddedIn(
          directory,
          { ...configuration.params, ...configuration.secrets },
          storageFor(options, data),
          ports.hosting,
          options,
        );
    started.push(runner);
    return { directory, data: data?.path, users, foodService, foodServer, ...runner, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What runs the functions. */
type Runner = Pick<System, "suite" | "console" | "documents" | "store" | "scheduler" | "log" | "failed" | "stop">;

interface Programs {
  java: Java;
  programs: Record<"firestore" | "pubsub", string>;
}

/** Java and the emulators; undefined if they are missing and not required. */
async function programsFor(
  { embedded }: SystemOptions,
  onProgress: (message: string) => void,
  signal: AbortSignal,
): Promise<Programs | undefined> {
  onProgress("Looking for Java and the emulators");
  const machine = { env: process.env, home: homedir() };
  try {
    const java = await findJava(machine);
    const download = async (name: EmulatorName, title: string) => {
      onProgress(`Downloading the ${title}`);
      await downloadEmulator(name, java.home, signal);
    };
    const programs = {
      firestore: await findEmulator("firestore", { ...machine, download }),
      pubsub: await findEmulator("pubsub", { ...machine, download }),
    };
    return { java, programs };
  } catch (error) {
    if (!(error instanceof StartError) || embedded === false) throw error;
    onProgress(
      `${error.message}\nContinuing in embedded mode, in one process without emulators. Use --emulators to require them.`,
    );
    return undefined;
  }
}

async function startOwnUsers(directory: string, started: { stop(): Promise<void> }[]): Promise<string> {
  const log = createWriteStream(join(directory, "users.log"));
  const users = await startInProcess((server) => lineLog(server, (lines) => log.write(lines)));
  const stop = async () => {
    await users.stop();
    await new Promise((resolve) => log.end(resolve));
  };
  started.push({ stop });
  return users.orchestrator1.address;
}

async function startInSuite({
  directory,
  data,
  ports,
  java,
  programs,
  params,
  secrets,
  signal,
  options: { intervals, withOwnParams = false },
  onProgress,
  onTrouble,
}: Programs & {
  directory: string;
  data: DataDirectory | undefined;
  ports: Ports;
  params: Record<string, string>;
  secrets: Record<string, string>;
  signal: AbortSignal;
  options: SystemOptions;
  onProgress(message: string): void;
  onTrouble(message: string): void;
}): Promise<Runner> {
  const store = data && openDocuments(data.documents);
  const address = `127.0.0.1:${ports.firestore}`;
  const journal = store && (await FirestoreJournal.start({ firestore: address, project: PROJECT, store }));
  const auth = `127.0.0.1:${ports.auth}`;
  const accounts = data && (await AccountsFile.open({ file: data.accounts, auth, project: PROJECT }));
  const closeFiles = () => {
    accounts?.stop();
    journal?.stop();
    store?.close();
  };
  await buildConsole(join(directory, "operator-console", "dist"));
  onProgress("Starting the Emulator Suite (15 to 40 seconds)");
  const starting = new AbortController();
  const restoring = journal?.restore(AbortSignal.any([signal, starting.signal]));
  // Its failure is awaited below, if the suite starts at all.
  restoring?.catch(() => undefined);
  const suite = await startSuite({
    root: ROOT,
    directory,
    ports,
    java,
    programs,
    params,
    secrets,
    firestore: journal?.address,
    accountsChangedUrl: accounts?.changedUrl,
    withOwnParams,
    signal,
  }).catch((error: unknown) => {
    starting.abort();
    closeFiles();
    throw error;
  });
  const functions = `http://127.0.0.1:${ports.functions}`;
  const firestore = `127.0.0.1:${ports.firestore}`;
  let scheduler: Scheduler;
  try {
    scheduler = await Scheduler.open({ functions, project: PROJECT, intervals, isBusy: suite.isBusy, onTrouble });
    if (!(await accounts?.restore())) await addPeople(auth, PROJECT);
    await restoring;
    await journal?.restoreUnfinished();
  } catch (error) {
    await suite.stop();
    closeFiles();
    throw error;
  }
  return {
    suite: {
      project: PROJECT,
      firestore,
      journal: journal?.address,
      pubsub: `127.0.0.1:${ports.pubsub}`,
      auth,
      functions,
      hosting: `http://127.0.0.1:${ports.hosting}`,
    },
    console: undefined,
    documents: (collection) => readCollection(firestore, PROJECT, collection),
    store: storeOver(firestore),
    scheduler,
    log: suite.log,
    failed: failureOf(suite),
    stop: async () => {
      scheduler.stop();
      await suite.stop();
      closeFiles();
    },
  };
}

/** The suite's Firestore, past its rules. */
function storeOver(firestore: string): System["store"] {
  return {
    count: (matching) => countDocuments(firestore, PROJECT, matching),
    read: async <const P extends readonly string[]>(...paths: P) => {
      const found = new Map(
        (await readDocuments(firestore, PROJECT, [...paths])).map(({ path, fields }) => [path, fields]),
      );
      const snapshots = paths.map((path) => {
        const fields = found.get(path);
        return fields && { path, fields, version: "" };
      });
      return snapshots as { [I in keyof P]: Snapshot | undefined };
    },
  };
}

function storageFor({ firestore }: SystemOptions, data: DataDirectory | undefined): OpenStorage {
  if (firestore) return inFirestore(firestore.project);
  return data ? inFile(data.documents) : inMemory;
}

async function startEmbeddedIn(
  directory: string,
  params: Record<string, string>,
  openStorage: OpenStorage,
  port: number,
  { intervals, withConsole = false, onTrouble = () => {} }: SystemOptions,
): Promise<Runner> {
  const dist = join(directory, "console");
  if (withConsole) await buildConsole(dist);
  const consoleAt = withConsole ? { port, dist } : undefined;
  const embedded = await startEmbedded(directory, params, openStorage, consoleAt);
  const scheduler = new Scheduler(embedded.scheduled, embedded.fire, { intervals, onTrouble });
  return {
    suite: undefined,
    console: embedded.console,
    documents: embedded.documents,
    store: embedded.store,
    scheduler,
    log: embedded.log,
    // It lives in this process, and ends with it.
    failed: new Promise(() => {}),
    stop: async () => {
      scheduler.stop();
      await embedded.stop();
    },
  };
}

async function failureOf(suite: Suite): Promise<string> {
  return `The Emulator Suite ${await suite.exited}; its log is ${suite.log}`;
}

function foodServiceOf(
  { foodService }: SystemOptions,
  simulated: FoodServiceProcess | undefined,
): FoodServiceConnection | undefined {
  if (simulated) return connectionTo(simulated.address, simulated.certificate);
  return foodService && "given" in foodService ? foodService.given : undefined;
}

async function portsFor(
  { portsFrom = "usual", ports = {}, withConsole }: SystemOptions,
  { withFoodService, withSuite }: { withFoodService: boolean; withSuite: boolean },
): Promise<Ports> {
  const from = portsFrom === "usual" ? usualPorts() : portsFrom;
  const only: NamedListener[] = [
    ...(withFoodService ? ["foodService" as const] : []),
    ...(withConsole ? ["hosting" as const] : []),
  ];
  if (!withSuite) return choosePorts({ from, chosen: ports, only });
  return choosePorts({ from, chosen: ports, without: withFoodService ? [] : ["foodService"] });
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
