/** Virtual time and the processes that live in it. Nothing waits for real: the next thing due simply comes next. */
import { setImmediate as eventLoopTurned } from "node:timers/promises";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import type { Randomness } from "../functions/src/ports.js";
import { type Due, DueQueue } from "../services/food-service/model/due-queue.js";
import { type Choose, type Fault, FOREIGN_REPLIES, type Operation } from "./faults.js";

interface Happening extends Due {
  happen(): void;
}

/** One thing that happened, for the checker and for reading a failure. */
export interface Entry {
  effect: number;
  at: number;
  process: number;
  run: number;
  operation: Operation;
  /** What it was about: paths, names, statuses. */
  about: string;
  /** The idempotency key of a create, the status written by an update, the order of a read. */
  subject: string;
  fault: Fault | undefined;
  /** What the handler saw; undefined as long as it saw nothing. */
  result: string | undefined;
  /** Whether it was carried out, whatever the handler saw. */
  applied: boolean;
  /** What a page listed, and the token of the next one. */
  page?: { orders: { name: string; status: string }[]; next: string };
  /** Until when a create may arrive, by the clock of its process. */
  deadline?: number;
  /** What was published. */
  published?: { orders: string[] } | { positions: { status: string; pageToken: string }[] };
  /** In which situation it was tried, if the run takes note of situations: see `situationOf`. */
  situation?: string;
}

/** A process of the functions: it may die or be paused, and its clock may be off. */
export interface Process {
  id: number;
  alive: boolean;
  pausedUntil: number;
  /** What the process goes on with when it wakes. */
  readonly asleep: (() => void)[];
  skew: number;
  /** Called when it dies. */
  onDeath: Set<() => void>;
}

/** A name that the food service did not find for a while. */
interface Absence {
  /** Undefined: every name. */
  name: string | undefined;
  fault: Fault;
  from: number;
  /** Infinity: for good. */
  until: number;
}

export type Service = "store" | "food" | "users" | "bus" | "platform";

/** How long a suspended process sleeps if no other one claims anything: by then the platform has ended all that ran in it. */
const MAX_SUSPENSION_MS = 180_000;

/** How soon after the claim it wakes at most: in this share of the cases, before the create that follows can be linked. */
const SOON_SHARE = 0.6;
const SOON_MS = 50;
const LATER_MS = 400;

/** How long it takes until a loss for good has led to all that it leads to without an operator, once nothing delays the looks any more. */
const LOSS_SETTLES_MS = 1_500_000;

/** The names of JavaScript's own errors, and of valibot's, which must never leave `parse`. */
const BUG = /^(Aggregate|Assertion|Eval|Internal|Range|Reference|Syntax|Type|URI|Vali)?Error$/;

const START = Date.UTC(2026, 0, 1);

/** Resolves once no microtask is left; a turn of the event loop would take longer. */
const microtasksDone = () => new Promise<void>((resolve) => process.nextTick(resolve));

