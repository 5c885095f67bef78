/** The whole system on memory ports: functions, deliveries and ticks, as the platform would bring them. */

import { MemoryBus } from "../functions/src/adapters/memory/bus.js";
import { MemoryStore } from "../functions/src/adapters/memory/store.js";
import { attemptPath } from "../functions/src/attempts/attempt.js";
import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
import { type Resolution, resolveAttempt } from "../functions/src/attempts/resolve-attempt.js";
import { toErrorInfo } from "../functions/src/domain/errors.js";
import { CREATING_STAGES, type OrderStatus, type Stage, stageOf } from "../functions/src/domain/order-lifecycle.js";
import {
  continuePoll,
  handleOrderMessage,
  reactionsTo,
  runReaction,
  SCHEDULED,
} from "../functions/src/pipeline/handlers.js";
import type { Fields, Ports } from "../functions/src/ports.js";
import type { RelationChange } from "../functions/src/relations/on-relation-written.js";
import type { Settings } from "../functions/src/settings.js";
import { allCreated, FoodServiceModel } from "../services/food-service/model/food-service-model.js";
import type { Surroundings } from "./coverage.js";
import type { Fault } from "./faults.js";
import { type Outside, portsOf } from "./faulty-ports.js";
import type { Entry, Process, World } from "./world.js";

export const TICK_MS = 60_000;
const SWEEP_INTERVAL_MS = 3 * TICK_MS;

/** After this time the platform ends a run. */
const RUN_TIMEOUT_MS = 120_000;
const POLL_TIMEOUT_MS = 180_000;

/** How many copies of a continuation are delivered at the same time: of so many, some meet in the same millisecond. */
const MEETING_DELIVERIES = 6;

/** How often a cancelled order is shown as active, for how long at most, and how many ticks after the last time. */
const FLAPS = 2;
const FLAP_MS = 40_000;
const FLAPS_EVERY_TICKS = 4;

/** How old an order is at least when its name is given to another: creation times that are closer count as equal. */
const REPLACED_AGE_MS = 2_000;

/** How old the backup is at least and at most from which the food service is restored. */
const BACKUP_AGE_MS = [100, 240_000] as const;

/** How one run of a handler ended: the message was taken, or it comes again. */
export interface Run {
  number: number;
  process: number;
  /** How far the clock of its process is off, in milliseconds. */
  skew: number;
  /** The number of the continuation that it received, if any. */
  continuation?: number | undefined;
  /** What ran, if it is part of a poll or a sweep. */
  kind?: "poll" | "continuation" | "sweep" | undefined;
  /** The create policy that was deployed when the run began; undefined if it never changes. */
  policy?: Settings["CREATE_POLICY"];
  ended: "taken" | "thrown" | "lost" | "running";
  /** The number of the first effect after its end. */
  endedBefore: number;
  /** What it has tried so far. */
  readonly effects: Entry[];
  /** Effects that were not over when it ended, though it was taken. */
  pending: Entry[];
}

export class System {
  readonly store: MemoryStore;
  readonly food: FoodServiceModel;
  readonly runs: Run[] = [];
  /** The names of all orders so far. */
  readonly placed: string[] = [];
  /** When an operator decided about an order last, in milliseconds since the epoch. */
  readonly decidedAt = new Map<string, number>();
  /** Called for every document written. */
  onDocument: (change: RelationChange) => void = () => {};
  private readonly outside: Outside;
  private readonly processes: Process[] = [];
  private readonly linked = new Set<string>();
  private ticking = true;
  /** When the next tick of each schedule is due, in milliseconds since the epoch. */
  private readonly due = { poll: 0, sweep: 0 };
  /** Deliveries that have not been taken yet. */
  private underWay = 0;
  private continuations = 0;
  private flapsDue = false;

  constructor(
    readonly world: World,
    settings: Settings,
    food: { speed: number; rejected: number; cancelled: number },
    private readonly instances: number,
  ) {
    const honoursIdempotencyKey = settings.CREATE_POLICY === "idempotency-key";
    this.food = new FoodServiceModel({
      ...food,
      clock: { now: () => world.now },
      random: world.random,
      honoursIdempotencyKey,
    });
    this.store = new MemoryStore((change) => this.onWrite(change));
    const bus = new MemoryBus(
      (stage, payload) => this.deliver(stage, payload),
      (payload) => this.deliverContinuation(payload),
    );
    this.outside = { world, store: this.store, food: this.food, bus, settings, linked: this.linked };
  }

