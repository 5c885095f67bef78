/**
 * `npm run lighthouse`: asks Lighthouse about the signed-in console, on a phone and on a desktop, and fails if a view stays below 95
 * in every one of three runs. Lighthouse simulates a slow phone and network, but what else this machine does delays scripts.
 */
import lighthouse, { desktopConfig } from "lighthouse";
import { startBrowser } from "../../harness/browser.js";
import { choosePorts } from "../../harness/process/free-ports.js";
import { SeededConsole } from "../../local/seeded-console.js";
import { sampleDay } from "./sample-day.js";

const AT_LEAST = 95;
const MAX_RUNS = 3;
const METRICS = ["largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"];
const CATEGORIES = ["performance", "accessibility", "best-practices"];
const PATHS = ["/", "/attention", "/orders", "/flow"];

const { hosting: port } = await choosePorts({ from: "auto", only: ["hosting"] });
const served = await SeededConsole.start(sampleDay(Date.now()).writes);
const browser = await startBrowser(port);
let isGood = true;
try {
  for (const [device, config] of [
    ["phone", undefined],
    ["desktop", desktopConfig],
  ] as const) {
    for (const path of PATHS) {
      let isHigh = false;
      for (let run = 1; run <= MAX_RUNS && !isHigh; run++) isHigh = await judge(device, path, config);
      isGood &&= isHigh;
    }
  }
} finally {
  await browser.close();
  await served.stop();
}
process.exitCode = isGood ? 0 : 1;

/** Whether every score is high enough. */
async function judge(device: string, path: string, config: typeof desktopConfig | undefined): Promise<boolean> {
  const flags = { port, onlyCategories: CATEGORIES, logLevel: "error" as const };
  const result = await lighthouse(served.address + path, flags, config);
  const scores = Object.entries(result?.lhr.categories ?? {}).map(
    ([name, { score }]) => [name, Math.round(100 * (score ?? 0))] as const,
  );
  const metrics = METRICS.map((name) => [name, result?.lhr.audits[name]?.displayValue]);
  console.log(JSON.stringify({ device, path, ...Object.fromEntries(scores), ...Object.fromEntries(metrics) }));
  const low = scores.filter(([, score]) => score < AT_LEAST);
  for (const [name] of low)
    console.error(`${path} on a ${device}: ${name} is below ${AT_LEAST}: ${reasonsFor(result, name)}`);
  return scores.length === CATEGORIES.length && low.length === 0;
}

function reasonsFor(result: Awaited<ReturnType<typeof lighthouse>>, category: string): string {
  const { categories = {}, audits = {} } = result?.lhr ?? {};
  const refs = categories[category]?.auditRefs ?? [];
  const failed = refs.filter(({ id, weight }) => weight > 0 && (audits[id]?.score ?? 1) < 0.9);
  return failed.map(({ id }) => `${id} ${audits[id]?.displayValue ?? ""}`.trim()).join(", ");
}
