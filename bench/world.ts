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

export type InstanceStart = Omit<InstanceOptions, "node" | "nodeFlags" | "profiles" | "onLine">;

/**
 * The heap that Node.js 24 gives itself in a container of 256 or 512 MiB, as functions have them. On a machine with more memory it would
 * let garbage grow, and neither memory nor time would be what they are in the cloud.
 */
export const CONTAINER_HEAP = ["--max-old-space-size=256", "--max-semi-space-size=1"];

interface BenchEmulators extends Emulators {
  /** What Firestore's emulator makes of writes. */
  documentEvents: DocumentEvents;
}

export interface WorldOptions {
  signal: AbortSignal;
  /** The Node.js that instances run on. */
  node: string;
  /** Whether each instance writes a CPU profile. */
  profile: boolean;
}

/** Runs the work in a world, and stops everything that was started in it. */
export async function inWorld<T>(options: WorldOptions, work: (world: World) => Promise<T>): Promise<T> {
  const world = new World(options);
  try {
    return await work(world);
  } finally {
    await world.stop();
  }
}

export class World {
  /** A folder only for this run. */
  readonly directory = makeRunDirectory(ROOT);
  readonly signal: AbortSignal;
  readonly node: string;
  /** The folder for each instance's CPU profile; undefined for none. */
  readonly profiles: string | undefined;
  private readonly parts = new AsyncDisposableStack();
  private readonly log = createWriteStream(join(this.directory, "bench.log"));
  private emulatorsStarted: Promise<BenchEmulators> | undefined;

  constructor({ signal, node, profile }: WorldOptions) {
    this.signal = signal;
    this.node = node;
    this.profiles = profile ? join(this.directory, "profiles") : undefined;
    this.onEnd(() => new Promise((resolve) => this.log.end(resolve)));
  }

  /** Registers something to stop at the end, the latest first. */
  onEnd(stop: () => unknown): void {
    this.parts.defer(async () => void (await stop()));
  }

  stop(): Promise<void> {
    return this.parts.disposeAsync();
  }

  /** Receives a line of a process's log. */
  readonly onLine = (line: string) => void this.log.write(`${line}\n`);

  /** Starts an instance of a function, which is stopped at the end at the latest. */
  async startInstance(start: InstanceStart): Promise<FunctionInstance> {
    const { node, profiles } = this;
    const onLine = (line: string) => this.onLine(`${start.target}: ${line}`);
    const instance = await FunctionInstance.start({ ...start, node, nodeFlags: CONTAINER_HEAP, profiles, onLine });
    this.onEnd(() => instance.stop());
    return instance;
  }

  /** Starts a food service. The name is that of its folder, which may already contain its state. */
  async foodService(name: string, simulation: SimulationOptions): Promise<FoodServiceProcess> {
    const directory = join(this.directory, name);
    mkdirSync(directory, { recursive: true });
    const food = await FoodServiceProcess.start({ directory, simulation, onLine: this.onLine });
    this.onEnd(() => food.kill());
    return food;
  }

  /** Both as host:port, started at the first use. */
  emulators(): Promise<BenchEmulators> {
    this.emulatorsStarted ??= this.startEmulators();
    return this.emulatorsStarted;
  }

  /** Starts the user orchestrators and returns the address of the first one. */
  async users(): Promise<string> {
    const chain = await startOwnChain();
    this.onEnd(() => chain.stop());
    return chain.addresses.orchestrator1;
  }

  private async startEmulators(): Promise<BenchEmulators> {
    const { directory, onLine, signal } = this;
    const documentEvents = new DocumentEvents();
    const events = await documentEvents.listen();
    this.onEnd(() => documentEvents.stop());
    const emulators = await startEmulators({ directory, events, onLine, signal });
    this.onEnd(() => emulators.stop());
    return { ...emulators, documentEvents };
  }
}

/** Starts the user orchestrators, one process each, and discards their logs. */
export function startOwnChain(): Promise<Chain> {
  const anyPort = "127.0.0.1:0";
  return startChain({
    addresses: { data: anyPort, orchestrator2: anyPort, orchestrator1: anyPort },
    flags: { all: [], data: [] },
    log: lineLog("chain", () => {}),
    output: "ignore",
  });
}
