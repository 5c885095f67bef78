/** The poll: lists every active order and publishes each to the topic of its stage. */
import { parkUnusable, quoteName } from "../attempts/park-unusable.js";
import { toErrorInfo } from "../domain/errors.js";
import { ACTIVE_STATUSES, type ActiveStatus, STAGES, type Stage, stageOf } from "../domain/order-lifecycle.js";
import { orderId } from "../domain/resource-names.js";
import { acquireLease, type Lease, releaseLease, resumeLease } from "../lease.js";
import { firstPosition, type ListingPosition, OrderListing } from "../list-orders.js";
import { POLL_LEASE, PollTally } from "../poll-health.js";
import type { Order, OrderMessage, PollContinuation, PollProgress, Ports } from "../ports.js";
import { SeenNames } from "../seen-names.js";
import { parseContinuation } from "./messages.js";

/** How long one run lists before another run continues, in milliseconds. */
const LISTING_BUDGET_MS = 30_000;

/** The time between two ticks, which the passes of a poll divide, in milliseconds. */
const TICK_MS = 60_000;

/** The maximum of pages of a status that are published while the next one is listed. */
const MAX_PAGES_IN_FLIGHT = 4;

/** The memory for published orders, as a power of two in bytes. */
const PUBLISHED_BYTES_LOG2 = 24;

/** The maximum of unusable names that one run records, so a service that lists nothing else can't fill the store. */
const MAX_PARKED_NAMES = 20;

/** The result of a run. */
export interface PollResult {
  outcome: "completed" | "continued" | "skipped";
  published: number;
  /** Listed orders whose status is not active, or whose name can't be stored. */
  unusable: number;
  /** Statuses that could not be listed completely, and pages that could not be published. The next tick publishes their orders. */
  failedPages: number;
}

/** One pass over all active orders: the statuses that are not listed completely, and when the others were. */
interface Pass {
  positions: ListingPosition[];
  /** In milliseconds since the epoch. */
  startedAt: number;
  /** What earlier runs of the same pass saw. */
  progress?: PollProgress | undefined;
  /** The statuses that are listed again because the pass takes long. They are already counted. */
  again?: readonly ActiveStatus[];
}

/** One scheduled run: POLL_PASSES evenly spaced passes over all active orders, unless another run is in progress. */
export async function pollOrders(ports: Ports): Promise<PollResult> {
  const lease = await acquireLease(POLL_LEASE, maxRunMs(ports), ports);
  if (!lease) return logSkipped(ports);
  const run = new PollRun(lease, ports);
  const started = ports.clock.now();
  const passes = ports.settings.POLL_PASSES;
  for (let pass = 0; pass < passes; pass++) {
    // Skip a pass whose time has passed: the lease covers no pass that begins after the tick.
    if (ports.clock.now() >= started + ((pass + 1) * TICK_MS) / passes) continue;
    const wait = started + (pass * TICK_MS) / passes - ports.clock.now();
    await ports.clock.sleep(Math.max(0, wait));
    const positions = ACTIVE_STATUSES.map((status) => firstPosition(status, ports.settings));
    if (await run.runPass({ positions, startedAt: ports.clock.now() })) return run.log();
  }
  await run.release();
  return run.log();
}

/** The duration of the lease, in milliseconds: until the last pass, plus its listing, plus the page in progress at its end. */
function maxRunMs({ settings }: Ports): number {
  const lastPass = settings.POLL_PASSES === 1 ? 0 : TICK_MS;
  return lastPass + LISTING_BUDGET_MS + 2 * settings.CALL_DEADLINE_SECONDS * 1000;
}

/**
 * Continues where a run stopped, under the same lease. A status that takes longer than a tick does not delay the others: they
 * are listed again after a tick.
 * @throws ValidationError for a payload that is no continuation
 */
