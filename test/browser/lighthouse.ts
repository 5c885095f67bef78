/**
 * `npm run lighthouse`: asks Lighthouse about every view of the signed-in console, on a phone and on a desktop, and fails if the median
 * of several runs is below 95 for accessibility, best practices or performance. Lighthouse simulates a slow phone and network.
 * Arguments name the views to open, all by default.
 */
import lighthouse, { desktopConfig } from "lighthouse";
import { startBrowser } from "../../harness/browser.js";
import { choosePorts } from "../../harness/process/free-ports.js";
import { SeededConsole } from "../../local/seeded-console.js";
import { sampleDay } from "./sample-day.js";

const AT_LEAST = 95;
/** An odd number, so one of them is the median. */
const RUNS = 3;
const METRICS = ["largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"];
const CATEGORIES = ["performance", "accessibility", "best-practices"];

/** Of one run, by category. */
type Scores = { [category: string]: number };
type Report = NonNullable<Awaited<ReturnType<typeof lighthouse>>>["lhr"];

const { hosting: port } = await choosePorts({ from: "auto", isNeeded: (listener) => listener === "hosting" });
const day = sampleDay(Date.now());
const served = await SeededConsole.start(day.writes);
const browser = await startBrowser(port);
const paths = {
  overview: "/",
  attention: "/attention",
  orders: "/orders",
  search: `/orders?q=${day.delivered.customer}`,
  order: `/orders/${day.delivered.id}`,
  attempt: `/orders/${day.uncertain}`,
  flow: "/flow",
};
const wanted = process.argv.slice(2);
let isGood = true;
try {
  for (const [device, config] of [
    ["phone", undefined],
    ["desktop", desktopConfig],
  ] as const) {
    for (const [view, path] of Object.entries(paths)) {
      if (wanted.length > 0 && !wanted.includes(view)) continue;
      const reports: Report[] = [];
      for (let run = 0; run < RUNS; run++) reports.push(await reportOf(path, config));
      isGood = judge(`${view} on a ${device}`, reports) && isGood;
    }
  }
} finally {
  await browser.close();
  await served.stop();
}
process.exitCode = isGood ? 0 : 1;

async function reportOf(path: string, config: typeof desktopConfig | undefined): Promise<Report> {
  const flags = { port, onlyCategories: CATEGORIES, logLevel: "error" as const };
  const result = await lighthouse(served.address + path, flags, config);
  if (!result) throw new Error(`Lighthouse says nothing about ${path}`);
  return result.lhr;
}

/** Whether the median of every score is high enough. */
function judge(what: string, reports: Report[]): boolean {
  const runs = reports.map(scoresOf);
  const medians = CATEGORIES.map(
    (category) => [category, median(runs.map((scores) => scores[category] ?? 0))] as const,
  );
  // What is shown beside the medians comes from the run with the median performance.
  const shown = reports[runs.findIndex(({ performance }) => performance === medians[0]?.[1])];
  const metrics = METRICS.map((name) => [name, shown?.audits[name]?.displayValue]);
  console.log(JSON.stringify({ view: what, ...Object.fromEntries(medians), ...Object.fromEntries(metrics) }));
  const low = medians.filter(([, score]) => score < AT_LEAST);
  for (const [category] of low)
    console.error(`${what}: ${category} is below ${AT_LEAST}: ${reasonsFor(shown, category)}`);
  return low.length === 0;
}

function scoresOf({ categories }: Report): Scores {
  return Object.fromEntries(CATEGORIES.map((name) => [name, Math.round(100 * (categories[name]?.score ?? 0))]));
}

function median(values: number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

function reasonsFor(report: Report | undefined, category: string): string {
  const { categories = {}, audits = {} } = report ?? {};
  const refs = categories[category]?.auditRefs ?? [];
  const failed = refs.filter(({ id, weight }) => weight > 0 && (audits[id]?.score ?? 1) < 0.9);
  return failed.map(({ id }) => `${id} ${audits[id]?.displayValue ?? ""}`.trim()).join(", ");
}