  /** The create policy that is deployed now. */
  get policy(): Settings["CREATE_POLICY"] {
    return this.outside.settings.CREATE_POLICY;
  }

  /** Whether the schedules still run. */
  get isTicking(): boolean {
    return this.ticking;
  }

  /** Deploys other settings: runs that begin from now on have them. */
  deploy(settings: Settings): void {
    if (settings.CREATE_POLICY === "idempotency-key") this.food.startHonouringKeys();
    this.outside.settings = settings;
    this.world.effect({ process: 0, run: 0, operation: "deploy", about: settings.CREATE_POLICY, subject: "" });
  }

  /** Notes that an operator is about to decide, and returns what goes wrong. */
  decides({ order, stage, link, dismiss }: Resolution): Fault | undefined {
    const operation = dismiss ? "dismiss" : link === undefined ? "retry" : "link";
    return this.world.effect({ process: 0, run: 0, operation, about: `${stage} ${order}`, subject: "" }).fault;
  }

  /** Sends an operator's decision. A decision that is rejected was received all the same. */
  resolve(resolution: Resolution, onEnd: (ended: Run["ended"]) => void = () => {}): void {
    const { stage, order, version, claim, key } = resolution;
    const path = attemptPath(stage, order.slice("orders/".length));
    this.decidedAt.set(order, this.world.now);
    if (key !== undefined) this.world.decisions.set(key, { path, version, claim });
    this.world.lossGoesOn();
    this.invoke((ports) => resolveAttempt(resolution, ports), RUN_TIMEOUT_MS, { onEnd });
  }

  /** Starts the schedules. */
  start(): void {
    this.every(TICK_MS, "poll", SCHEDULED.pollOrders);
    this.every(SWEEP_INTERVAL_MS, "sweep", SCHEDULED.sweep);
  }

  /** Places the order of this number and returns its name. */
  place(number: number): string {
    const { name } = this.food.placeOrder(`customer-${number}`);
    this.placed.push(name);
    return name;
  }

  /** When the next poll and the next sweep have both begun, in milliseconds since the epoch. */
  get nextRoundAt(): number {
    return Math.max(this.due.poll, this.due.sweep);
  }

  /** Ends the schedules: what is under way goes on. */
  stop(): void {
    this.ticking = false;
  }

  /** Whether every message was taken. */
  get isIdle(): boolean {
    return this.underWay === 0;
  }

  /** A document's fields as they are now. */
  fieldsAt(path: string): Fields | undefined {
    return this.store.peek(path)?.fields;
  }

  /** The status of an order in the food service as it is now. */
  statusOf(order: string): OrderStatus | undefined {
    return this.food.statusOf(order);
  }

  /** What a situation is read from. */
  surroundings(): Surroundings {
    const { world, placed, runs } = this;
    return {
      fieldsAt: (path) => this.fieldsAt(path),
      statusOf: (order) => this.statusOf(order),
      now: world.now,
      orders: placed.map((name) => name.slice("orders/".length)),
      entriesOf: (run) => runs[run - 1]?.effects ?? [],
      running: runs.flatMap(({ number, ended }) => (ended === "running" ? [number] : [])),
      conditions: world.conditions(),
    };
  }

  /** The food service is restored from a backup: what was created after it is lost for good, and every order has its status from then. */
  private restore(): void {
    const { food, world } = this;
    const backup = world.now - world.between(...BACKUP_AGE_MS);
    const { orders, kitchenOrders, shipments } = food.truth();
    for (const { name, createdAt } of [...kitchenOrders, ...shipments]) {
      if (Date.parse(createdAt) <= backup) continue;
      food.forgetKey(name);
      world.lose(name, "lost for good");
    }
    for (const { name, status, changes } of orders) {
      const then = changes.findLast(({ at }) => Date.parse(at) <= backup)?.status;
      if (!then) world.lose(name, "lost for good");
      else if (then !== status) {
        food.changeOrder(name, then, ["status"]);
        world.setByOthers.push({ order: name, status: then, at: world.now });
      }
    }
  }

