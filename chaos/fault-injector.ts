/** Injects faults: their times are drawn from a seed and aimed at moments at which work is in progress. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Randomness } from "../functions/src/ports.js";
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import type { Call, FoodServiceProxy, Moment } from "../harness/food-service-proxy.js";
import type { EmptyReplica } from "./empty-replica.js";
import type { Fleet, FunctionName, Instance } from "./fleet.js";
import type { OtherProgram } from "./other-program.js";

/** Every kind of fault that a full run must inject. */
const KINDS = [
  "function killed",
  "function killed over a call",
  "food service killed",
  "function stopped",
  "function stopped beyond its lease",
  "food service stopped",
  "connection reset",
  "call failed",
  "create's answer lost",
  "answer too slow",
  "tick missed",
  "tick doubled",
  "message doubled",
  "message redelivered",
  "event doubled",
  "event redelivered",
  "order ended by another program",
  "list without its orders",
  "order not found by a sweep",
  "deploy",
] as const;

export type Kind = (typeof KINDS)[number];

/** How often each kind was injected. */
export class Counts {
  readonly byKind = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;

  add(kind: Kind): void {
    this.byKind[kind]++;
  }

  /** The kinds that were never injected. */
  get missing(): Kind[] {
    return KINDS.filter((kind) => this.byKind[kind] === 0);
  }
}

/** The weight of each function as a victim. A killed sweep holds its lease for nine minutes, which is longer than a run. */
const WEIGHTS: Partial<Record<FunctionName, number>> = {
  sendToKitchen: 3,
  dispatchShipment: 3,
  completeOrder: 2,
  onRelationWritten: 2,
  pollOrders: 1,
  sweep: 1,
};

const MOMENTS: Moment[] = ["asked", "carried out", "answered"];

/** An armed fault that meets no call within this time is injected immediately. */
const ARMED_FAULT_TIMEOUT_MS = 1_500;

/** The maximum of instances that start at a time, so the rest of the system can run. */
const MOST_STARTING = 3;

interface ArmedFault {
  moment: Moment;
  matches(call: Call): boolean;
  inject(call: Call | undefined): Promise<void> | void;
}

export interface InjectorOptions {
  fleet: Fleet;
  food: FoodServiceProcess;
  proxy: FoodServiceProxy;
  other: OtherProgram;
  emptyReplica: EmptyReplica;
  random: Randomness;
  counts: Counts;
  kills: number;
  /** How many orders another program ends. */
  ends: number;
  /** How long faults are injected, in milliseconds. */
  span: number;
  /** How long a claim lasts, in milliseconds. */
  lease: number;
  /** The build that is deployed in the middle of the run. */
  nextBuild: string;
  signal: AbortSignal;
}

export class Injector {
  kills = 0;
  private readonly armed = new Set<ArmedFault>();
  /** The number of polls that may be killed during their work: each delays all others until its lease expires. */
  private pollsToKill: number;
  private foodIsDown = false;
  private readonly underWay = new Set<Promise<unknown>>();

  constructor(private readonly options: InjectorOptions) {
    this.pollsToKill = options.kills >= 100 ? 1 : 0;
  }

  /** Injects every fault at its time; resolves when all are over. */
  async run(): Promise<void> {
    const { kills, span, signal } = this.options;
    const plan: { at: number; strike(): Promise<unknown> | unknown }[] = [];
    const spread = (count: number, strike: (index: number) => Promise<unknown> | unknown) => {
      for (let index = 0; index < count; index++) {
        plan.push({ at: ((index + this.fraction()) * span) / count, strike: () => strike(index) });
      }
    };
    const share = (of: number) => Math.max(1, Math.round(kills * of));
    spread(kills, (index) => (index % 20 === 4 ? this.killFood() : this.killFunction()));
    spread(share(0.12), () => this.stopFunction(300 + 2_000 * this.fraction(), "function stopped"));
    spread(share(0.08), () => {
      const { lease } = this.options;
      return this.stopFunction(lease + 1_000 + 2_000 * this.fraction(), "function stopped beyond its lease");
    });
    spread(share(0.04), () => this.stopFood());
    spread(share(0.15), () => this.reset());
    spread(share(0.1), () => this.slowDown());
    spread(share(0.02), () => this.options.emptyReplica.serve(signal));
    spread(this.options.ends, () => this.options.other.endOne(signal));
    plan.push({ at: span / 2, strike: () => this.deploy() });
    plan.sort((one, other) => one.at - other.at);

    const began = Date.now();
    for (const { at, strike } of plan) {
      const wait = began + at - Date.now();
      if (wait > 0) await sleep(wait, undefined, { signal });
      signal.throwIfAborted();
      this.follow(Promise.resolve(strike()));
    }
    while (this.underWay.size > 0 || this.kills < kills) {
      await Promise.all(this.underWay);
      if (this.kills < kills) await this.killFunction();
      signal.throwIfAborted();
    }
  }

  /** Injects the fault that is armed for such a call at this moment, if there is one. */
  async onMoment(call: Call, moment: Moment): Promise<void> {
    for (const fault of this.armed) {
      if (fault.moment !== moment || !fault.matches(call)) continue;
      this.armed.delete(fault);
      await fault.inject(call);
      return;
    }
  }

  /** Makes the run wait for the end of a fault. */
  private follow(work: Promise<unknown>): void {
    this.underWay.add(work);
    void work.finally(() => this.underWay.delete(work));
  }

  private fraction(): number {
    return this.options.random.fraction();
  }