export class World {
  now = START;
  readonly history: Entry[] = [];
  readonly random: Randomness;
  /** Until when each service is out, in milliseconds since the epoch. */
  readonly outageUntil: Record<Service, number> = { store: 0, food: 0, users: 0, bus: 0, platform: 0 };
  /** Until when the food service answers from an empty replica, in milliseconds since the epoch. */
  emptyUntil = 0;
  /** When it did so: every name was absent then. */
  readonly emptied: Absence[] = [];
  /** What the food service did not find, and when. */
  readonly absences: Absence[] = [];
  /** The statuses whose pages fail or never end, and until when. */
  readonly failingUntil = new Map<string, number>();
  readonly endlessUntil = new Map<string, number>();
  /** Until when every page takes almost as long as a call may. */
  slowPagesUntil = 0;
  /** The statuses that others than we and the customer gave to orders. */
  readonly setByOthers: { order: string; status: string; at: number }[] = [];
  /** The orders whose name was given to a new one, and when. */
  readonly replaced = new Map<string, number>();
  /** The orders whose updates fail, how, and until when. */
  readonly failingReports = new Map<string, { fault: Fault; until: number }>();
  /** The keys of creates that are refused, and until when. */
  readonly refusedUntil = new Map<string, number>();
  /** Whether a page without orders comes before the first page of every list, from some moment on for good. */
  areFirstPagesEmpty = false;
  /** Whether the food service ignores the status filter, from some moment on for good. */
  isFilterIgnored = false;
  /** Describes the situation in which an effect is about to be tried; undefined if the run takes no note of situations. */
  describe: (entry: Entry) => string | undefined = () => undefined;
  /** How many lists found no slot in time, by the number of their run. */
  readonly listsWithoutSlot = new Map<number, number>();
  /** The attempt, and its version or claim that an operator saw, by the key of the decision. */
  readonly decisions = new Map<string, { path: string; version: string | undefined; claim: string | undefined }>();
  /** The number of the run whose commit is applied now; 0 if another program writes. */
  writer = 0;
  /** Errors of an unknown class, which only a bug throws. */
  readonly bugs: string[] = [];
  /** When the last fault was over, but for what losses for good lead to. */
  private faultsLastUntil = START;
  private readonly suspended = new Set<Process>();
  private readonly happenings = new DueQueue<Happening>();
  private number = 0;
  private effects = 0;
  private processes = 0;

  constructor(
    seed: number,
    readonly choose: Choose,
  ) {
    this.random = seededRandomness(seed);
  }

  /** Lets something happen after so many milliseconds. */
  after(milliseconds: number, happen: () => void): void {
    this.happenings.add({ at: this.now + milliseconds, number: this.number++, happen });
  }

  /** Lets everything happen that is due by then. */
  async until(time: number): Promise<void> {
    for (let next = this.happenings.take(time); next; next = this.happenings.take(time)) {
      this.now = next.at;
      next.happen();
      // Every handler runs on until it waits for the world again.
      await microtasksDone();
    }
    this.now = time;
    // The process can still read its messages, and be ended.
    await eventLoopTurned();
  }

  startProcess(): Process {
    const process = {
      id: ++this.processes,
      alive: true,
      pausedUntil: 0,
      asleep: [],
      skew: 0,
      onDeath: new Set<() => void>(),
    };
    if (this.effect({ process: process.id, run: 0, operation: "start", about: "", subject: "" }).fault) {
      process.skew = this.between(-40_000, 40_000);
    }
    return process;
  }

  /** Pauses a process for so many milliseconds from now. */
  pause(process: Process, milliseconds: number): void {
    process.pausedUntil = Math.max(process.pausedUntil, this.now + milliseconds);
    this.faultLasts(milliseconds);
    this.after(milliseconds, () => this.wake(process));
  }

  /** Suspends a process for a long time; it wakes early, at the worst moment: soon after another one claims an attempt. */
  suspend(process: Process): void {
    this.suspended.add(process);
    this.pause(process, MAX_SUSPENSION_MS);
  }

  /** Notes that a process has claimed an attempt. */
  claimed(by: Process): void {
    for (const process of this.suspended) {
      if (process === by) continue;
      this.suspended.delete(process);
      const delay = this.between(0, this.random.fraction() < SOON_SHARE ? SOON_MS : LATER_MS);
      process.pausedUntil = this.now + delay;
      this.after(delay, () => this.wake(process));
    }
  }

  /** Lets a process go on, now or when it wakes. A dead one never does. */
  resume(process: Process, goOn: () => void): void {
    if (!process.alive) return;
    if (process.pausedUntil > this.now) process.asleep.push(goOn);
    else goOn();
  }

  private wake(process: Process): void {
    if (process.pausedUntil > this.now) return;
    for (const goOn of process.asleep.splice(0)) this.resume(process, goOn);
  }

  kill(process: Process): void {
    if (!process.alive) return;
    process.alive = false;
    this.suspended.delete(process);
    for (const onDeath of process.onDeath) onDeath();
  }

