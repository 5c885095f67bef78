/** The poll: lists every order on its way and publishes each to the topic of its stage. */
import { toErrorInfo } from "../domain/errors.js";
import { ACTIVE_STATUSES, type ActiveStatus, STAGES, type Stage, stageOf } from "../domain/order-lifecycle.js";
import { orderId } from "../domain/resource-names.js";
import { acquireLease, type Lease, releaseLease, resumeLease } from "../lease.js";
import { POLL_LEASE, PollTally } from "../poll-health.js";
import type { Order, OrderMessage, PollProgress, Ports } from "../ports.js";
import { parseContinuation } from "./messages.js";

/** How long one pass lists before it hands over, in milliseconds. */
const LISTING_BUDGET_MS = 30_000;

/** The time between two ticks, which the passes of a run share, in milliseconds. */
const TICK_MS = 60_000;

/** So many pages at most are being published while the next one is listed. */
const MAX_PAGES_IN_FLIGHT = 4;

/** What a run did. */
export interface PollResult {
  outcome: "completed" | "continued" | "skipped";
  published: number;
  /** Orders whose status is not one of an order on its way, or whose name can't be a document's. */
  unusable: number;
  /** Pages that could not be listed or published; the next tick comes to their orders. */
  failedPages: number;
}

interface Position {
  statuses: ActiveStatus[];
  pageToken: string;
}

/** One scheduled run: so many evenly spaced passes over everything, unless another run is under way. */
export async function pollOrders(ports: Ports): Promise<PollResult> {
  const lease = await acquireLease(POLL_LEASE, maxRunMs(ports), ports);
  if (!lease) return logResult({ outcome: "skipped", published: 0, unusable: 0, failedPages: 0 }, ports);
  const run = new PollRun(lease, ports);
  const started = ports.clock.now();
  const passes = ports.settings.POLL_PASSES;
  for (let pass = 0; pass < passes; pass++) {
    // A pass whose time the ones before took is left out: the lease covers none that begins after the tick.
    if (ports.clock.now() >= started + ((pass + 1) * TICK_MS) / passes) continue;
    const wait = started + (pass * TICK_MS) / passes - ports.clock.now();
    if (wait > 0) await ports.clock.sleep(wait);
    if (await run.runPass({ statuses: ACTIVE_STATUSES, pageToken: "" })) return logResult(run.result, ports);
  }
  await run.release();
  return logResult(run.result, ports);
}

/** How long the lease must last, in milliseconds: the last pass, its listing, and the page under way when time was up. */
function maxRunMs({ settings }: Ports): number {
  const lastPass = settings.POLL_PASSES === 1 ? 0 : TICK_MS;
  return lastPass + LISTING_BUDGET_MS + 2 * settings.CALL_DEADLINE_SECONDS * 1000;
}

/**
 * Goes on where a run stopped, under the same lease.
 * @throws ValidationError for a payload that is no continuation
 */
export async function continuePoll(payload: unknown, ports: Ports): Promise<PollResult> {
  const { holder, step, progress, ...position } = parseContinuation(payload);
  const lease = await resumeLease(POLL_LEASE, { holder, step }, maxRunMs(ports), ports);
  if (!lease) return logResult({ outcome: "skipped", published: 0, unusable: 0, failedPages: 0 }, ports);
  const run = new PollRun(lease, ports);
  if (!(await run.runPass(position, progress))) await run.release();
  return logResult(run.result, ports);
}

/** One run under one lease: what it has published so far and when its time is up. */
class PollRun {
  readonly result: PollResult = { outcome: "completed", published: 0, unusable: 0, failedPages: 0 };

  private tally: PollTally;

  constructor(
    private readonly lease: Lease,
    private readonly ports: Ports,
  ) {
    this.tally = new PollTally(lease.fields, ports.clock.now());
  }

  /** Gives the lease back, and leaves there what the last pass saw. */
  async release(): Promise<void> {
    const { clock, settings } = this.ports;
    await releaseLease(this.lease, this.ports, this.tally.fieldsAt(clock.now(), settings.K_REVISION ?? "local"));
  }

  /** Lists from there to the end, or until time is up: then another run takes over, and this is true. */
  async runPass({ statuses, pageToken }: Position, progress?: PollProgress): Promise<boolean> {
    const passStarted = this.ports.clock.now();
    this.tally = new PollTally(this.lease.fields, passStarted, progress);
    for (const [index, status] of statuses.entries()) {
      const stoppedAt = await this.list(status, index === 0 ? pageToken : "", passStarted + LISTING_BUDGET_MS);
      if (stoppedAt === undefined) continue;
      const { holder, step } = this.lease;
      const rest = { statuses: statuses.slice(index), pageToken: stoppedAt };
      await this.ports.bus.publishContinuation({ holder, step, ...rest, progress: this.tally.progress });
      this.result.outcome = "continued";
      return true;
    }
    return false;
  }

  /** Lists one status page by page; the page token at which time ran out, or undefined at the end. */
  private async list(status: ActiveStatus, from: string, until: number): Promise<string | undefined> {
    const { bus, clock, food, settings, log } = this.ports;
    const seen = new Set<string>();
    const publishing: Promise<void>[] = [];
    let pageToken = from;
    try {
      do {
        if (clock.now() >= until) return pageToken;
        seen.add(pageToken);
        const listing = food.listOrders({ status, pageSize: settings.POLL_PAGE_SIZE, pageToken });
        // The bus gets ready while the first page is on its way.
        bus.prepare?.();
        const page = await listing;
        this.tally.see(status, page.orders);
        if (publishing.length === MAX_PAGES_IN_FLIGHT) await publishing.shift();
        publishing.push(this.publish(page.orders));
        pageToken = page.nextPageToken;
        if (seen.has(pageToken) && pageToken !== "") {
          throw new Error(`the food service gave the page token ${JSON.stringify(pageToken)} twice`);
        }
      } while (pageToken !== "");
    } catch (error) {
      this.fail(error);
      log.error("Failed to list a page of orders", {
        component: "poll",
        status,
        pageToken,
        outcome: "failed",
        reason: toErrorInfo(error),
      });
    } finally {
      await Promise.all(publishing);
    }
    return undefined;
  }

  private fail(error: unknown): void {
    this.result.failedPages++;
    this.tally.fail(toErrorInfo(error));
  }

  private async publish(orders: Order[]): Promise<void> {
    const { bus, log } = this.ports;
    const batches = new Map<Stage, OrderMessage[]>();
    for (const order of orders) {
      const stage = stageOf(order.status);
      if (!stage || orderId(order.name) === undefined) {
        this.result.unusable++;
        log.warn("Skipped unusable order", {
          component: "poll",
          order: order.name.slice(0, 200),
          status: order.status,
          outcome: "unusable",
        });
        continue;
      }
      const batch = batches.get(stage) ?? [];
      batch.push({ order: order.name, status: STAGES[stage].takes });
      batches.set(stage, batch);
    }
    for (const [stage, batch] of batches) {
      try {
        await bus.publishOrders(stage, batch);
        this.result.published += batch.length;
      } catch (error) {
        this.fail(error);
        log.error("Failed to publish a page of orders", {
          component: "poll",
          topic: STAGES[stage].topic,
          outcome: "failed",
          reason: toErrorInfo(error),
        });
      }
    }
  }
}

function logResult(result: PollResult, { log }: Ports): PollResult {
  const line = { component: "poll", ...result };
  if (result.outcome === "skipped") log.warn("Poll skipped: lease held or continuation already processed", line);
  else log.info(result.outcome === "continued" ? "Poll continues in another run" : "Poll completed", line);
  return result;
}