  private oneOf<T>(things: readonly T[]): T | undefined {
    return things[Math.floor(this.fraction() * things.length)];
  }

  /** Waits for such a call at such a moment, and injects the fault anyway if none comes in time. */
  private async armFault(fault: ArmedFault): Promise<void> {
    const { promise: struck, resolve: done } = Promise.withResolvers<void>();
    const armed: ArmedFault = {
      ...fault,
      inject: async (call) => {
        try {
          await fault.inject(call);
        } finally {
          done();
        }
      },
    };
    this.armed.add(armed);
    const timer = setTimeout(() => {
      if (this.armed.delete(armed)) void armed.inject(undefined);
    }, ARMED_FAULT_TIMEOUT_MS);
    await struck;
    clearTimeout(timer);
  }

  private instanceOf(call: Call): Instance | undefined {
    return this.options.fleet.all.find(({ number }) => number === call.process);
  }

  /** A function drawn by weight; calls of the stages that create are met at their create where there is one. */
  private aim(): { name: FunctionName; moment: Moment; matches(call: Call): boolean } {
    const names = (Object.keys(WEIGHTS) as FunctionName[]).flatMap(
      (name) => Array(WEIGHTS[name]).fill(name) as (typeof name)[],
    );
    const name = this.oneOf(names) ?? "sendToKitchen";
    const moment = this.oneOf(MOMENTS) ?? "asked";
    const creates = (name === "sendToKitchen" || name === "dispatchShipment") && this.fraction() < 0.6;
    const matches = (call: Call) =>
      this.instanceOf(call)?.name === name && this.mayKill(this.instanceOf(call)) && (!creates || call.key !== "");
    return { name, moment, matches };
  }

  private mayKill(instance: Instance | undefined): boolean {
    if (instance?.state !== "ready") return false;
    if (instance.inFlight.size === 0) return true;
    if (instance.name === "pollOrders") return this.pollsToKill > 0;
    return instance.name !== "sweep";
  }

  private async killFunction(): Promise<void> {
    const { fleet, signal } = this.options;
    while (fleet.all.filter(({ state }) => state === "starting").length > MOST_STARTING) {
      await sleep(100, undefined, { signal });
    }
    const { name, moment, matches } = this.aim();
    const inject = (call: Call | undefined) => this.killNow(call ? this.instanceOf(call) : this.anyToKill(name), call);
    await this.armFault({ moment, matches, inject });
  }

  private async killNow(victim: Instance | undefined, call: Call | undefined): Promise<void> {
    const { fleet, counts } = this.options;
    if (!victim) return;
    if (victim.name === "pollOrders" && victim.inFlight.size > 0) this.pollsToKill--;
    if (!fleet.kill(victim)) return;
    this.kills++;
    counts.add("function killed");
    if (!call) return;
    counts.add("function killed over a call");
    // What was sent right before the kill may or may not arrive.
    if (this.fraction() < 0.5) await victim.child?.exited;
  }

  /** An instance of this function, or of any if that has none that may be killed. */
  private anyToKill(name: FunctionName): Instance | undefined {
    const there = this.options.fleet.all.filter((instance) => this.mayKill(instance));
    const likely = there.filter((instance) => instance.name === name);
    return this.oneOf(likely.length > 0 ? likely : there);
  }

  private async killFood(): Promise<void> {
    const { food, counts } = this.options;
    if (this.foodIsDown) return this.killFunction();
    this.foodIsDown = true;
    await this.armFault({
      moment: this.oneOf(MOMENTS) ?? "asked",
      matches: ({ key }) => key !== "",
      inject: async () => {
        const killed = food.kill();
        this.kills++;
        counts.add("food service killed");
        await killed;
        this.follow(
          food.restart().finally(() => {
            this.foodIsDown = false;
          }),
        );
      },
    });
  }

  private async stopFunction(milliseconds: number, kind: Kind): Promise<void> {
    const { fleet, counts } = this.options;
    const { name, moment, matches } = this.aim();
    await this.armFault({
      moment,
      matches: (call) => matches(call) && !this.instanceOf(call)?.paused,
      inject: (call) => {
        const likely = fleet.all.filter((instance) => instance.name === name && instance.state === "ready");
        const victim = call ? this.instanceOf(call) : this.oneOf(likely);
        if (!victim) return;
        this.follow(fleet.pause(victim, milliseconds).then((did) => did && counts.add(kind)));
      },
    });
  }

  private async stopFood(): Promise<void> {
    if (this.foodIsDown) return;
    this.foodIsDown = true;
    await this.options.food.pause(500 + 3_000 * this.fraction());
    this.foodIsDown = false;
    this.options.counts.add("food service stopped");
  }

  private async reset(): Promise<void> {
    const { fleet, proxy, counts } = this.options;
    const { moment, matches } = this.aim();
    await this.armFault({
      moment,
      matches,
      inject: (call) => {
        const there = call ? [call.process] : fleet.all.map(({ number }) => number);
        if (there.some((process) => proxy.reset(process) > 0)) counts.add("connection reset");
      },
    });
  }

  private async slowDown(): Promise<void> {
    const { matches } = this.aim();
    await this.armFault({
      moment: "carried out",
      matches,
      inject: async (call) => {
        if (!call || !Number.isFinite(call.timeoutMs)) return;
        this.options.counts.add("answer too slow");
        await sleep(call.timeoutMs + 300);
      },
    });
  }

  private async deploy(): Promise<void> {
    this.options.counts.add("deploy");
    await this.options.fleet.deploy(this.options.nextBuild);
  }
}
