/**
 * A day of 100 million orders with a lunch peak of five times the mean, pass by pass: what it needs, how long orders wait for each
 * stage, and which part reaches its limit first. The costs are those that the benches measured; `npm run costs` prints the tables.
 */
import { ORDERS_PER_MESSAGE } from "../../functions/src/pipeline/messages.js";

/** The orders that come in a second follow a bell around lunch above an even rest. */
const DAY = { orders: 100_000_000, seconds: 86_400, rest: 0.5, peak: 5, lunchAt: 12.5 * 3_600 };

/** How long the kitchen and the drone take on average, in seconds; some take a quarter less, some a quarter more. */
const TAKES = { kitchen: 17 * 60, drone: 11 * 60 };
const LEAST = 0.75;
const MOST = 1.25;

/**
 * Milliseconds of CPU on one core of an AMD EPYC, from short runs of the benches pipeline and stage on 2026-11-26 (Node.js 24, a busy
 * machine), and the poll's rate from bench/results.
 */
const MEASURED = {
  /** From the message to the link: a kitchen order, or a shipment. */
  create: 4.9,
  complete: 2.8,
  /** An order that still waits, in a message with as many as fit, on an instance that has seen it before. */
  wait: 0.42,
  /** One of an order's three reports to the food service. */
  report: 6.75 / 3,
  /** Orders a second that a pass lists and publishes. */
  published: 75_580,
};

/**
 * An order's move through a stage: CPU, documents written or deleted, and calls to the food service, the report included. The
 * customer is saved with the first. A test compares the sums with what is counted.
 */
export const MOVES = {
  kitchen: { ms: MEASURED.create, writes: 5, calls: 4 },
  shipment: { ms: MEASURED.create, writes: 4, calls: 5 },
  completion: { ms: MEASURED.complete, writes: 2, calls: 3 },
};

/** Cloud Run adds instances as soon as they are busier than this. */
const UTILIZATION = 0.6;

const POLL_EVERY_S = 60;

/** Before midnight, to begin the day with the orders that are active then. */
const FILL_S = 3 * 3_600;

const STAGES = ["kitchen", "shipment", "completion"] as const;
type Stage = (typeof STAGES)[number];

/** The function of each stage. */
const RUNS = { kitchen: "sendToKitchen", shipment: "dispatchShipment", completion: "completeOrder" } as const;
type FunctionName = (typeof RUNS)[Stage] | "onRelationWritten";

/** Orders that became ready for a stage at about the same moment. */
interface Cohort {
  /** Seconds since midnight. */
  readyAt: number;
  count: number;
}

/** What one pass of the poll and all that came of it amounted to, in orders and seconds. */
export interface Pass {
  /** When it began, in seconds since midnight. */
  at: number;
  seconds: number;
  ordersPerSecond: number;
  active: number;
  /** Events of all functions. */
  eventsPerSecond: number;
  /** To the food service. */
  callsPerSecond: number;
  /** Documents written and deleted. */
  writesPerSecond: number;
  instances: Record<FunctionName, number>;
  /** The mean wait of the orders that advanced, from when they could until they did. */
  lag: Record<Stage, number>;
}

/** Orders that come in a second at this time of the day. */
function ordersPerSecond(at: number): number {
  const { orders, seconds, rest, peak, lunchAt } = DAY;
  const height = peak - rest;
  // The bell holds what the rest leaves of the day's orders.
  const width = ((1 - rest) * seconds) / (height * Math.sqrt(2 * Math.PI));
  const distance = (((at % seconds) + seconds) % seconds) - lunchAt;
  return (orders / seconds) * (rest + height * Math.exp(-((distance / width) ** 2) / 2));
}