  /** Notes an effect that is about to be tried, and decides which fault strikes. */
  effect(about: Pick<Entry, "process" | "run" | "operation" | "about" | "subject">): Entry {
    const effect = this.effects++;
    const fault = this.choose(effect, about.operation);
    if (fault) this.faultLasts(0);
    const { process, run, operation, subject } = about;
    const entry: Entry = {
      effect,
      at: this.now,
      process,
      run,
      operation,
      about: about.about,
      subject,
      fault,
      result: undefined,
      applied: false,
    };
    const situation = this.describe(entry);
    if (situation !== undefined) entry.situation = situation;
    this.history.push(entry);
    return entry;
  }

  /** Takes note of an error that a run met or ended with. */
  seeError(run: number, { code, message }: { code: string; message: string }): void {
    if (BUG.test(code)) this.bugs.push(`run ${run}: ${code} ${message}`);
  }

  /** The lasting faults that strike now, for telling situations apart. */
  conditions(): string {
    const out = Object.entries(this.outageUntil).flatMap(([service, until]) => (until > this.now ? service : []));
    const absent = this.absences
      .filter(({ until }) => until > this.now)
      .map(({ name, until }) => `${name} ${until === Number.POSITIVE_INFINITY}`);
    const pages = [this.failingUntil, this.endlessUntil].map((until) =>
      [...until].filter(([, end]) => end > this.now).map(([status]) => status),
    );
    return [
      ...out,
      ...absent,
      ...pages,
      this.slowPagesUntil > this.now,
      this.emptyUntil > this.now,
      this.isFilterIgnored,
      this.areFirstPagesEmpty,
      ...this.failingReports.keys(),
      ...this.refusedUntil.keys(),
      this.suspended.size,
    ].join();
  }

  /** Makes a name, or every name, disappear from the food service; for good if no time is given. */
  lose(name: string | undefined, fault: Fault, milliseconds = Number.POSITIVE_INFINITY): void {
    this.absences.push({ name, fault, from: this.now, until: this.now + milliseconds });
    this.faultLasts(Number.isFinite(milliseconds) ? Math.min(milliseconds, LOSS_SETTLES_MS) : 0);
  }

  /** Notes that an operator has decided: the next thing that is lost for good may come to light only now. */
  lossGoesOn(): void {
    if (this.isSomethingLost) this.faultLasts(0);
  }

  /**
   * When the last fault was over, but for what losses for good lead to: that shows in the documents. Not if an order is still listed: after its
   * relation is closed, the poll looks at it.
   */
  get strikesOver(): number {
    return this.absences.some(({ fault }) => fault === "foreign replies for good")
      ? this.faultsOver
      : this.faultsLastUntil;
  }

  /** When the last fault was over, with all that it led to. A loss comes to light only when no other fault delays the looks. */
  get faultsOver(): number {
    return this.faultsLastUntil + (this.isSomethingLost ? LOSS_SETTLES_MS : 0);
  }

  private get isSomethingLost(): boolean {
    return this.absences.some(({ until }) => until === Number.POSITIVE_INFINITY);
  }

  /** The absence by which the food service does not find a name now. */
  absenceOf(name: string): Absence | undefined {
    return this.absences.find((absence) => (absence.name ?? name) === name && absence.until > this.now);
  }

  /** Whether the food service does not find a name now. A name about which it replies wrongly is listed. */
  isUnlisted(name: string): boolean {
    const absence = this.absenceOf(name);
    return absence !== undefined && !(FOREIGN_REPLIES as readonly Fault[]).includes(absence.fault);
  }

  /** How the updates of an order's status fail now, undefined if they do not. */
  failingReportsOf(order: string): Fault | undefined {
    const failing = this.failingReports.get(order);
    return failing && failing.until > this.now ? failing.fault : undefined;
  }

  /** Whether a name is lost for good. */
  isLostForGood(name: string): boolean {
    return this.absenceOf(name)?.until === Number.POSITIVE_INFINITY;
  }

  /** Notes that a fault goes on for so many milliseconds from now. */
  faultLasts(milliseconds: number): void {
    this.faultsLastUntil = Math.max(this.faultsLastUntil, this.now + milliseconds);
  }

  between(least: number, most: number): number {
    return Math.round(least + (most - least) * this.random.fraction());
  }
}
