/**
 * The built functions as the platform runs them: instances under functions-framework, one function each, started again when
 * they end, old build and new beside each other during a deploy. Every delivery to an instance is written down.
 */
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Randomness } from "../functions/src/ports.js";
import type { FunctionRunner } from "../harness/event-bridge.js";
import type { FoodGate } from "../harness/food-service-proxy.js";
import { type Child, startChild } from "../harness/process/child-process.js";

/** How many instances each function has; one without is started when it is first needed. */
const FUNCTIONS = {
  sendToKitchen: { signature: "cloudevent", instances: 3 },
  dispatchShipment: { signature: "cloudevent", instances: 3 },
  completeOrder: { signature: "cloudevent", instances: 2 },
  onRelationWritten: { signature: "cloudevent", instances: 2 },
  continuePoll: { signature: "cloudevent", instances: 0 },
  pollOrders: { signature: "http", instances: 1 },
  sweep: { signature: "http", instances: 1 },
} as const;

export type FunctionName = keyof typeof FUNCTIONS;

/** What comes while no instance can take it is held for so long, in milliseconds; after that it must come again. */
const HELD = 2_000;

/** As many deliveries at a time an instance takes; the rest comes again. */
const CONCURRENCY = 40;

/** An instance that is drained gets this long for what is under way, in milliseconds, as Cloud Run gives it. */
const DRAIN = 10_000;

/** One delivery of an event, or one tick, to an instance; moments are in milliseconds since the epoch. */
export interface Delivery {
  number: number;
  function: FunctionName;
  process: number;
  /** The order's name, undefined for ticks. */
  order: string | undefined;
  from: number;
  to: number | undefined;
  ended: "taken" | "thrown" | "lost" | "running";
}

/** When an instance stood still. */
export interface Pause {
  process: number;
  from: number;
  to: number;
}

export class Instance {
  state: "starting" | "ready" | "draining" | "dead" = "starting";
  paused = false;
  readonly inFlight = new Set<Delivery>();
  child: Child | undefined;

  constructor(
    readonly number: number,
    readonly name: FunctionName,
    readonly port: number,
  ) {}
}

export interface FleetOptions {
  gate: FoodGate;
  random: Randomness;
  /** The folder with the functions-framework. */
  root: string;
  /** The environment of every instance, but for what is its own. */
  env: Record<string, string>;
  /** The folder of the build to begin with. */
  build: string;
  onLine(line: string): void;
}

export class Fleet implements FunctionRunner {
  readonly deliveries: Delivery[] = [];
  readonly pauses: Pause[] = [];
  private readonly instances = new Set<Instance>();
  private build: string;
  private numbers = 0;
  private stopping = false;

  constructor(private readonly options: FleetOptions) {
    this.build = options.build;
  }

  /** Starts all instances and resolves when they listen. */
  async start(): Promise<void> {
    await this.startAll();
  }

  /** The instances that are there, ready or not. */
  get all(): Instance[] {
    return [...this.instances];
  }

  get isIdle(): boolean {
    return this.all.every(({ inFlight }) => inFlight.size === 0);
  }

  /**
   * Brings an event or a tick to an instance and resolves with how it was answered, undefined where no instance could
   * take it or the instance died over it.
   */
  async deliver(name: FunctionName, order: string | undefined, body: object): Promise<number | undefined> {
    const instance = await this.hold(name, order);
    if (!instance) return undefined;
    const { number: process } = instance;
    const number = this.deliveries.length + 1;
    const running = { to: undefined, ended: "running" } as const;
    const delivery: Delivery = { number, function: name, process, order, from: Date.now(), ...running };
    this.deliveries.push(delivery);
    instance.inFlight.add(delivery);
    try {
      const type = FUNCTIONS[name].signature === "http" ? "application/json" : "application/cloudevents+json";
      const response = await fetch(`http://127.0.0.1:${instance.port}/`, {
        method: "POST",
        headers: { "Content-Type": type },
        body: JSON.stringify(body),
      });
      await response.arrayBuffer();
      delivery.ended = response.ok ? "taken" : "thrown";
      return response.status;
    } catch {
      delivery.ended = "lost";
      return undefined;
    } finally {
      delivery.to = Date.now();
      instance.inFlight.delete(delivery);
    }
  }

  /** Ends an instance at once and starts another in its place. */
  kill(instance: Instance): boolean {
    if (instance.state === "dead" || !instance.child) return false;
    instance.state = "dead";
    instance.child.kill();
    return true;
  }