  /**
   * The food service loses an order that was placed a while ago, and gives its name to a new one. If it honors keys, no run is handling the
   * order then: the key of a create that arrives for the earlier order just afterwards would stand for both.
   */
  private replace(): void {
    const { food, world } = this;
    const running = new Set(this.runs.filter(({ ended }) => ended === "running").map(({ number }) => number));
    const isHandled = (name: string) =>
      this.policy === "idempotency-key" &&
      world.history.some(({ run, subject }) => subject === name && running.has(run));
    const orders = food.truth().orders.filter(({ name, changes }) => {
      const age = world.now - Date.parse(changes[0]?.at ?? "");
      return age >= REPLACED_AGE_MS && !world.absenceOf(name) && !world.replaced.has(name) && !isHandled(name);
    });
    const { name } = orders[Math.floor(world.random.fraction() * orders.length)] ?? {};
    if (name === undefined) return;
    const keys = CREATING_STAGES.map((stage) => idempotencyKey(name, stage) as string | null);
    for (const { name: made, idempotencyKey: key } of allCreated(food.truth()))
      if (keys.includes(key)) food.forgetKey(made);
    food.replaceOrder(name);
    world.replaced.set(name, world.now);
  }

  /**
   * A customer cancels an order whose meal is linked, if none is cancelled. Later, the food service shows it as active, as a replica that is
   * behind does, and once more a few ticks later; each time briefly, while a poll lists it.
   */
  private flap(): void {
    const { food, world } = this;
    const isLinked = (name: string) =>
      this.fieldsAt(`relations/${name.slice("orders/".length)}`)?.kitchen !== undefined;
    const orders = food
      .truth()
      .orders.filter(({ name }) => isLinked(name) && !world.replaced.has(name) && !world.absenceOf(name));
    const cancelled = orders.filter(({ status }) => status === "CANCELLED");
    const candidates = cancelled.length > 0 ? cancelled : orders.filter(({ status }) => stageOf(status));
    const { name, status } = candidates[Math.floor(world.random.fraction() * candidates.length)] ?? {};
    if (name === undefined) return;
    if (status !== "CANCELLED") food.cancelOrder(name);
    const set = (now: OrderStatus) => {
      food.changeOrder(name, now, ["status"]);
      world.setByOthers.push({ order: name, status: now, at: world.now });
    };
    const shown = world.random.fraction() < 0.6 ? "NEW" : "PREPARATION";
    const show = () => {
      if (food.statusOf(name) !== "CANCELLED") return;
      set(shown);
      world.after(world.between(5_000, FLAP_MS), () => set("CANCELLED"));
    };
    for (let time = 1; time <= FLAPS; time++) world.after(time * FLAPS_EVERY_TICKS * TICK_MS, show);
    world.faultLasts((FLAPS * FLAPS_EVERY_TICKS + 1) * TICK_MS);
  }

  private every(milliseconds: number, name: "poll" | "sweep", work: (ports: Ports) => Promise<unknown>): void {
    const tick = () => {
      if (!this.ticking) return;
      this.due[name] = this.world.now + milliseconds;
      this.world.after(milliseconds, tick);
      const { fault } = this.world.effect({ process: 0, run: 0, operation: "tick", about: name, subject: "" });
      if (fault === "missed") return;
      if (fault === "restore") this.restore();
      if (fault === "replaced") this.replace();
      // At the tick of a poll, so that later polls meet what it shows.
      this.flapsDue ||= fault === "flapping";
      if (this.flapsDue && name === "poll") {
        this.flapsDue = false;
        this.flap();
      }
      const run = () => this.invoke(work, POLL_TIMEOUT_MS, { kind: name });
      run();
      if (fault === "doubled") run();
      if (fault === "overlapping") this.world.after(this.world.between(1, 200), run);
    };
    this.world.after(this.world.between(0, 1000), tick);
  }

  /** Brings a message to its stage: at least once, whenever it comes. */
  private deliver(stage: Stage, payload: unknown): void {
    const taking = (given: unknown) => (ports: Ports) => handleOrderMessage(stage, given, ports);
    const about = `${stage} ${(payload as { order: string }).order}`;
    const { fault } = this.world.effect({ process: 0, run: 0, operation: "deliver", about, subject: "" });
    if (fault === "poison") {
      const poison = [{ order: "orders/../x", status: "NEW" }, { __proto__: null }, null, "NEW", { order: 7 }];
      for (const given of poison)
        this.withFault(undefined, () => this.deliverUntilTaken(taking(given), RUN_TIMEOUT_MS));
    }
    this.withFault(fault, () => this.deliverUntilTaken(taking(payload), RUN_TIMEOUT_MS));
  }

