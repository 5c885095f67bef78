/**
 * `npm run lighthouse`: asks Lighthouse about every view of the signed-in console, on a phone and on a desktop, and fails if the median
 * of several runs is below 95 for accessibility, best practices or performance. Lighthouse simulates a slow phone and network.
 * Arguments name the views to open, all by default.
 */
import lighthouse, { defaultConfig, desktopConfig } from "lighthouse";
import { startBrowser } from "../../harness/browser.js";
import { choosePorts } from "../../harness/process/free-ports.js";
import { SeededConsole } from "../../local/seeded-console.js";
import { sampleDay } from "./sample-day.js";

const AT_LEAST = 95;
/** An odd number, so one of them is the median. */
const RUNS = 3;
const METRICS = ["largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"];
const CATEGORIES = ["performance", "accessibility", "best-practices"];

/**
 * Lighthouse waits until a page's requests have ended, 45 s at most. The console's live connection never ends, so it would wait for all of
 * that. The other requests end within a second, and the last views are loaded three seconds later.
 */
const MAX_WAIT_MS = 8_000;

/** Of one run, by category. */
type Scores = { [category: string]: number };
type Report = NonNullable<Awaited<ReturnType<typeof lighthouse>>>["lhr"];

const { hosting: port } = await choosePorts({ from: "auto", isNeeded: (listener) => listener === "hosting" });
const day = sampleDay(Date.now());
const paths = {
  overview: "/",
  attention: "/attention",
  orders: "/orders",
  search: `/orders?q=${day.delivered.customer}`,
  order: `/orders/${day.delivered.id}`,
  attempt: `/orders/${day.uncertain}`,
  flow: "/flow",
};
const DEVICES = { phone: undefined, desktop: desktopConfig };

const wanted = process.argv.slice(2);
const unknown = wanted.filter((view) => !Object.hasOwn(paths, view));
if (unknown.length > 0) {
  console.error(`There is no view named ${unknown.join(", ")}. The views are ${Object.keys(paths).join(", ")}.`);
  process.exit(2);
}
const views = Object.entries(paths).filter(([view]) => wanted.length === 0 || wanted.includes(view));

const served = await SeededConsole.start(day.writes);
const browser = await startBrowser(port);
const failures: string[] = [];
try {
  for (const [device, config] of Object.entries(DEVICES)) {
    for (const [view, path] of views) {
      const reports: Report[] = [];
      for (let run = 0; run < RUNS; run++) reports.push(await reportOf(path, config));
      failures.push(...judge(`${view} on a ${device}`, reports));
    }
  }
} finally {
  await browser.close();
  await served.stop();
}
for (const failure of failures) console.error(failure);
process.exitCode = failures.length === 0 ? 0 : 1;

async function reportOf(path: string, config: typeof desktopConfig | undefined): Promise<Report> {
  const flags = {
    port,
    onlyCategories: CATEGORIES,
    skipAudits: uncountedAudits(),
    disableFullPageScreenshot: true,
    maxWaitForLoad: MAX_WAIT_MS,
    logLevel: "error" as const,
  };
  const result = await lighthouse(served.address + path, flags, config);
  if (!result) throw new Error(`Lighthouse says nothing about ${path}`);
  const { runtimeError } = result.lhr;
  if (runtimeError) throw new Error(`Lighthouse can't judge ${path}: ${runtimeError.message}`);
  return result.lhr;
}

/** The audits that only give advice: they count toward no score, and take most of a run's time. */
function uncountedAudits(): string[] {
  const refs = CATEGORIES.flatMap((category) => defaultConfig.categories?.[category]?.auditRefs ?? []);
  return refs.filter(({ weight }) => weight === 0).map(({ id }) => id);
}

/** The medians that are too low, in words. */
function judge(what: string, reports: Report[]): string[] {
  const runs = reports.map(scoresOf);
  const medians = CATEGORIES.map(
    (category) => [category, median(runs.map((scores) => scores[category] ?? 0))] as const,
  );
  // What is shown beside the medians comes from the run with the median performance.
  const shown = reports[runs.findIndex(({ performance }) => performance === medians[0]?.[1])];
  const metrics = METRICS.map((name) => [name, shown?.audits[name]?.displayValue]);
  console.log(JSON.stringify({ view: what, ...Object.fromEntries(medians), ...Object.fromEntries(metrics) }));
  return medians
    .filter(([, score]) => score < AT_LEAST)
    .map(([category, score]) => {
      // Of the run that has the median of this category.
      const low = reports[runs.findIndex((scores) => scores[category] === score)];
      return `${what}: ${category} is ${score}, below ${AT_LEAST}: ${reasonsFor(low, category)}`;
    });
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
