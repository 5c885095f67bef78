/** The flow over time: arrivals and completions, active orders, and the time in each stage, for a day or a week. */
import { html, nothing, type TemplateResult } from "lit-html";
import { guard } from "lit-html/directives/guard.js";
import type { HourView, StatisticsView } from "../../../functions/src/operator-api/schemas.js";
import { barChart, lineChart } from "../charts.js";
import type { FlowPoint } from "../documents.js";
import { ACTIVE_STAGES, count, dayOfWeek, duration, hourOfDay, STAGE_LABELS } from "../labels.js";
import { addressWith, type Route } from "../router.js";
import { completedIn } from "./figures.js";
import style from "./flow.css";
import { type Context, loading, problem, useStyle, type View } from "./view.js";

const PERIODS = { day: { title: "24 hours", hours: 24 }, week: { title: "7 days", hours: 168 } } as const;
type Period = keyof typeof PERIODS;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export function flow(context: Context, { query }: Route): View {
  useStyle(style);
  let period = periodIn(query);
  return {
    title: "Flow",
    onQuery: (changed) => {
      period = periodIn(changed);
    },
    render: () => {
      const { statistics, live } = context;
      statistics.refresh();
      return html`<header class="section-head">
          <h1>Flow</h1>
          <nav class="choice" aria-label="Period">
            ${(Object.keys(PERIODS) as Period[]).map(
              (one) =>
                html`<a href=${addressWith({ period: one === "day" ? "" : one })} aria-current=${one === period ? "true" : nothing}>${PERIODS[one].title}</a>`,
            )}
          </nav>
        </header>
        ${problem(statistics.error)}
        ${statistics.current ? guarded(statistics.current, period, live.health.points) : statistics.error ? nothing : loading}`;
    },
  };
}

/** Drawn again only when the figures have changed, unlike ages. */
function guarded(statistics: StatisticsView, period: Period, points: FlowPoint[]) {
  return guard([statistics, period, points], () => figures(statistics, period, points));
}

function periodIn(query: URLSearchParams): Period {
  return query.get("period") === "week" ? "week" : "day";
}

function figures(statistics: StatisticsView, period: Period, points: FlowPoint[]): TemplateResult {
  const hours = lastHours(statistics.hours, PERIODS[period].hours);
  const isEmpty = points.length === 0 && hours.every((hour) => hour.arrived + completedIn([hour]) === 0);
  if (isEmpty) return html`<p class="quiet empty">No orders in the last ${PERIODS[period].title}.</p>`;
  return html`${summary(statistics, period, hours)}
    <div class="charts">
      ${period === "day" ? html`${perHour(hours, period)} ${activeOverTime(points)}` : html`${perDay(hours)} ${perHour(hours, period)}`}
      ${hasTimes(hours) ? (["medianMs", "p95Ms"] as const).map((quantile) => timeInStage(hours, period, quantile)) : nothing}
    </div>`;
}

/** So many hours up to now: in those before the first one that is known there was no system. */
function lastHours(known: HourView[], length: number): HourView[] {
  const hours = known.slice(-length);
  const [first] = hours;
  if (!first) return hours;
  const none = { arrived: 0, PREPARATION: 0, IN_FLIGHT: 0, DELIVERED: 0, REJECTED: 0, CANCELLED: 0, GONE: 0 };
  const stages = { NEW: null, PREPARATION: null, IN_FLIGHT: null };
  const before = Array.from({ length: length - hours.length }, (_, index) => {
    const at = Date.parse(first.at) - (length - hours.length - index) * HOUR_MS;
    return { at: new Date(at).toISOString(), ...none, stages };
  });
  return [...before, ...hours];
}

function summary(statistics: StatisticsView, period: Period, hours: HourView[]): TemplateResult {
  const { stages } = statistics[period];
  const arrived = hours.reduce((sum, hour) => sum + hour.arrived, 0);
  return html`<dl class="figures">
    <div><dt>Arrived</dt><dd>${count(arrived)}</dd></div>
    <div><dt>Completed</dt><dd>${count(completedIn(hours))}</dd></div>
    ${ACTIVE_STAGES.map((stage) => {
      const times = stages[stage];
      return html`<div class=${STAGE_LABELS[stage].color}>
        <dt>${STAGE_LABELS[stage].title}</dt>
        <dd>${times ? duration(times.medianMs) : "–"}</dd>
        <dd class="quiet">${times ? `median time, p95 ${duration(times.p95Ms)}` : "no times yet"}</dd>
      </div>`;
    })}
  </dl>`;
}

/** Bars for a day. A week has too many hours for bars. */
function perHour(hours: HourView[], period: Period): TemplateResult {
  const draw = period === "day" ? barChart : lineChart;
  const labels = hours.map((hour) => labelOf(hour, period));
  return draw({ title: "Arrivals and completions per hour", labels, series: throughput(hours.map((hour) => [hour])) });
}

function perDay(hours: HourView[]): TemplateResult {
  const days = groupByDay(hours);
  const labels = days.map(([first]) => labelOf(first, "week"));
  return barChart({ title: "Arrivals and completions per day", labels, series: throughput(days) });
}

function throughput(periods: HourView[][]) {
  const arrivedIn = (hours: HourView[]) => hours.reduce((sum, { arrived }) => sum + arrived, 0);
  return [
    { title: "Arrived", color: "new", values: periods.map(arrivedIn) },
    { title: "Completed", color: "good", values: periods.map(completedIn) },
  ];
}

function groupByDay(hours: HourView[]): HourView[][] {
  const days = new Map<string, HourView[]>();
  for (const hour of hours) {
    const day = new Date(hour.at).toDateString();
    days.set(day, [...(days.get(day) ?? []), hour]);
  }
  return [...days.values()];
}

/** One point in three of a day is enough for a picture, and for a table that is read out. */
const POINT_STEP = 3;

function activeOverTime(all: FlowPoint[]): TemplateResult {
  const points = all.filter((_, index) => (all.length - 1 - index) % POINT_STEP === 0);
  return lineChart({
    title: "Active orders",
    labels: points.map(({ at }) => hourOfDay(at)),
    series: ACTIVE_STAGES.map((stage) => ({ ...STAGE_LABELS[stage], values: points.map((point) => point[stage]) })),
  });
}

function hasTimes(hours: HourView[]): boolean {
  return hours.some(({ stages }) => ACTIVE_STAGES.some((stage) => stages[stage]));
}

function timeInStage(hours: HourView[], period: Period, quantile: "medianMs" | "p95Ms"): TemplateResult {
  const known = hours.filter((hour) => hasTimes([hour]));
  return lineChart({
    title: quantile === "medianMs" ? "Time in stage, median" : "Time in stage, 95th percentile",
    labels: known.map((hour) => labelOf(hour, period)),
    series: ACTIVE_STAGES.map((stage) => ({
      ...STAGE_LABELS[stage],
      values: known.map((hour) => hour.stages[stage]?.[quantile] ?? 0),
    })),
    write: duration,
    unit: MINUTE_MS,
  });
}

function labelOf(hour: HourView | undefined, period: Period): string {
  if (!hour) return "";
  const at = new Date(hour.at);
  return period === "week" ? dayOfWeek(at) : hourOfDay(at);
}
