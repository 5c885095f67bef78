/**
 * The poll's health: what its last complete run saw, which orders wait longest, and the active orders over the last 24 hours. It is
 * stored with the lease, in the write that releases it, so it needs no additional write.
 */

import * as v from "valibot";
import { hourOf } from "./domain/hours.js";
import { ACTIVE_STATUSES, type ActiveStatus } from "./domain/order-lifecycle.js";
import { recordOf } from "./domain/record-of.js";
import { orderRef } from "./domain/resource-names.js";
import type { Fields, Order, PollProgress, Snapshot } from "./ports.js";

export const POLL_LEASE = "leases/poll";

/** How many of the longest waiting NEW orders are named. */
const MAX_WAITING = 10;

/** The maximum by which a food service's clock may be ahead of ours. */
const MAX_CLOCK_SKEW_MS = 3_600_000;

/** The history has one point per interval of this length, for a day. */
const POINT_MS = 600_000;
const HISTORY_MS = 24 * 3_600_000;

/** Failed runs of this long are listed: longer than the window of the alert "Poll errors". */
const FAILED_RUNS_MS = 600_000;

/** The alert fires at the third failed run, so more of them say nothing new. */
const MAX_FAILED_RUNS = 10;

/** By status. A document of a build with fewer statuses has no count of the others. */
const counts = v.object(recordOf(ACTIVE_STATUSES, () => v.optional(v.number(), 0)));
const error = v.object({ code: v.string(), message: v.string() });

const healthSchema = v.object({
  at: v.date(),
  completeAt: v.optional(v.nullable(v.date())),
  tookMs: v.number(),
  active: counts,
  failedPages: v.number(),
  error: v.optional(v.nullable(error)),
  /** When recent runs ended that could not list or publish every page. */
  failedRuns: v.optional(v.array(v.date()), []),
  /** When the newest order that any run saw was placed. Younger orders have arrived since. */
  newest: v.optional(v.nullable(v.date())),
  waiting: v.array(v.object({ order: v.string(), since: v.date() })),
  points: v.array(v.object({ at: v.date(), ...counts.entries, arrived: v.number() })),
});

type PollHealth = v.InferOutput<typeof healthSchema>;

/** The progress that a continuation passes on to the next run. */
export const progressSchema: v.GenericSchema<unknown, PollProgress> = v.object({
  startedAt: v.number(),
  active: counts,
  failedPages: v.number(),
  error: v.optional(error),
  arrived: v.number(),
  newest: v.number(),
  waiting: v.array(v.object({ order: v.string(), since: v.number() })),
});

/** The health in the lease's fields. Unreadable parts are ignored, since they must never stop the poll. */
function healthIn(fields: Fields): PollHealth | undefined {
  const parsed = v.safeParse(healthSchema, fields.health);
  return parsed.success ? parsed.output : undefined;
}

/** How many orders arrived in an hour of the last 24, from the poll's lease document. */
export function arrivalsIn(lease: Snapshot | undefined): (hour: string) => number {
  const points = (lease && healthIn(lease.fields)?.points) ?? [];
  return (hour) => points.reduce((sum, { at, arrived }) => sum + (hourOf(at.getTime()) === hour ? arrived : 0), 0);
}

/** Counts what one pass over all active orders sees. */
export class PollTally {
  private readonly previous: PollHealth | undefined;
  readonly progress: PollProgress;

  /**
   * @param lease the lease's fields, with the health of the previous run
   * @param startedAt in milliseconds since the epoch
   * @param progress what earlier runs of the same pass saw
   */
  constructor(lease: Fields, startedAt: number, progress?: PollProgress) {
    this.previous = healthIn(lease);
    this.progress = progress ?? {
      startedAt,
      active: recordOf(ACTIVE_STATUSES, () => 0),
      failedPages: 0,
      arrived: 0,
      newest: this.previous?.newest?.getTime() ?? 0,
      waiting: [],
    };
  }