export async function continuePoll(payload: unknown, ports: Ports): Promise<PollResult> {
  const continuation = parseContinuation(payload);
  const { holder, step } = continuation;
  const lease = await resumeLease(POLL_LEASE, { holder, step }, maxRunMs(ports), ports);
  if (!lease) return logSkipped(ports);
  const run = new PollRun(lease, ports);
  if (!(await run.runPass(passOf(continuation, ports)))) await run.release();
  return run.log();
}

function passOf(continuation: PollContinuation, ports: Ports): Pass {
  const { statuses, pageToken, progress } = continuation;
  const now = ports.clock.now();
  const listed = statuses.map((status, index) => ({
    ...firstPosition(status, ports.settings),
    ...(index === 0 && { pageToken }),
  }));
  const { positions = listed, startedAt = now } = continuation;
  if (now < startedAt + TICK_MS) return { positions, startedAt, progress };
  const others = ACTIVE_STATUSES.filter((status) => positions.every((position) => position.status !== status));
  const all = [...positions, ...others.map((status) => firstPosition(status, ports.settings))];
  return { positions: all, startedAt: now, progress, again: others };
}

/** One run under one lease: what it has published so far, its problems, and its end time. */
class PollRun {
  private readonly result: PollResult = { outcome: "completed", published: 0, unusable: 0, failedPages: 0 };
  /** The problems, all of which go into one log line. */
  private readonly problems = new Set<string>();
  private misfiltered: { count: number; example: string } = { count: 0, example: "" };
  /** The number of orders whose name can't be stored, and the first of these names. */
  private unusable = 0;
  private readonly unusableNames = new Set<string>();
  /**
   * What the current pass has published, by stage and name, so an order in several lists is published once: 16 MiB at most, however many
   * orders there are. Among two million orders, it skips less than one by mistake. The next pass has another seed and publishes it.
   */
  private published!: SeenNames;
  /** What the current pass has seen. */
  private tally!: PollTally;

  constructor(
    private readonly lease: Lease,
    private readonly ports: Ports,
  ) {}

  /** Releases the lease, and stores there what the last pass saw. */
  async release(): Promise<void> {
    const { clock, settings } = this.ports;
    const hasFailed = this.result.failedPages > 0;
    const health = this.tally.fieldsAt(clock.now(), settings.K_REVISION ?? "local", hasFailed);
    await releaseLease(this.lease, this.ports, health);
  }

  /** Lists all statuses concurrently, completely or until time is up. Returns whether another run continues. */
  async runPass({ positions, startedAt, progress, again = [] }: Pass): Promise<boolean> {
    const now = this.ports.clock.now();
    this.tally = new PollTally(this.lease.fields, now, progress);
    this.published = new SeenNames(PUBLISHED_BYTES_LOG2, this.ports.random.fraction());
    const isCounted = ({ status }: ListingPosition) => !again.includes(status);
    const stopped = await Promise.all(
      positions.map((position) => this.list(position, now + LISTING_BUDGET_MS, isCounted(position))),
    );
    await this.parkUnusableNames();
    const unfinished = stopped.flatMap((position) => position ?? []);
    const [first] = unfinished;
    if (!first) return false;
    const { holder, step } = this.lease;
    const statuses = unfinished.map(({ status }) => status);
    const { pageToken } = first;
    const rest = { statuses, pageToken, positions: unfinished, startedAt };
    await this.ports.bus.publishContinuation({ holder, step, ...rest, progress: this.tally.progress });
    this.result.outcome = "continued";
    return true;
  }

  /** Lists one status page by page. Returns the position at which time ran out, or undefined at the end. */
  private async list(from: ListingPosition, until: number, isCounted: boolean): Promise<ListingPosition | undefined> {
    const { clock, food } = this.ports;
    const listing = new OrderListing(from, food);
    const publishing: Promise<void>[] = [];
    try {
      for (;;) {
        if (!listing.isOver && clock.now() >= until) return listing.position;
        const orders = await listing.next();
        if (!orders) return undefined;
        if (isCounted) this.tally.see(from.status, orders);
        if (publishing.length === MAX_PAGES_IN_FLIGHT) await publishing.shift();
        publishing.push(this.publish(from.status, orders));
      }
    } finally {
      await Promise.all(publishing);
      const { problem } = listing;
      if (problem?.isIncomplete) this.fail(problem);
      if (problem) this.problems.add(`${from.status}: ${problem.code} ${problem.message}`);
    }
  }