/** Runs a day, after a few hours that fill the system, with at most `maxInstances` of each function. */
export function runDay(maxInstances: number): Pass[] {
  // What the next stage can take, and what can't be taken yet: orders of the next pass, or in the kitchen, or with a drone.
  const ready: Record<Stage, Cohort[]> = { kitchen: [], shipment: [], completion: [] };
  const later: Record<Stage, Cohort[]> = { kitchen: [], shipment: [], completion: [] };
  const passes: Pass[] = [];
  let unreported = 0;
  for (let at = -FILL_S; at < DAY.seconds; ) {
    for (const stage of STAGES) {
      const isReady = ({ readyAt }: Cohort) => readyAt <= at;
      ready[stage].push(...later[stage].filter(isReady));
      later[stage] = later[stage].filter((cohort) => !isReady(cohort));
    }
    const waiting = count(later.shipment) + count(later.completion);
    const active = STAGES.reduce((sum, stage) => sum + count(ready[stage]), waiting);
    // One pass at a time: the next begins on time, or when this one is over.
    const publishing = active / MEASURED.published;
    const seconds = Math.max(POLL_EVERY_S, publishing);
    const instancesFor = (work: number) =>
      Math.min(maxInstances, Math.max(1, Math.ceil(work / (seconds * 1_000 * UTILIZATION))));

    const instances = { sendToKitchen: 1, dispatchShipment: 1, completeOrder: 1, onRelationWritten: 1 };
    const lag = { kitchen: 0, shipment: 0, completion: 0 };
    let [advanced, writes, calls] = [0, 0, waiting];
    for (const stage of STAGES) {
      const run = RUNS[stage];
      const work = count(ready[stage]) * MOVES[stage].ms + count(later[stage]) * MEASURED.wait;
      instances[run] = instancesFor(work);
      const possible = instances[run] * seconds * 1_000;
      // What a pass leaves undone is dropped as too old, and published again by the next one.
      const { taken, left } = take(ready[stage], Math.min(1, possible / work) * count(ready[stage]));
      ready[stage] = left;
      const orders = count(taken);
      const doneAt = at + Math.min(seconds, Math.max(publishing, work / (instances[run] * 1_000)));
      const meanDone = (at + doneAt) / 2;
      lag[stage] =
        taken.reduce((sum, { readyAt, count }) => sum + (meanDone - readyAt) * count, 0) / Math.max(orders, 1);
      const become = (takes: number) => spread(orders, at + LEAST * takes, doneAt + MOST * takes);
      if (stage === "kitchen") later.shipment.push(...become(TAKES.kitchen));
      if (stage === "shipment") later.completion.push(...become(TAKES.drone));
      advanced += orders;
      writes += orders * MOVES[stage].writes;
      calls += orders * MOVES[stage].calls;
    }
    unreported += advanced;
    instances.onRelationWritten = instancesFor(unreported * MEASURED.report);
    const reported = Math.min(unreported, (instances.onRelationWritten * seconds * 1_000) / MEASURED.report);
    unreported -= reported;

    const arriving = ordersPerSecond(at + seconds / 2);
    later.kitchen.push(...spread(arriving * seconds, at, at + seconds));
    passes.push({
      at,
      seconds,
      ordersPerSecond: arriving,
      active,
      eventsPerSecond: (advanced + reported + waiting / ORDERS_PER_MESSAGE.shipment) / seconds,
      callsPerSecond: calls / seconds,
      writesPerSecond: writes / seconds,
      instances,
      lag,
    });
    at += seconds;
  }
  return passes.filter(({ at }) => at >= 0);
}

/** So many orders, of which about as many become ready at each moment between the two. */
function spread(count: number, from: number, to: number): Cohort[] {
  const PARTS = 12;
  const part = (to - from) / PARTS;
  return Array.from({ length: PARTS }, (_, index) => ({ readyAt: from + (index + 0.5) * part, count: count / PARTS }));
}

function count(cohorts: Cohort[]): number {
  return cohorts.reduce((sum, { count }) => sum + count, 0);
}

/** Takes this many orders from the front of the queue. */
function take(line: Cohort[], orders: number): { taken: Cohort[]; left: Cohort[] } {
  const taken: Cohort[] = [];
  const left: Cohort[] = [];
  for (const { readyAt, count } of line) {
    const some = Math.min(count, orders);
    orders -= some;
    if (some > 0) taken.push({ readyAt, count: some });
    if (count > some) left.push({ readyAt, count: count - some });
  }
  return { taken, left };
}

/** The most that Cloud Run may run of each function, as deployed. */
const DEPLOYED_INSTANCES = 20;

const WHAT_IT_NEEDS = 100_000;