  /** Counts a page. */
  see(status: ActiveStatus, orders: readonly Order[]): void {
    const { progress, previous } = this;
    progress.active[status] += orders.length;
    const newestBefore = previous?.newest?.getTime();
    for (const order of orders) {
      const at = this.placedAt(order);
      if (at === undefined) continue;
      if (newestBefore !== undefined && at > newestBefore) progress.arrived++;
      progress.newest = Math.max(progress.newest, at);
    }
    if (status === "NEW") this.seeWaiting(orders);
  }

  /** Counts a page that could not be listed or published. */
  fail(reason: { code: string; message: string }): void {
    this.progress.failedPages++;
    this.progress.error = {
      code: reason.code.slice(0, 100),
      message: reason.message.slice(0, 300).replace(/[\p{Cc}\p{Cs}]/gu, " "),
    };
  }

  /** When an order was placed, unless the time is impossible: a document might not be able to store it. */
  private placedAt({ placedAt }: Order): number | undefined {
    const at = placedAt?.getTime() ?? -1;
    return at > 0 && at <= this.progress.startedAt + MAX_CLOCK_SKEW_MS ? at : undefined;
  }

  private seeWaiting(orders: readonly Order[]): void {
    const { progress, previous } = this;
    const seen = orders.flatMap((waiting) => {
      const { name } = waiting;
      if (orderRef(name) === undefined) return [];
      // If the service returns no creation time, the order waits since we first saw it among the longest waiting.
      const known = previous?.waiting.find(({ order }) => order === name)?.since;
      return { order: name, since: this.placedAt(waiting) ?? known?.getTime() ?? progress.startedAt };
    });
    progress.waiting = [...progress.waiting, ...seen]
      .sort((one, other) => one.since - other.since)
      .slice(0, MAX_WAITING);
  }

  /**
   * The fields to store when the run ends at this time.
   * @param revision names what is deployed
   * @param hasFailed whether this or an earlier pass of the run could not list or publish every page
   */
  fieldsAt(now: number, revision: string, hasFailed: boolean): Fields {
    const { progress, previous } = this;
    const { active, failedPages, waiting, startedAt } = progress;
    const isComplete = failedPages === 0;
    // An incomplete run says nothing about the number of active orders or arrivals.
    const shown = isComplete ? active : (previous?.active ?? active);
    // Without any order there is no newest one, so every order from now on counts as an arrival.
    const newest = isComplete ? progress.newest || startedAt : (previous?.newest?.getTime() ?? 0);
    return {
      health: {
        at: new Date(now),
        completeAt: isComplete ? new Date(now) : (previous?.completeAt ?? null),
        tookMs: Math.max(0, now - startedAt),
        active: { ...shown },
        failedPages,
        error: progress.error ?? null,
        failedRuns: this.failedRunsAt(now, hasFailed),
        newest: newest > 0 ? new Date(newest) : null,
        waiting: waiting.map(({ order, since }) => ({ order, since: new Date(since) })),
        points: isComplete ? this.pointsAt(now) : (previous?.points ?? []),
        revision,
      },
    };
  }

  private failedRunsAt(now: number, hasFailed: boolean): Date[] {
    const recent = (this.previous?.failedRuns ?? []).filter((at) => at.getTime() > now - FAILED_RUNS_MS);
    return [...recent, ...(hasFailed ? [new Date(now)] : [])].slice(-MAX_FAILED_RUNS);
  }

  /** The history including this run. */
  private pointsAt(now: number): PollHealth["points"] {
    const at = Math.floor(now / POINT_MS) * POINT_MS;
    const recent = (this.previous?.points ?? []).filter((point) => point.at.getTime() > now - HISTORY_MS);
    const last = recent.at(-1);
    const isSame = last?.at.getTime() === at;
    const arrived = this.progress.arrived + (isSame ? last.arrived : 0);
    return [...(isSame ? recent.slice(0, -1) : recent), { at: new Date(at), ...this.progress.active, arrived }];
  }
}
