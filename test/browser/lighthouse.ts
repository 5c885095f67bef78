/**
 * `npm run lighthouse`: asks Lighthouse about the signed-in console, on a phone and on a desktop, and fails below 95. Lighthouse
 * simulates a slow phone and network, so its figures don't depend much on this machine.
 */
import lighthouse, { desktopConfig } from "lighthouse";
import { startBrowser } from "../../harness/browser.js";
import { choosePorts } from "../../harness/process/free-ports.js";
import { SeededConsole } from "../../local/seeded-console.js";
import { sampleDay } from "./sample-day.js";

const AT_LEAST = 95;
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
      const flags = { port, onlyCategories: CATEGORIES, logLevel: "error" as const };
      const result = await lighthouse(served.address + path, flags, config);
      const scores = Object.entries(result?.lhr.categories ?? {}).map(
        ([name, { score }]) => [name, Math.round(100 * (score ?? 0))] as const,
      );
      const low = scores.filter(([, score]) => score < AT_LEAST);
      isGood &&= scores.length === CATEGORIES.length && low.length === 0;
      console.log(JSON.stringify({ device, path, ...Object.fromEntries(scores) }));
      for (const [name] of low)
        console.error(`${path} on a ${device}: ${name} is below ${AT_LEAST}: ${reasonsFor(result, name)}`);
    }
  }
} finally {
  await browser.close();
  await served.stop();
}
process.exitCode = isGood ? 0 : 1;

function reasonsFor(result: Awaited<ReturnType<typeof lighthouse>>, category: string): string {
  const { categories = {}, audits = {} } = result?.lhr ?? {};
  const refs = categories[category]?.auditRefs ?? [];
  const failed = refs.filter(({ id, weight }) => weight > 0 && (audits[id]?.score ?? 1) < 0.9);
  return failed.map(({ id }) => `${id} ${audits[id]?.displayValue ?? ""}`.trim()).join(", ");
}
