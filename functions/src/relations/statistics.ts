/**
 * Hourly statistics: how many orders reached each state, and how long a sample of the completed ones was in each stage.
 * One document holds the last seven days. The sweep adds each past hour once, which is one write an hour.
 *
 * They are counted from the history, whose entries have a field with their hour. That field is indexed, the time itself
 * is not: an index over increasing times is limited to 500 writes a second, while an hour's entries are spread by their ids.
 */

import * as v from "valibot";
import { commitIfUnchanged } from "../commit-if-unchanged.js";
import { hourOf } from "../domain/hours.js";
import { ACTIVE_STATUSES, type ActiveStatus, RELATION_STATES, type RelationState } from "../domain/order-lifecycle.js";
import { recordOf } from "../domain/record-of.js";
import { orderId } from "../domain/resource-names.js";
import { parse } from "../parse.js";
import { arrivalsIn, POLL_LEASE } from "../poll-health.js";
import type { Fields, Ports, Snapshot, Store, Write } from "../ports.js";
import { HISTORY, hourBuckets } from "./history.js";
import { parseRelation, type Relation, relationPath } from "./relation.js";

export const STATISTICS_PATH = "statistics/hours";

const STATISTICS_SCHEMA = 1;
export const HOUR_MS = 3_600_000;

/** How many hours are stored: seven days. */
export const MAX_HOURS = 168;

/** An hour is counted this long after its end, when its last commits have arrived. */
const SETTLE_MS = 300_000;

/** The number of an hour's completed orders that are sampled for the time in each stage. */
const SAMPLE_SIZE = 100;

const STATES = Object.keys(RELATION_STATES) as RelationState[];

/** How many durations fall into each bin. Bin n holds those up to BASE_MS × GROWTH^n. */
export type Histogram = { [bin: string]: number };

const BASE_MS = 1_000;
const GROWTH = 1.25;

const histogram = v.record(v.string(), v.pipe(v.number(), v.integer(), v.minValue(0)));
const hourSchema = v.object({
  arrived: v.number(),
  counts: v.record(v.picklist(STATES), v.number()),
  stages: v.object(recordOf(ACTIVE_STATUSES, () => v.optional(histogram, {}))),
});

const schema = v.object({
  schema: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(STATISTICS_SCHEMA)),
  hours: v.record(v.string(), hourSchema),
});

export type HourStatistics = v.InferOutput<typeof hourSchema>;

/**
 * The hours in a document, by their names, such as 2026-11-26T15.
 * @throws ValidationError for wrong types and newer schemas
 */
export function hoursIn(snapshot: Snapshot | undefined): { [hour: string]: HourStatistics } {
  if (!snapshot) return {};
  return parse(schema, snapshot.fields, `${snapshot.path} is not a statistics document that this build can read`).hours;
}

/**
 * Adds past hours that are not counted yet. If there are none, it costs two reads.
 * @throws StoreError, ValidationError
 */
export async function rollUpStatistics({ store, clock }: Pick<Ports, "store" | "clock">): Promise<void> {
  const [found, poll] = await store.read(STATISTICS_PATH, POLL_LEASE);
  const known = hoursIn(found);
  const oldest = hourOf(clock.now() - MAX_HOURS * HOUR_MS);
  const due = dueHours(Object.keys(known), oldest, clock.now());
  if (due.length === 0) return;
  const hours = { ...known };
  const arrivedIn = arrivalsIn(poll);
  for (const hour of due) hours[hour] = await countHour(hour, arrivedIn(hour), store);
  const recent = Object.fromEntries(Object.entries(hours).filter(([hour]) => hour >= oldest));
  const fields: Fields = { schema: STATISTICS_SCHEMA, hours: recent };
  const write: Write = found
    ? { kind: "update", path: STATISTICS_PATH, version: found.version, fields }
    : { kind: "create", path: STATISTICS_PATH, fields };
  // If it is not committed, another sweep, or our own retried commit, has already counted these hours.
  await commitIfUnchanged([write], { store });
}