  /** Lets an instance stand still for so many milliseconds. */
  async pause(instance: Instance, milliseconds: number): Promise<boolean> {
    const { child } = instance;
    if (!child || instance.paused || instance.state === "dead" || child.ended !== undefined) return false;
    instance.paused = true;
    const pause: Pause = { process: instance.number, from: Date.now(), to: Number.POSITIVE_INFINITY };
    this.pauses.push(pause);
    process.kill(child.pid, "SIGSTOP");
    await sleep(milliseconds);
    if (child.ended === undefined) process.kill(child.pid, "SIGCONT");
    instance.paused = false;
    pause.to = Date.now();
    return true;
  }

  /** Starts this build beside the old one, then drains and ends the old one. */
  async deploy(build: string): Promise<void> {
    this.build = build;
    const old = this.all;
    await this.startAll();
    for (const instance of old) if (instance.state !== "dead") instance.state = "draining";
    await Promise.all(
      old.map(async (instance) => {
        const deadline = Date.now() + DRAIN;
        while (instance.inFlight.size > 0 && Date.now() < deadline && !this.stopping) await sleep(50);
        await instance.child?.stop("SIGTERM", 1_000);
      }),
    );
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.all.map(({ child }) => child?.stop("SIGKILL", 0)));
  }

  private async startAll(): Promise<void> {
    const names = Object.keys(FUNCTIONS) as FunctionName[];
    const wanted = names.flatMap((name) => Array.from({ length: FUNCTIONS[name].instances }, () => name));
    // Two at a time: the machine has other things to do.
    const next = async (): Promise<void> => {
      for (let name = wanted.shift(); name && !this.stopping; name = wanted.shift()) await this.startOne(name);
    };
    await Promise.all([next(), next()]);
  }

  private async startOne(name: FunctionName): Promise<void> {
    const { gate, env, root, onLine } = this.options;
    const number = ++this.numbers;
    const instance = new Instance(number, name, await freePort());
    const foodPort = await gate.open(number);
    let listening = () => {};
    const listens = new Promise<void>((resolve) => {
      listening = resolve;
    });
    this.instances.add(instance);
    const child = await startChild({
      command: process.execPath,
      args: [join(root, "node_modules/@google-cloud/functions-framework/build/src/main.js"), `--source=${this.build}`],
      cwd: this.build,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        // So that the framework says when it listens.
        NODE_ENV: "development",
        ...env,
        PORT: String(instance.port),
        FUNCTION_TARGET: name,
        FUNCTION_SIGNATURE_TYPE: FUNCTIONS[name].signature,
        FOOD_SERVICE_ADDRESS: `localhost:${foodPort}`,
      },
      onLine: (line) => {
        if (line.startsWith("URL:")) listening();
        onLine(`${name} ${number}: ${line}`);
      },
    });
    instance.child = child;
    if (this.stopping) child.kill();
    const exited = child.exited.then(() => {
      instance.state = "dead";
      this.instances.delete(instance);
      gate.close(number);
      if (!this.stopping && this.countOf(name) < FUNCTIONS[name].instances) void this.startOne(name);
    });
    await Promise.race([listens, exited]);
    if (instance.state === "starting") instance.state = "ready";
  }

  /** The instances of a function that are there to stay. */
  private countOf(name: FunctionName): number {
    return this.all.filter((one) => one.name === name && (one.state === "starting" || one.state === "ready")).length;
  }

  private async hold(name: FunctionName, order: string | undefined): Promise<Instance | undefined> {
    for (const until = Date.now() + HELD; Date.now() < until && !this.stopping; ) {
      const instance = this.choose(name, order);
      if (instance) return instance;
      await sleep(50);
    }
    return undefined;
  }

  private choose(name: FunctionName, order: string | undefined): Instance | undefined {
    const ready = this.all.filter(
      (instance) =>
        instance.name === name &&
        instance.state === "ready" &&
        instance.inFlight.size < CONCURRENCY &&
        // Two deliveries of one order on one instance could not be told apart afterwards; on two they can.
        (order === undefined || ![...instance.inFlight].some((delivery) => delivery.order === order)),
    );
    if (!this.stopping && this.countOf(name) === 0) void this.startOne(name);
    return ready[Math.floor(this.options.random.fraction() * ready.length)];
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