/** The day in numbers: at its quietest, and the most of each at any moment, with instances as needed and as deployed. */
function dayTable(): string {
  const needed = runDay(WHAT_IT_NEEDS);
  const deployed = runDay(DEPLOYED_INSTANCES);
  const quietest = needed.reduce((least, pass) => (pass.ordersPerSecond < least.ordersPerSecond ? pass : least));
  const rows: [string, (pass: Pass) => number][] = [
    ["orders per second", ({ ordersPerSecond }) => ordersPerSecond],
    ["active orders", ({ active }) => active],
    ["duration of a pass (s)", ({ seconds }) => seconds],
    ["events per second", ({ eventsPerSecond }) => eventsPerSecond],
    ["calls to the food service per second", ({ callsPerSecond }) => callsPerSecond],
    ["documents written or deleted per second", ({ writesPerSecond }) => writesPerSecond],
    ...([...Object.values(RUNS), "onRelationWritten"] as const).map((name): [string, (pass: Pass) => number] => [
      `instances of ${name}`,
      ({ instances }) => instances[name],
    ]),
    ...STAGES.map((stage): [string, (pass: Pass) => number] => [`lag of ${stage} (s)`, ({ lag }) => lag[stage]]),
  ];
  const most = (passes: Pass[], of: (pass: Pass) => number) => passes.reduce((sum, pass) => Math.max(sum, of(pass)), 0);
  return [
    `| | at night | lunch peak, instances as needed | worst of the day, ${DEPLOYED_INSTANCES} instances each |`,
    "|---|---:|---:|---:|",
    ...rows.map(
      ([name, of]) => `| ${name} | ${[of(quietest), most(needed, of), most(deployed, of)].map(whole).join(" | ")} |`,
    ),
    "",
    `With as many instances as needed, the documents written or deleted grow by at most ${Math.ceil(100 * growth(needed))} % in five minutes.`,
  ].join("\n");
}

/** By how much the writes of five minutes exceed those of the five minutes before, at most. */
function growth(passes: Pass[]): number {
  const SLOT_S = 300;
  const slots = Array.from({ length: DAY.seconds / SLOT_S }, (_, slot) =>
    passes.reduce((sum, { at, seconds, writesPerSecond }) => {
      const overlap = Math.min(at + seconds, (slot + 1) * SLOT_S) - Math.max(at, slot * SLOT_S);
      return sum + Math.max(0, overlap) * writesPerSecond;
    }, 0),
  );
  // The day's first pass begins a little after midnight.
  return slots.slice(1).reduce((most, writes, slot) => Math.max(most, writes / (slots[slot] ?? writes) - 1), 0);
}

/** How many orders a second each part sustains as deployed, the least first. */
function limitsTable(): string {
  const mean = DAY.orders / DAY.seconds;
  const waits = { kitchen: 0, shipment: TAKES.kitchen, completion: TAKES.drone };
  const perSecond = (ms: number) => (DEPLOYED_INSTANCES * 1_000) / ms;
  const limits: [string, number][] = [
    ["a pass of the poll within its minute", (POLL_EVERY_S * MEASURED.published) / (TAKES.kitchen + TAKES.drone)],
    ...STAGES.map((stage): [string, number] => [
      `${DEPLOYED_INSTANCES} instances of ${RUNS[stage]}`,
      perSecond(MOVES[stage].ms + (waits[stage] / POLL_EVERY_S) * MEASURED.wait),
    ]),
    [`${DEPLOYED_INSTANCES} instances of onRelationWritten`, perSecond(STAGES.length * MEASURED.report)],
  ];
  return [
    "| what reaches its limit | at orders per second | times the day's mean |",
    "|---|---:|---:|",
    ...limits
      .sort(([, a], [, b]) => a - b)
      .map(([name, orders]) => `| ${name} | ${whole(orders)} | ${(orders / mean).toFixed(1)} |`),
  ].join("\n");
}

function whole(figure: number): string {
  return Math.round(figure).toLocaleString("en-US");
}

/** Both tables, as they stand in docs/scaling.md. */
export function lunchPeakTables(): { peak: string; limits: string } {
  return { peak: dayTable(), limits: limitsTable() };
}
