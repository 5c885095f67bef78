/**
 * How the poll is doing: what its last complete run saw, what waits longest, and the active orders over the last 24 hours. It is
 * stored with the lease, in the write by which a run gives the lease back, so it costs no write of its own.
 */

import * as v from "valibot";
import { hourOf } from "./domain/hours.js";
import { ACTIVE_STATUSES, type ActiveStatus } from "./domain/order-lifecycle.js";
import { recordOf } from "./domain/record-of.js";
import { orderRef } from "./domain/resource-names.js";
import type { Fields, Order, PollProgress, Snapshot } from "./ports.js";

export const POLL_LEASE = "leases/poll";

/** So many NEW orders are named, those that have waited longest. */
const MAX_WAITING = 10;

/** A food service's clock is at most so far ahead of ours. */
const MAX_CLOCK_SKEW_MS = 3_600_000;

/** The history has a point for each such span of time, for a day. */
const POINT_MS = 600_000;
const HISTORY_MS = 24 * 3_600_000;

/** By status. A document of a build that knew fewer statuses has no count of the others. */
const counts = v.object(recordOf(ACTIVE_STATUSES, () => v.optional(v.number(), 0)));
const error = v.object({ code: v.string(), message: v.string() });

const healthSchema = v.object({
  at: v.date(),
  completeAt: v.optional(v.nullable(v.date())),
  tookMs: v.number(),
  active: counts,
  failedPages: v.number(),
  error: v.optional(v.nullable(error)),
  /** When the newest order that any run saw was placed: younger ones have arrived since. */
  newest: v.optional(v.nullable(v.date())),
  waiting: v.array(v.object({ order: v.string(), since: v.date() })),
  points: v.array(v.object({ at: v.date(), ...counts.entries, arrived: v.number() })),
});

type PollHealth = v.InferOutput<typeof healthSchema>;

/** The progress in a continuation, with which another run takes over. */
export const progressSchema: v.GenericSchema<unknown, PollProgress> = v.object({
  startedAt: v.number(),
  active: counts,
  failedPages: v.number(),
  error: v.optional(error),
  arrived: v.number(),
  newest: v.number(),
  waiting: v.array(v.object({ order: v.string(), since: v.number() })),
});

/** The health in the lease's fields. What can't be read is left out: it must never keep the poll from running. */
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
   * @param lease the fields of the lease, with the health of the run before
   * @param startedAt in milliseconds since the epoch
   * @param progress what earlier runs of the same pass have seen
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

  /** Takes a page into account. */
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

  /** Takes a page into account that could not be listed or published. */
  fail(reason: { code: string; message: string }): void {
    this.progress.failedPages++;
    this.progress.error = {
      code: reason.code.slice(0, 100),
      message: reason.message.slice(0, 300).replace(/[\p{Cc}\p{Cs}]/gu, " "),
    };
  }

  /** When an order was placed, unless the service says something that can't be true, which a document might refuse. */
  private placedAt({ placedAt }: Order): number | undefined {
    const at = placedAt?.getTime() ?? -1;
    return at > 0 && at <= this.progress.startedAt + MAX_CLOCK_SKEW_MS ? at : undefined;
  }

  private seeWaiting(orders: readonly Order[]): void {
    const { progress, previous } = this;
    const seen = orders.flatMap((waiting) => {
      const { name } = waiting;
      if (orderRef(name) === undefined) return [];
      // A service that doesn't say when an order was placed: since we first saw it among the longest waiting.
      const known = previous?.waiting.find(({ order }) => order === name)?.since;
      return { order: name, since: this.placedAt(waiting) ?? known?.getTime() ?? progress.startedAt };
    });
    progress.waiting = [...progress.waiting, ...seen]
      .sort((one, other) => one.since - other.since)
      .slice(0, MAX_WAITING);
  }

  /** The fields to store when the run ends at this time; `revision` names what is deployed. */
  fieldsAt(now: number, revision: string): Fields {
    const { progress, previous } = this;
    const { active, failedPages, waiting, startedAt } = progress;
    const isComplete = failedPages === 0;
    // What a run did not see to the end says nothing about how many there are, nor about how many have arrived.
    const shown = isComplete ? active : (previous?.active ?? active);
    // Without any order there is no newest one: whatever is placed from now on arrives later.
    const newest = isComplete ? progress.newest || startedAt : (previous?.newest?.getTime() ?? 0);
    return {
      health: {
        at: new Date(now),
        completeAt: isComplete ? new Date(now) : (previous?.completeAt ?? null),
        tookMs: Math.max(0, now - startedAt),
        active: { ...shown },
        failedPages,
        error: progress.error ?? null,
        newest: newest > 0 ? new Date(newest) : null,
        waiting: waiting.map(({ order, since }) => ({ order, since: new Date(since) })),
        points: isComplete ? this.pointsAt(now) : (previous?.points ?? []),
        revision,
      },
    };
  }

  /** The history with this run in it. */
  private pointsAt(now: number): PollHealth["points"] {
    const at = Math.floor(now / POINT_MS) * POINT_MS;
    const recent = (this.previous?.points ?? []).filter((point) => point.at.getTime() > now - HISTORY_MS);
    const last = recent.at(-1);
    const isSame = last?.at.getTime() === at;
    const arrived = this.progress.arrived + (isSame ? last.arrived : 0);
    return [...(isSame ? recent.slice(0, -1) : recent), { at: new Date(at), ...this.progress.active, arrived }];
  }
}
