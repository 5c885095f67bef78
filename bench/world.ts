/** What stands around the functions in a bench: the official emulators, food services and user orchestrators, as processes. */
import { createWriteStream, mkdirSync } from "node:fs";
import { join } from "node:path";
import { DocumentEvents } from "../harness/document-events.js";
import { type Emulators, startEmulators } from "../harness/emulators/standalone.js";
import { FoodServiceProcess, type SimulationOptions } from "../harness/food-service-process.js";
import { FunctionInstance, type InstanceOptions } from "../harness/function-instance.js";
import { ROOT } from "../harness/root.js";
import { makeRunDirectory } from "../harness/run-directory.js";
import { type Chain, startChain } from "../services/users/chain.js";
import { lineLog } from "../services/users/log.js";

export interface World {
  /** A folder of this run's own. */
  directory: string;
  signal: AbortSignal;
  /** The Node.js that instances run on. */
  node: string;
  /** Where each instance leaves a profile of its CPU time; undefined if none is wanted. */
  profiles: string | undefined;
  /** Starts an instance of a function; it is stopped at the end at the latest. */
  startInstance(start: InstanceStart): Promise<FunctionInstance>;
  /** Both as host:port, started at the first use. */
  emulators(): Promise<BenchEmulators>;
  /** Starts a food service of its own. The name is of its folder, which may hold its state already. */
  foodService(name: string, simulation: SimulationOptions): Promise<FoodServiceProcess>;
  /** Starts the user orchestrators at the first use; the address of the first of them. */
  users(): Promise<string>;
  /** Takes a line of a process's log. */
  onLine(line: string): void;
  /** Has something stopped at the end, the latest first. */
  onEnd(stop: Stop): void;
}

export interface WorldOptions {
  signal: AbortSignal;
  node: string;
  /** Whether each instance leaves a profile. */
  profile: boolean;
}

export type InstanceStart = Omit<InstanceOptions, "node" | "profiles" | "onLine">;

type Stop = () => Promise<unknown> | unknown;

interface BenchEmulators extends Emulators {
  /** What Firestore's emulator makes of writes. */
  documentEvents: DocumentEvents;
}

/** Gives the work a world; whatever was started in it is stopped again. */
export async function inWorld<T>(options: WorldOptions, work: (world: World) => Promise<T>): Promise<T> {
  const stops: Stop[] = [];
  const onEnd = (stop: Stop) => void stops.push(stop);
  try {
    return await work(makeWorld(options, onEnd));
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

function makeWorld({ signal, node, profile }: WorldOptions, onEnd: World["onEnd"]): World {
  const directory = makeRunDirectory(ROOT);
  const log = createWriteStream(join(directory, "bench.log"));
  onEnd(() => new Promise((resolve) => log.end(resolve)));
  const onLine = (line: string) => void log.write(`${line}\n`);
  let emulators: Promise<BenchEmulators> | undefined;
  let users: Promise<string> | undefined;
  const profiles = profile ? join(directory, "profiles") : undefined;
  return {
    directory,
    signal,
    node,
    profiles,
    startInstance: async (start) => {
      const instance = await FunctionInstance.start({
        ...start,
        node,
        profiles,
        onLine: (line) => onLine(`${start.target}: ${line}`),
      });
      onEnd(() => instance.stop());
      return instance;
    },
    onLine,
    onEnd,
    emulators: () => {
      emulators ??= startBoth(directory, onLine, signal, onEnd);
      return emulators;
    },
    users: () => {
      users ??= startOwnChain().then((chain) => {
        onEnd(() => chain.stop());
        return chain.addresses.orchestrator1;
      });
      return users;
    },
    foodService: async (name, simulation) => {
      const own = join(directory, name);
      mkdirSync(own, { recursive: true });
      const food = await FoodServiceProcess.start({ directory: own, simulation, onLine });
      onEnd(() => food.kill());
      return food;
    },
  };
}

async function startBoth(
  directory: string,
  onLine: World["onLine"],
  signal: AbortSignal,
  onEnd: World["onEnd"],
): Promise<BenchEmulators> {
  const documentEvents = new DocumentEvents();
  const events = await documentEvents.listen();
  onEnd(() => documentEvents.stop());
  const emulators = await startEmulators({ directory, events, onLine, signal });
  onEnd(() => emulators.stop());
  return { ...emulators, documentEvents };
}

/** Starts the user orchestrators, a process each, and says nothing of what they log. */
export function startOwnChain(): Promise<Chain> {
  const anyPort = "127.0.0.1:0";
  return startChain({
    addresses: { data: anyPort, orchestrator2: anyPort, orchestrator1: anyPort },
    flags: { all: [], data: [] },
    log: lineLog("chain", () => {}),
    output: "ignore",
  });
}
