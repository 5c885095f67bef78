/** Writes the table in docs/performance.md: the newest result of each figure that has a target. The rest is in bench/results. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../harness/root.js";
import { isMet, RESULTS, type SavedResult, type Target } from "./bench.js";
import type { Summary } from "./measure.js";

const PAGE = join(ROOT, "docs", "performance.md");
const [BEGIN, END] = ["<!-- results -->", "<!-- /results -->"];

/** Puts the newest results between the marks of the page. */
export function writeTable(): void {
  const page = readFileSync(PAGE, "utf8");
  const [before = "", rest = ""] = page.split(BEGIN);
  const [, after = ""] = rest.split(END);
  writeFileSync(PAGE, `${before}${BEGIN}\n${tableOf(newestResults())}\n${END}${after}`);
}

function newestResults(): SavedResult[] {
  if (!existsSync(RESULTS)) return [];
  const files = readdirSync(RESULTS).filter((name) => name.endsWith(".jsonl"));
  return files.sort().map((name) => {
    const lines = readFileSync(join(RESULTS, name), "utf8").trimEnd().split("\n");
    return JSON.parse(lines.at(-1) ?? "") as SavedResult;
  });
}

function tableOf(results: SavedResult[]): string {
  const head = ["| bench | figure | median | min to max | target | met |", "|---|---|---|---|---|---|"];
  const rows = results.flatMap(({ bench, figures, targets }) =>
    Object.entries(figures).flatMap(([name, figure]) => {
      const target = targets[name];
      return target ? [rowOf(bench, name, figure, target)] : [];
    }),
  );
  const where = results.map(({ bench, date, runs, machine }) => {
    const { cpus, model, node, loadBefore } = machine;
    const load = loadBefore === undefined ? "" : `, load ${loadBefore.toFixed(1)} before`;
    return `- ${bench}: ${date.slice(0, 16).replace("T", " ")} UTC, ${runs} runs of each side, ${cpus} × ${model}, Node.js ${node}${load}`;
  });
  return [...head, ...rows, "", "Measured:", "", ...where].join("\n");
}

function rowOf(bench: string, name: string, { median, min, max }: Summary, target: Target): string {
  const wanted = "atMost" in target ? `at most ${target.atMost}` : `at least ${target.atLeast}`;
  const met = isMet({ median, min, max }, target) ? "yes" : "no";
  return `| ${bench} | \`${name}\` | ${median} | ${min} to ${max} | ${wanted} | ${met} |`;
}
