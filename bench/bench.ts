/** What a bench is, and how its result is judged, saved and shown. */
import { appendFileSync, mkdirSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";
import { ROOT } from "../harness/root.js";
import type { Summary } from "./measure.js";
import type { World } from "./world.js";

export const RESULTS = join(ROOT, "bench", "results");

/** What a figure must be at most, or at least. */
export type Target = { atMost: number } | { atLeast: number };

/** By name; a name ends with its unit, a ratio has none. */
export type Figures = Record<string, Summary>;

/** By figure. */
type Labels = Record<string, string>;

export interface Bench {
  name: string;
  /** What it answers, for people who choose one. */
  question: string;
  /** By figure. */
  targets: Record<string, Target>;
  /** What figures are called in docs/performance.md, which shows those with a target or a label. */
  labels?: Labels;
  /** @throws BenchError if it could not measure */
  measure(context: BenchContext): Promise<Figures>;
}

export interface BenchContext {
  world: World;
  /** Measured runs of each side. */
  runs: number;
  /** Whether only to prove that it works: as little as possible of everything. */
  smoke: boolean;
  /** Whether to measure the peers that must be installed first too. */
  peers: boolean;
  /** Receives progress messages. */
  say(line: string): void;
}

export interface Result {
  bench: string;
  met: boolean;
  figures: Figures;
  targets: Record<string, Target>;
  labels?: Labels;
}

export interface SavedResult extends Result {
  date: string;
  runs: number;
  machine: ReturnType<typeof machine>;
}

/** Runs a bench, and saves its result if `save` is set. */
export async function run(bench: Bench, context: BenchContext, save: boolean): Promise<Result> {
  const before = machine();
  const figures = await bench.measure(context);
  const { name, targets, labels } = bench;
  const met = Object.entries(targets).every(([figure, target]) => isMet(figures[figure], target));
  const result = { bench: name, met, figures, targets, ...(labels && { labels }) };
  if (!save) return result;
  mkdirSync(RESULTS, { recursive: true });
  const line: SavedResult = { date: new Date().toISOString(), machine: before, runs: context.runs, ...result };
  appendFileSync(join(RESULTS, `${name}.jsonl`), `${JSON.stringify(line)}\n`);
  return result;
}

/** Whether the median meets the target. A missing figure does not. */
export function isMet(figure: Summary | undefined, target: Target): boolean {
  if (!figure) return false;
  return "atMost" in target ? figure.median <= target.atMost : figure.median >= target.atLeast;
}

function machine() {
  const [loadBefore = 0] = loadavg();
  const [first] = cpus();
  return {
    cpus: cpus().length,
    model: first?.model ?? "unknown",
    memoryBytes: totalmem(),
    node: process.version,
    // Other work on the machine disturbs the result; this shows how much there was.
    loadBefore,
  };
}
