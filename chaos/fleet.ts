/**
 * Runs the built functions as the platform does: instances under functions-framework, one function each, restarted when
 * they end, with the old and the new build side by side during a deploy. Every delivery to an instance is recorded.
 */
import { setTimeout as sleep } from "node:timers/promises";
import pMap from "p-map";
import type { Randomness } from "../functions/src/ports.js";
import type { FunctionRunner } from "../harness/event-bridge.js";
import type { FoodServiceProxy } from "../harness/food-service-proxy.js";
import { FunctionInstance } from "../harness/function-instance.js";
import type { Child } from "../harness/process/child-process.js";

/** The number of instances of each function; with 0, one starts on demand. */
const FUNCTIONS = {
  sendToKitchen: { takes: "events", instances: 3 },
  dispatchShipment: { takes: "events", instances: 3 },
  completeOrder: { takes: "events", instances: 2 },
  onRelationWritten: { takes: "events", instances: 2 },
  continuePoll: { takes: "events", instances: 0 },
  pollOrders: { takes: "requests", instances: 1 },
  sweep: { takes: "requests", instances: 1 },
} as const;

export type Policy = "park" | "idempotency-key";

export type FunctionName = keyof typeof FUNCTIONS;

/** An event that no instance can accept is held for this long; then it must be redelivered. */
const HOLD_MS = 2_000;

/** The maximum of concurrent deliveries to one instance; others are redelivered. */
const CONCURRENCY = 40;

/** A drained instance gets this long for the deliveries in progress, as on Cloud Run. */
const DRAIN_MS = 10_000;

/** One delivery of an event, or one tick, to an instance; moments are in milliseconds since the epoch. */
export interface Delivery {
  number: number;
  function: FunctionName;
  process: number;
  /** The create policy of the instance. */
  policy: Policy;
  /** The names of the orders that the event is about; none for ticks. */
  orders: readonly string[];
  from: number;
  to: number | undefined;
  ended: "taken" | "thrown" | "lost" | "running";
}

/** A build and the create policy that it is deployed with. */
export interface Release {
  /** The folder of the build. */
  build: string;
  policy: Policy;
}

/** When an instance was suspended. */
export interface Pause {
  process: number;
  from: number;
  to: number;
}

export class Instance {
  state: "starting" | "ready" | "draining" | "dead" = "starting";
  paused = false;
  readonly inFlight = new Set<Delivery>();
  process: FunctionInstance | undefined;

  constructor(
    readonly number: number,
    readonly name: FunctionName,
    readonly policy: Policy,
  ) {}

  get child(): Child | undefined {
    return this.process?.child;
  }
}

export interface FleetOptions {
  proxy: FoodServiceProxy;
  random: Randomness;
  /** The environment that all instances share. */
  env: Record<string, string>;
  /** The first release. */
  release: Release;
  onLine(line: string): void;
}

export class Fleet implements FunctionRunner {
  readonly deliveries: Delivery[] = [];
  readonly pauses: Pause[] = [];
  private readonly instances = new Set<Instance>();
  private release: Release;
  private numbers = 0;
  private stopping = false;

  constructor(private readonly options: FleetOptions) {
    this.release = options.release;
  }

  /** Starts all instances and resolves when they listen. */
  async start(): Promise<void> {
    await this.startAll();
  }

  /** The running instances, ready or not. */
  get all(): Instance[] {
    return [...this.instances];
  }

  get isIdle(): boolean {
    return this.all.every(({ inFlight }) => inFlight.size === 0);
  }

  /**
   * Delivers an event or a tick to an instance and resolves with its status, or undefined if no instance could
   * accept it or the instance crashed.
   */
  async deliver(name: FunctionName, orders: readonly string[], body: object): Promise<number | undefined> {
    const instance = await this.hold(name, orders);
    if (!instance) return undefined;
    const { number: process, policy } = instance;
    const number = this.deliveries.length + 1;
    const running = { to: undefined, ended: "running" } as const;
    const delivery: Delivery = { number, function: name, process, policy, orders, from: Date.now(), ...running };
    this.deliveries.push(delivery);
    instance.inFlight.add(delivery);
    try {
      const status = await instance.process?.send(body);
      if (status === undefined) throw new Error("an instance that is ready has a process");
      delivery.ended = status < 300 ? "taken" : "thrown";
      return status;
    } catch {
      delivery.ended = "lost";
      return undefined;
    } finally {
      delivery.to = Date.now();
      instance.inFlight.delete(delivery);
    }
  }

