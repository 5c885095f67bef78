/** Writes the table in docs/performance.md: the newest result of each figure that has a target or a label. The rest is in bench/results. */
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
  const rows = results.flatMap(({ bench, figures, targets, labels = {} }) =>
    Object.entries(figures).flatMap(([name, figure]) => {
      const [target, label] = [targets[name], labels[name]];
      if (!target && !label) return [];
      return [rowOf(bench, label ? `${label} (\`${name}\`)` : `\`${name}\``, figure, target)];
    }),
  );
  const where = results.map(({ bench, date, runs, machine }) => {
    const { cpus, model, node, loadBefore } = machine;
    const load = loadBefore === undefined ? "" : `, load ${loadBefore.toFixed(1)} before`;
    return `- ${bench}: ${date.slice(0, 16).replace("T", " ")} UTC, ${runs} runs of each side, ${cpus} × ${model}, Node.js ${node}${load}`;
  });
  return [...head, ...rows, "", "Measured:", "", ...where].join("\n");
}

function rowOf(bench: string, name: string, figure: Summary, target: Target | undefined): string {
  const { median, min, max } = figure;
  return `| ${bench} | ${name} | ${median} | ${min} to ${max} | ${target ? `${wanted(target)} | ${isMet(figure, target) ? "yes" : "no"}` : "– | –"} |`;
}

function wanted(target: Target): string {
  return "atMost" in target ? `at most ${target.atMost}` : `at least ${target.atLeast}`;
}