  private deliverContinuation(payload: unknown): void {
    const { fault } = this.world.effect({ process: 0, run: 0, operation: "continue", about: "", subject: "" });
    const work = (ports: Ports) => continuePoll(payload, ports);
    const about = { kind: "continuation", continuation: ++this.continuations } as const;
    if (fault === "meeting") {
      this.world.after(this.world.between(5, 400), () => {
        for (let copy = 0; copy < MEETING_DELIVERIES; copy++) this.invoke(work, POLL_TIMEOUT_MS, about);
      });
    }
    this.withFault(fault, () => this.deliverUntilTaken(work, POLL_TIMEOUT_MS, about));
  }

  private onWrite(change: RelationChange): void {
    const path = (change.after ?? change.before)?.path ?? "";
    const [collection, id, below] = path.split("/");
    this.onDocument(change);
    const { state, ...links } = change.after?.fields ?? {};
    // What an older scheduler linked can be known as taken only once it was taken over, which gives it a state.
    for (const link of CREATING_STAGES.map((stage) => links[stage]))
      if (state && typeof link === "string") this.linked.add(link);
    if (collection !== "relations" || id === undefined || below !== undefined) return;
    for (const name of reactionsTo(change)) this.react(path, (ports) => runReaction(name, id, change, ports));
  }

  private react(path: string, work: (ports: Ports) => Promise<void>): void {
    const { fault } = this.world.effect({ process: 0, run: 0, operation: "react", about: path, subject: "" });
    this.withFault(fault, () => this.deliverUntilTaken(work, RUN_TIMEOUT_MS));
  }

  private withFault(fault: string | undefined, deliver: () => void): void {
    if (fault === "loss") return;
    this.underWay++;
    if (fault === "reorder") {
      const delay = this.world.between(1_000, 150_000);
      this.world.faultLasts(delay);
      this.world.after(delay, deliver);
      return;
    }
    deliver();
    if (fault !== "duplicate") return;
    this.underWay++;
    this.world.after(this.world.between(0, 20), deliver);
  }

  /** Brings one message until it is taken. */
  private deliverUntilTaken(
    work: (ports: Ports) => Promise<unknown>,
    timeout: number,
    about: Pick<Run, "kind" | "continuation"> = {},
  ): void {
    const onEnd = (ended: Run["ended"]) => {
      if (ended === "taken") this.underWay--;
      else this.world.after(this.world.between(10_000, 20_000), () => this.deliverUntilTaken(work, timeout, about));
    };
    this.world.after(this.world.between(5, 400), () => this.invoke(work, timeout, { ...about, onEnd }));
  }

  /** Runs a handler on some instance; `onEnd` receives its outcome. */
  private invoke(
    work: (ports: Ports) => Promise<unknown>,
    timeout: number,
    { onEnd = () => {}, ...about }: Pick<Run, "kind" | "continuation"> & { onEnd?: (ended: Run["ended"]) => void } = {},
  ): void {
    const process = this.instance();
    const number = this.runs.length + 1;
    const { policy } = this;
    const run: Run = {
      number,
      process: process.id,
      skew: process.skew,
      ...about,
      policy,
      ended: "running",
      endedBefore: Number.POSITIVE_INFINITY,
      effects: [],
      pending: [],
    };
    this.runs.push(run);
    const end = (ended: Run["ended"]) => {
      if (run.ended !== "running") return;
      run.ended = ended;
      run.endedBefore = this.world.history.length;
      if (ended === "taken") run.pending = run.effects.filter(({ result }) => result === undefined);
      process.onDeath.delete(lost);
      onEnd(ended);
    };
    const lost = () => end("lost");
    process.onDeath.add(lost);
    // The platform gives up on a run that hangs, and kills its instance.
    this.world.after(timeout, () => {
      if (run.ended === "running") this.world.kill(process);
    });
    work(portsOf(this.outside, process, run.number, run.effects)).then(
      () => end("taken"),
      (error: unknown) => {
        this.world.seeError(run.number, toErrorInfo(error));
        end("thrown");
      },
    );
  }

  private instance(): Process {
    const slot = Math.floor(this.world.random.fraction() * this.instances);
    const there = this.processes[slot];
    if (there?.alive && there.pausedUntil <= this.world.now) return there;
    const process = this.world.startProcess();
    this.processes[slot] = process;
    return process;
  }
}