  /** Kills an instance and starts another in its place. */
  kill(instance: Instance): boolean {
    if (instance.state === "dead" || !instance.child) return false;
    instance.state = "dead";
    instance.child.kill();
    return true;
  }

  /** Suspends an instance for this many milliseconds. */
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

  /** Starts this release next to the old one, then drains and stops the old one. */
  async deploy(release: Release, beforeDrain: () => Promise<void>): Promise<void> {
    this.release = release;
    const old = this.all;
    await this.startAll();
    await beforeDrain();
    for (const instance of old) if (instance.state !== "dead") instance.state = "draining";
    await Promise.all(
      old.map(async (instance) => {
        const deadline = Date.now() + DRAIN_MS;
        while (instance.inFlight.size > 0 && Date.now() < deadline && !this.stopping) await sleep(50);
        await instance.child?.stop("SIGTERM", 1_000);
      }),
    );
  }

  /** Stops everything. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.all.map(({ child }) => child?.stop("SIGKILL", 0)));
  }

  private async startAll(): Promise<void> {
    const names = Object.keys(FUNCTIONS) as FunctionName[];
    const wanted = names.flatMap((name) => Array.from({ length: FUNCTIONS[name].instances }, () => name));
    // Two at a time, since the machine is busy.
    await pMap(wanted, (name) => (this.stopping ? undefined : this.startOne(name)), { concurrency: 2 });
  }

  private async startOne(name: FunctionName): Promise<void> {
    const { proxy, env, onLine } = this.options;
    const { build, policy } = this.release;
    const number = ++this.numbers;
    const instance = new Instance(number, name, policy);
    const foodPort = await proxy.open(number);
    this.instances.add(instance);
    const process = await FunctionInstance.spawn({
      build,
      target: name,
      takes: FUNCTIONS[name].takes,
      env: { ...env, CREATE_POLICY: policy, FOOD_SERVICE_ADDRESS: `localhost:${foodPort}` },
      onLine: (line) => onLine(`${name} ${number}: ${line}`),
    });
    instance.process = process;
    if (this.stopping) process.child.kill();
    const exited = process.child.exited.then(() => {
      instance.state = "dead";
      this.instances.delete(instance);
      proxy.close(number);
      if (!this.stopping && this.countOf(name) < FUNCTIONS[name].instances) void this.startOne(name);
    });
    await Promise.race([process.listening.catch(() => exited), exited]);
    if (instance.state === "starting") instance.state = "ready";
  }

  /** The instances of a function that are not being drained. */
  private countOf(name: FunctionName): number {
    return this.all.filter((one) => one.name === name && (one.state === "starting" || one.state === "ready")).length;
  }

  private async hold(name: FunctionName, orders: readonly string[]): Promise<Instance | undefined> {
    for (const until = Date.now() + HOLD_MS; Date.now() < until && !this.stopping; ) {
      const instance = this.choose(name, orders);
      if (instance) return instance;
      await sleep(50);
    }
    return undefined;
  }

  private choose(name: FunctionName, orders: readonly string[]): Instance | undefined {
    const ready = this.all.filter(
      (instance) =>
        instance.name === name &&
        instance.state === "ready" &&
        instance.inFlight.size < CONCURRENCY &&
        // Two deliveries of one order on one instance cannot be distinguished afterwards; on two instances they can.
        ![...instance.inFlight].some((delivery) => delivery.orders.some((order) => orders.includes(order))),
    );
    if (!this.stopping && this.countOf(name) === 0) void this.startOne(name);
    return ready[Math.floor(this.options.random.fraction() * ready.length)];
  }
}