/** The past hours after the newest known one, from the oldest that is stored on; only the last hour if none is known. */
function dueHours(known: string[], oldest: string, now: number): string[] {
  const last = now - SETTLE_MS - HOUR_MS;
  const newest = known.sort().at(-1) ?? hourOf(last - HOUR_MS);
  const due: string[] = [];
  for (let at = last; hourOf(at) > newest && hourOf(at) >= oldest; at -= HOUR_MS) due.push(hourOf(at));
  return due;
}

/** Counts an hour and samples its completed orders. */
async function countHour(hour: string, arrived: number, store: Store): Promise<HourStatistics> {
  const counts = await countStates(hour, store);
  return { arrived, counts, stages: await sampleStages(hour, store) };
}

/** How many orders reached each state in an hour. */
export async function countStates(hour: string, store: Store): Promise<Record<RelationState, number>> {
  const counts = STATES.map(async (state) => {
    const oneOf = hourBuckets(hour, [state]);
    return [state, await store.count({ collection: HISTORY, field: "hour", oneOf })] as const;
  });
  return Object.fromEntries(await Promise.all(counts)) as Record<RelationState, number>;
}

/** How long orders that completed in an hour were in each stage. The entries' ids are hashes, so the first ones are a fair sample. */
export async function sampleStages(hour: string, store: Store): Promise<HourStatistics["stages"]> {
  const oneOf = hourBuckets(hour, ["DELIVERED", "REJECTED"]);
  const entries = await store.query({ collection: HISTORY, field: "hour", oneOf, limit: SAMPLE_SIZE });
  const ids = entries.map(({ fields }) => orderId(String(fields.order))).filter((id) => id !== undefined);
  const stages: HourStatistics["stages"] = recordOf(ACTIVE_STATUSES, () => ({}));
  if (ids.length === 0) return stages;
  const relations = (await store.read(...ids.map(relationPath))).filter((snapshot) => snapshot !== undefined);
  for (const [stage, ms] of relations.flatMap(stageTimesIn)) add(stages[stage], ms);
  return stages;
}

/** None for a relation that this build can't read. */
function stageTimesIn({ path, fields }: Snapshot): [ActiveStatus, number][] {
  try {
    return stageTimesOf(parseRelation(path, fields));
  } catch {
    return [];
  }
}

/** How long an order was in each completed stage, in milliseconds. */
function stageTimesOf({ placedAt, times, state }: Relation): [ActiveStatus, number][] {
  const ended = state && !RELATION_STATES[state].open ? times[state] : undefined;
  const starts = ACTIVE_STATUSES.map((status) => (status === "NEW" ? placedAt : times[status]));
  return ACTIVE_STATUSES.flatMap((stage, index) => {
    const [from, to] = [starts[index], index + 1 < starts.length ? starts[index + 1] : ended];
    const ms = from && to ? to.getTime() - from.getTime() : Number.NaN;
    // Clocks differ, so ignore negative durations.
    return ms >= 0 ? [[stage, ms]] : [];
  });
}

function add(bins: Histogram, ms: number): void {
  const bin = String(Math.max(0, Math.ceil(Math.log(ms / BASE_MS) / Math.log(GROWTH))));
  bins[bin] = (bins[bin] ?? 0) + 1;
}

/** The sum of several histograms. */
export function mergeHistograms(histograms: readonly Histogram[]): Histogram {
  const sum: Histogram = {};
  for (const one of histograms) {
    for (const [bin, count] of Object.entries(one)) sum[bin] = (sum[bin] ?? 0) + count;
  }
  return sum;
}

export function samplesIn(bins: Histogram): number {
  return Object.values(bins).reduce((sum, count) => sum + count, 0);
}

/**
 * A quantile in milliseconds, interpolated within its bin: off by at most a bin's width, a quarter of the value.
 * @param share from 0 to 1
 */
export function quantileOf(bins: Histogram, share: number): number {
  const wanted = share * samplesIn(bins);
  let below = 0;
  // An object lists integer keys in ascending order.
  for (const [key, count] of Object.entries(bins)) {
    const bin = Number(key);
    if (below + count >= wanted) {
      const from = bin === 0 ? 0 : BASE_MS * GROWTH ** (bin - 1);
      const to = BASE_MS * GROWTH ** bin;
      return Math.round(from + ((to - from) * (wanted - below)) / count);
    }
    below += count;
  }
  return 0;
}
