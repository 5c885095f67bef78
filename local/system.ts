/**
 * The whole system on this machine: Emulator Suite, functions, local scheduler and food service. What starts it, shows it
 * and tests it shares this.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type EmulatorPlaces, findEmulator } from "./emulator-programs.js";
import { PROJECT, type Suite, startSuite } from "./emulator-suite.js";
import { FoodServer, type SimulationOptions } from "./food-server.js";
import { findJava } from "./java.js";
import { choosePorts, type NamedListener, type Ports } from "./ports.js";
import { makeRunDirectory } from "./run-directory.js";
import { Scheduler } from "./scheduler.js";

/** The top folder of the project. */
export const ROOT = join(import.meta.dirname, "..");

/** A food service that somebody else runs. */
interface GivenFoodService {
  address: string;
  /** In PEM form; undefined for the roots that come with Node.js. */
  certificate: string | undefined;
}

export interface SystemOptions {
  /** "auto" takes free ports for everything, a number that many from there on, "usual" those in firebase.json. */
  portsFrom?: "auto" | "usual" | number;
  ports?: Partial<Record<NamedListener, number>>;
  /** Undefined runs without any. */
  foodService?: { given: GivenFoodService } | { simulated: SimulationOptions; certificates?: string } | undefined;
  /** Seconds between ticks, instead of the functions' own schedules. */
  interval?: number | undefined;
  /** Params of the functions by name. */
  params?: Record<string, string>;
  /** Whether the person's own params in functions/.env* hold for what is left open. */
  withOwnParams?: boolean;
  /** Is told what happens while it starts. */
  onProgress?(message: string): void;
  /** Is told what goes wrong while it runs on. */
  onTrouble?(message: string): void;
  /** Gives the start up when aborted. */
  signal?: AbortSignal;
}

export interface System {
  project: string;
  /** The folder of this run. */
  directory: string;
  ports: Ports;
  /** host:port */
  firestore: string;
  pubsub: string;
  auth: string;
  /** http://host:port */
  functions: string;
  hosting: string;
  /** Undefined for a system without any. */
  foodService: GivenFoodService | undefined;
  /** The food service where it is the simulated one. */
  foodServer: FoodServer | undefined;
  /** Not started yet: call `start`, or `tick` when it suits. */
  scheduler: Scheduler;
  /** The Emulator Suite's log, which has the functions' own. */
  log: string;
  /** Resolves with the reason when the system ends by itself. */
  failed: Promise<string>;
  /** Stops everything and resolves when nothing runs and nothing listens. */
  stop(): Promise<void>;
  /** Ends everything at once, whatever is under way. */
  kill(): void;
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
    onProgress("Looking for Java and the emulators");
    const machine = { env: process.env, home: homedir() };
    const java = await findJava(machine);
    const download = downloader(java.home, onProgress);
    const programs = {
      firestore: await findEmulator("firestore", { ...machine, download }),
      pubsub: await findEmulator("pubsub", { ...machine, download }),
    };
    const simulated = options.foodService && "simulated" in options.foodService ? options.foodService : undefined;
    const ports = await portsFor(options, simulated !== undefined);
    signal.throwIfAborted();
    const directory = makeRunDirectory(ROOT);

    let foodServer: FoodServer | undefined;
    if (simulated) {
      onProgress("Starting the simulated food service");
      foodServer = await FoodServer.start({
        root: ROOT,
        directory,
        certificates: simulated.certificates ?? join(directory, "certificates"),
        port: ports.foodService,
        simulation: simulated.simulated,
        onDeath: onTrouble,
        signal,
      });
      started.push(foodServer);
    }
    const foodService = foodServiceOf(options, foodServer);

    onProgress("Starting the Emulator Suite (15 to 40 seconds)");
    const suite = await startSuite({
      root: ROOT,
      directory,
      ports,
      java,
      programs,
      params: { ...(foodService && { FOOD_SERVICE_ADDRESS: foodService.address }), ...options.params },
      secrets: foodService ? { FOOD_SERVICE_CA: foodService.certificate ?? "system" } : {},
      withOwnParams: options.withOwnParams ?? false,
      signal,
    });
    started.push(suite);

    const functions = `http://127.0.0.1:${ports.functions}`;
    const scheduler = await Scheduler.open({ functions, project: PROJECT, interval: options.interval, onTrouble });
    started.push({ stop: async () => scheduler.stop() });
    return {
      project: PROJECT,
      directory,
      ports,
      firestore: `127.0.0.1:${ports.firestore}`,
      pubsub: `127.0.0.1:${ports.pubsub}`,
      auth: `127.0.0.1:${ports.auth}`,
      functions,
      hosting: `http://127.0.0.1:${ports.hosting}`,
      foodService,
      foodServer,
      scheduler,
      log: suite.log,
      failed: failureOf(suite),
      stop,
      kill: () => {
        scheduler.stop();
        suite.kill();
        foodServer?.killNow();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function failureOf(suite: Suite): Promise<string> {
  return `The Emulator Suite ${await suite.exited}; its log is ${suite.log}`;
}

function foodServiceOf(
  { foodService }: SystemOptions,
  simulated: FoodServer | undefined,
): GivenFoodService | undefined {
  if (simulated) return { address: simulated.address, certificate: simulated.certificate };
  return foodService && "given" in foodService ? foodService.given : undefined;
}

async function portsFor({ portsFrom = "usual", ports = {} }: SystemOptions, withFoodService: boolean): Promise<Ports> {
  const from = portsFrom === "usual" ? usualPorts() : portsFrom;
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

/** Has firebase-tools download an emulator into its cache. */
function downloader(javaHome: string, onProgress: (message: string) => void): EmulatorPlaces["download"] {
  const firebase = join(ROOT, "node_modules/firebase-tools/lib/bin/firebase.js");
  return async (name, title) => {
    onProgress(`Downloading the ${title}`);
    const env = { ...process.env, JAVA_HOME: javaHome, METADATA_SERVER_DETECTION: "none", CI: "true" };
    const command = [firebase, `setup:emulators:${name}`];
    // firebase-tools leaves a log in the folder where it fails.
    const options = { env, cwd: tmpdir(), timeout: 300_000 };
    await promisify(execFile)(process.execPath, command, options).catch(
      (error: { stdout?: string; stderr?: string }) => {
        const said = /^Error: (.*)$/m.exec(`${error.stderr}\n${error.stdout}`)?.[1];
        throw new Error(said ?? "the download failed", { cause: error });
      },
    );
  };
}
