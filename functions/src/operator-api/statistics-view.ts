/** Hourly statistics for the API: the hours that the sweep has counted, and the hours since, counted on request. */

import { hourOf } from "../domain/hours.js";
import { ACTIVE_STATUSES } from "../domain/order-lifecycle.js";
import { recordOf } from "../domain/record-of.js";
import { arrivalsIn, POLL_LEASE } from "../poll-health.js";
import type { Ports, Store } from "../ports.js";
import {
  countStates,
  HOUR_MS,
  type HourStatistics,
  hoursIn,
  MAX_HOURS,
  mergeHistograms,
  quantileOf,
  STATISTICS_PATH,
  sampleStages,
  samplesIn,
} from "../relations/statistics.js";
import { type HourView, STATES, type StageSummary, type StatisticsView } from "./schemas.js";

/** The maximum of hours counted on request. If no sweep has run for longer, earlier hours are missing. */
const MAX_COUNTED_NOW = 3;

/** How long a response is cached, which limits the cost of many open consoles. */
const FRESH_MS = 20_000;

const answers = new WeakMap<Store, { at: number; view: Promise<StatisticsView> }>();

/** @throws StoreError, ValidationError */
export function statisticsView({ store, clock }: Pick<Ports, "store" | "clock">): Promise<StatisticsView> {
  const now = clock.now();
  const last = answers.get(store);
  if (last && now - last.at < FRESH_MS && now >= last.at) return last.view;
  const view = readStatistics(store, now);
  answers.set(store, { at: now, view });
  view.catch(() => answers.delete(store));
  return view;
}

async function readStatistics(store: Store, now: number): Promise<StatisticsView> {
  const [found, poll] = await store.read(STATISTICS_PATH, POLL_LEASE);
  const known = hoursIn(found);
  const names = Array.from({ length: MAX_HOURS }, (_, index) => hourOf(now - (MAX_HOURS - 1 - index) * HOUR_MS));
  const missing = names.slice(-MAX_COUNTED_NOW).filter((hour) => !known[hour]);
  const counted = await Promise.all(missing.map(async (hour) => [hour, await countStates(hour, store)] as const));
  const arrived = arrivalsIn(poll);
  const all: { [hour: string]: HourStatistics } = { ...known };
  const noTimes = recordOf(ACTIVE_STATUSES, () => ({}));
  for (const [hour, counts] of counted) {
    const stages = hasTimes(known) ? noTimes : await sampleStages(hour, store);
    all[hour] = { arrived: arrived(hour), counts, stages };
  }
  const first = names.findIndex((hour) => all[hour]);
  const shown = names.slice(Math.max(0, first));
  return {
    hours: shown.map((hour) => hourView(hour, all[hour])),
    day: summaryOf(names.slice(-24), all),
    week: summaryOf(names, all),
  };
}

/** Whether there are any times yet. In a system's first hour there are none, so the current hour is sampled instead. */
function hasTimes(hours: { [hour: string]: HourStatistics }): boolean {
  return Object.values(hours).some(({ stages }) => Object.values(stages).some((bins) => samplesIn(bins) > 0));
}

function hourView(hour: string, statistics: HourStatistics | undefined): HourView {
  const counts = { ...recordOf(STATES, () => 0), ...statistics?.counts };
  return {
    at: `${hour}:00:00.000Z`,
    arrived: statistics?.arrived ?? 0,
    ...counts,
    stages: stagesOf(statistics ? [statistics] : []),
  };
}

function summaryOf(names: string[], hours: { [hour: string]: HourStatistics }): StageSummary {
  return { stages: stagesOf(names.flatMap((name) => hours[name] ?? [])) };
}

function stagesOf(hours: HourStatistics[]): HourView["stages"] {
  return recordOf(ACTIVE_STATUSES, (stage) => {
    const bins = mergeHistograms(hours.map(({ stages }) => stages[stage]));
    const samples = samplesIn(bins);
    return samples === 0 ? null : { samples, medianMs: quantileOf(bins, 0.5), p95Ms: quantileOf(bins, 0.95) };
  });
}
