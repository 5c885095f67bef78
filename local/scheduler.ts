/**
 * Fires the scheduled functions of an Emulator Suite like Cloud Scheduler, since the suite does not: each at its own schedule
 * or at an interval. A tick is skipped while the previous one is running. A failed run is not retried before the next tick.
 */
import { parseSchedule, type Schedule } from "./schedule.js";

export interface ScheduledFunction {
  name: string;
  region: string;
  /** As declared, in cron or App Engine syntax. */
  schedule: string;
  timeZone: string;
}

export interface SchedulerOptions {
  /** Seconds between ticks by function, instead of that function's own schedule. */
  intervals?: Readonly<Record<string, number>> | undefined;
  /** While this is true, functions with an interval skip their ticks, since more work would only queue up. */
  isBusy?: (() => boolean) | undefined;
  /** Receives a message for each failed tick, and for each schedule that can't be parsed. */
  onTrouble(message: string): void;
}

/** The outcome of one tick. `status` is the function's HTTP status, if it was called over HTTP. */
export type Tick = { function: string; outcome: "ran" | "failed" | "skipped"; status?: number; reason?: string };

/** Such as `every 5 s`, or the function's own schedule. */
export function describeSchedule(name: string, schedule: string, intervals: SchedulerOptions["intervals"]): string {
  const interval = intervals?.[name];
  return interval === undefined ? `at "${schedule}"` : `every ${interval} s`;
}

/** Runs a scheduled function once. It never rejects. */
export type Fire = (scheduled: ScheduledFunction, due: Date, signal: AbortSignal) => Promise<Tick>;

/** The timeout of a function that is fired at its own schedule, in milliseconds. */
const MAX_RUN_MS = 5 * 60_000;

/**
 * The timeout of a function that is fired at an interval. An emulator's worker that is killed while it loads never answers, and ticks
 * must continue. If the function is still running, its lease prevents the next run from overlapping.
 */
const MAX_INTERVAL_RUN_MS = 45_000;

export class Scheduler {
  /** The number of ticks by outcome. */
  readonly counts = { ran: 0, failed: 0, skipped: 0 };
  private readonly running = new Set<string>();
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly stopping = new AbortController();

  /** Nothing is fired before `start` or `tick`. */
  constructor(
    readonly functions: ScheduledFunction[],
    private readonly run: Fire,
    private readonly options: SchedulerOptions,
  ) {}

  /**
   * Looks up the scheduled functions of the Functions emulator at this origin, as http://host:port.
   * @throws Error if the emulator's reply is invalid
   */
  static async open({
    functions,
    project,
    ...options
  }: SchedulerOptions & { functions: string; project: string }): Promise<Scheduler> {
    return new Scheduler(await scheduledFunctions(functions), overHttp(functions, project), options);
  }

  /** Starts firing: functions with an interval immediately and then at the interval, others when they are due. */
  start(): void {
    const { onTrouble } = this.options;
    for (const scheduled of this.functions) {
      const interval = this.intervalOf(scheduled);
      if (interval !== undefined) {
        const now = new Date();
        this.wait(scheduled, (after) => new Date(after.getTime() + interval * 1000), now);
        continue;
      }
      try {
        this.wait(scheduled, parseSchedule(scheduled.schedule, scheduled.timeZone));
      } catch (error) {
        onTrouble(`${scheduled.name} will not be fired. ${(error as Error).message}.`);
      }
    }
  }

  /** Fires every scheduled function now, and resolves when they have answered. */
  async tick(): Promise<Tick[]> {
    return Promise.all(this.functions.map((scheduled) => this.fire(scheduled, new Date())));
  }

  /** Stops firing, without waiting for ticks in progress. */
  stop(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.stopping.abort();
  }

  private intervalOf({ name }: ScheduledFunction): number | undefined {
    return this.options.intervals?.[name];
  }

  private isHeldBack(scheduled: ScheduledFunction): boolean {
    return this.intervalOf(scheduled) !== undefined && this.options.isBusy?.() === true;
  }

  private wait(scheduled: ScheduledFunction, schedule: Schedule, due = schedule(new Date())): void {
    // A timer can wait for 24 days at most, so wait longer in steps.
    const left = due.getTime() - Date.now();
    const step = Math.min(Math.max(left, 0), 24 * 3_600_000);
    const timer = setTimeout(() => {
      if (step < left) return this.wait(scheduled, schedule, due);
      if (this.isHeldBack(scheduled)) this.counts.skipped++;
      else void this.fire(scheduled, due);
      const next = schedule(due);
      // After the machine slept, missed ticks are not made up for.
      this.wait(scheduled, schedule, next.getTime() > Date.now() ? next : schedule(new Date()));
    }, step);
    this.timers.set(scheduled.name, timer);
  }

  private async fire(scheduled: ScheduledFunction, due: Date): Promise<Tick> {
    const { name } = scheduled;
    if (this.running.has(name)) {
      this.counts.skipped++;
      return { function: name, outcome: "skipped", reason: "the previous run is still in progress" };
    }
    this.running.add(name);
    const limit = AbortSignal.timeout(this.intervalOf(scheduled) === undefined ? MAX_RUN_MS : MAX_INTERVAL_RUN_MS);
    const tick = await this.run(scheduled, due, AbortSignal.any([this.stopping.signal, limit]));
    this.running.delete(name);
    this.counts[tick.outcome]++;
    if (tick.outcome === "failed" && !this.stopping.signal.aborted) {
      this.options.onTrouble(`${name} failed when it was fired: ${tick.reason ?? `status ${tick.status}`}`);
    }
    return tick;
  }
}

/** Calls a function of the emulator as Cloud Scheduler would. */
function overHttp(functions: string, project: string): Fire {
  return async ({ name, region }, due, signal) => {
    try {
      const response = await fetch(`${functions}/${project}/${region}/${name}-0`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "X-CloudScheduler": "true",
          "X-CloudScheduler-JobName": `firebase-schedule-${name}-${region}`,
          "X-CloudScheduler-ScheduleTime": due.toISOString(),
        },
        body: "{}",
        signal,
      });
      await response.arrayBuffer();
      return { function: name, outcome: response.ok ? "ran" : "failed", status: response.status };
    } catch (error) {
      const { message, cause, name: kind } = error as Error;
      if (kind === "TimeoutError") return { function: name, outcome: "failed", reason: "no answer in time" };
      return { function: name, outcome: "failed", reason: cause instanceof Error ? cause.message : message };
    }
  };
}

/** The functions in the emulator's list that have a schedule. */
async function scheduledFunctions(functions: string): Promise<ScheduledFunction[]> {
  const response = await fetch(`${functions}/backends`);
  const { backends } = (await response.json()) as { backends?: unknown };
  if (!Array.isArray(backends)) throw new Error(`${functions}/backends is not a Functions emulator`);
  const triggers = backends.flatMap((backend: { functionTriggers?: unknown }) => backend.functionTriggers ?? []);
  return triggers.flatMap((trigger: unknown) => scheduledFunctionIn(trigger) ?? []);
}

function scheduledFunctionIn(trigger: unknown): ScheduledFunction | undefined {
  const { name, region, schedule: found } = trigger as Record<string, unknown>;
  const { schedule, timeZone } = (found ?? {}) as Record<string, unknown>;
  if (typeof name !== "string" || typeof region !== "string" || typeof schedule !== "string") return undefined;
  return { name, region, schedule, timeZone: typeof timeZone === "string" ? timeZone : "UTC" };
}