  private async publish(status: ActiveStatus, orders: Order[]): Promise<void> {
    const batches = new Map<Stage, OrderMessage[]>();
    for (const order of orders) {
      const stage = this.stageFor(order, status);
      if (!stage || !this.published.add(`${stage} ${order.name}`)) continue;
      const batch = batches.get(stage) ?? [];
      const placedAt = order.placedAt?.getTime();
      batch.push({ order: order.name, status: STAGES[stage].takes, ...(placedAt !== undefined && { placedAt }) });
      batches.set(stage, batch);
    }
    for (const [stage, batch] of batches) {
      try {
        await this.ports.bus.publishOrders(stage, batch);
        this.result.published += batch.length;
      } catch (error) {
        const { code, message } = toErrorInfo(error);
        this.fail({ code, message });
        this.problems.add(`failed to publish to ${STAGES[stage].topic}: ${code} ${message}`);
      }
    }
  }

  private fail(reason: { code: string; message: string }): void {
    this.result.failedPages++;
    this.tally.fail(reason);
  }

  /** The stage of an order by its own status, whatever list it is in; undefined if no stage can handle it. */
  private stageFor(order: Order, listedAs: ActiveStatus): Stage | undefined {
    const stage = stageOf(order.status);
    if (stage && orderId(order.name) !== undefined) return stage;
    this.result.unusable++;
    if (stage) this.noteUnusableName(order.name);
    else {
      this.misfiltered.count++;
      this.misfiltered.example ||= `${quoteName(order.name)} is ${order.status} and listed as ${listedAs}`;
    }
    return undefined;
  }

  private noteUnusableName(name: string): void {
    this.unusable++;
    if (this.unusableNames.size < MAX_PARKED_NAMES) this.unusableNames.add(name);
  }

  /** Records an order whose name can't be stored, so an operator can find it. Nothing else can be done for it. */
  private async parkUnusableNames(): Promise<void> {
    for (const name of this.unusableNames) {
      try {
        await parkUnusable(name, this.ports);
      } catch (error) {
        this.problems.add(`failed to store an unusable name: ${toErrorInfo(error).message}`);
        return;
      }
    }
  }

  /** Logs the result of the run, and its problems, if any, in one more line. */
  log(): PollResult {
    const { result, problems, misfiltered, unusableNames, ports } = this;
    if (misfiltered.count > 0) {
      problems.add(
        `${misfiltered.count} listed orders are not active (${misfiltered.example}): the food service ignores status_filter, or has statuses that this build does not know`,
      );
    }
    if (unusableNames.size > 0) {
      const [example = ""] = unusableNames;
      problems.add(
        `${this.unusable} orders have names that can't be stored, such as ${quoteName(example)}; the first are parked`,
      );
    }
    if (problems.size > 0) {
      const isIncomplete = result.failedPages > 0;
      const line = {
        component: "poll",
        outcome: isIncomplete ? "failed" : "degraded",
        problems: [...problems].slice(0, 20),
      };
      const message = `Poll met problems: ${[...problems].join("; ")}`.slice(0, 1_000);
      if (isIncomplete) ports.log.error(message, line);
      else ports.log.warn(message, line);
    }
    const isContinued = result.outcome === "continued";
    ports.log.info(isContinued ? "Poll continues in another run" : "Poll completed", { component: "poll", ...result });
    return result;
  }
}

function logSkipped({ log }: Ports): PollResult {
  const result: PollResult = { outcome: "skipped", published: 0, unusable: 0, failedPages: 0 };
  log.warn("Poll skipped: lease held or continuation already processed", { component: "poll", ...result });
  return result;
}
