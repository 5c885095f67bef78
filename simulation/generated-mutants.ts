/**
 * `npm run mutants`: generates mutants of the protocol from its syntax tree and shows which of them the simulation or the
 * tests next to the file catch. The same seed samples the same mutants.
 */
import { execFile, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import { Progress } from "../harness/progress.js";
import { ROOT } from "../harness/root.js";
import { bundle, FROM_STDIN } from "./bundle.js";
import { EQUIVALENT_MUTANTS } from "./equivalent-mutants.js";
import { type GeneratedMutant, mutantsOf } from "./mutation-operators.js";

/** The files that make up the protocol, relative to `functions/src`. */
const PROTOCOL = [
  /^(attempts|relations|pipeline|domain)\/[^/]+(?<!\.test)\.ts$/,
  /^lease\.ts$/,
  /^adapters\/firebase\/verified-replies\.ts$/,
];

/** What the tests next to the files need besides `functions/src`. */
const BESIDE = [
  "services",
  "harness",
  "simulation",
  "proto",
  "test",
  "package.json",
  "tsconfig.json",
  ".mocharc.cjs",
  "functions/package.json",
];

/** A run that takes longer than this hangs because of its mutant, and counts as caught. */
const MAX_RUN_MS = 240_000;

const FUNCTIONS = join(ROOT, "functions", "src");

interface Verdict {
  mutant: GeneratedMutant;
  /** What caught it, undefined for a survivor. */
  caughtBy: string | undefined;
  /** How many schedules the simulation took. */
  schedules: number;
}

function allMutants(): GeneratedMutant[] {
  const files = readdirSync(FUNCTIONS, { recursive: true, encoding: "utf8" })
    .filter((file) => PROTOCOL.some((pattern) => pattern.test(file)))
    .sort();
  return files.flatMap((file) => mutantsOf(file, readFileSync(join(FUNCTIONS, file), "utf8")));
}

/** So many of the mutants, chosen by the seed. */
function sample(mutants: GeneratedMutant[], count: number, seed: number): GeneratedMutant[] {
  const random = seededRandomness(seed);
  const ranked = mutants.map((mutant) => ({ mutant, rank: random.fraction() }));
  return ranked
    .sort((one, other) => one.rank - other.rank)
    .slice(0, count)
    .map(({ mutant }) => mutant);
}

function mutated({ file, start, end, replacement }: GeneratedMutant): string {
  const text = readFileSync(join(FUNCTIONS, file), "utf8");
  return text.slice(0, start) + replacement + text.slice(end);
}

function lineOf({ file, line }: GeneratedMutant): string {
  return readFileSync(join(FUNCTIONS, file), "utf8").split("\n")[line - 1]?.trim() ?? "";
}

function reasonOfEquivalence(mutant: GeneratedMutant): string | undefined {
  const line = lineOf(mutant);
  const found = EQUIVALENT_MUTANTS.find(
    (known) => known.file === mutant.file && known.operator === mutant.operator && known.line === line,
  );
  return found?.reason;
}

/** Searches with the simulation for a schedule that shows the mutant. */
async function searchFor(mutant: GeneratedMutant): Promise<{ caughtBy: string | undefined; schedules: number }> {
  const plugin = {
    name: "mutant",
    setup(building: Parameters<NonNullable<Parameters<typeof bundle>[1]>[number]["setup"]>[0]) {
      building.onLoad({ filter: /\.ts$/ }, ({ path }) =>
        path === join(FUNCTIONS, mutant.file) ? { contents: mutated(mutant), loader: "ts" } : undefined,
      );
    },
  };
  const program = await bundle("mutant-search.ts", [plugin]);
  const child = spawn(process.execPath, FROM_STDIN, { stdio: ["pipe", "pipe", "ignore"], timeout: MAX_RUN_MS });
  child.stdin.on("error", () => undefined);
  child.stdin.end(program);
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  // The caller of the simulation notices a program that fails or hangs.
  if (status !== 0) return { caughtBy: "simulation: the program fails or hangs", schedules: 0 };
  const { invariants, schedules } = JSON.parse(output) as { invariants: string[]; schedules: number };
  return { caughtBy: invariants.length > 0 ? `simulation: ${invariants.join(", ")}` : undefined, schedules };
}

/** A copy of the tree in which the tests next to the mutated file run. */
class TestTree {
  private readonly root = mkdtempSync(join(tmpdir(), "diet-mutants-"));
  private readonly source = join(this.root, "functions", "src");

  constructor() {
    mkdirSync(join(this.root, "functions"), { recursive: true });
    cpSync(FUNCTIONS, this.source, { recursive: true });
    for (const path of BESIDE) cpSync(join(ROOT, path), join(this.root, path), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(this.root, "node_modules"));
    symlinkSync(join(ROOT, "functions", "node_modules"), join(this.root, "functions", "node_modules"));
  }

  /** Whether a test fails with the mutant in place. */
  async catches(mutant: GeneratedMutant): Promise<boolean> {
    const path = join(this.source, mutant.file);
    writeFileSync(path, mutated(mutant));
    try {
      const mocha = join(this.root, "node_modules", "mocha", "bin", "mocha.js");
      const args = ["--no-config", "--import=tsx", "--bail", "--timeout=20000", "--exit", "functions/src/**/*.test.ts"];
      await promisify(execFile)(process.execPath, [mocha, ...args], { cwd: this.root, timeout: MAX_RUN_MS });
      return false;
    } catch {
      return true;
    } finally {
      cpSync(join(FUNCTIONS, mutant.file), path);
    }
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

async function judge(mutant: GeneratedMutant, tree: TestTree): Promise<Verdict> {
  const { caughtBy, schedules } = await searchFor(mutant);
  if (caughtBy) return { mutant, caughtBy, schedules };
  return { mutant, caughtBy: (await tree.catches(mutant)) ? "tests" : undefined, schedules };
}

/** The value below which this share of the sorted numbers lies. */
function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

const wholeNumber = (text: string) => Number.parseInt(text, 10);

const command = new Command("mutants")
  .description("Generates mutants of the protocol and shows which the simulation or the tests next to the file catch.")
  .option("--generated <count>", "how many mutants to sample", wholeNumber, 300)
  .option("--seed <number>", "which sample", wholeNumber, 1)
  .option("--file <text>", "only files with this text in their path", "")
  .option("--list", "list the sample without running it");

async function main(): Promise<void> {
  const { generated, seed, file, list } = command
    .parse()
    .opts<{ generated: number; seed: number; file: string; list?: true }>();
  const mutants = sample(
    allMutants().filter((mutant) => mutant.file.includes(file)),
    generated,
    seed,
  );
  const shown = ({ file: path, line, operator }: GeneratedMutant) => `${path}:${line} ${operator}`;
  if (list) {
    for (const mutant of mutants) console.log(`${shown(mutant)}: ${lineOf(mutant)}`);
    return;
  }
  const equivalent = mutants.filter((mutant) => reasonOfEquivalence(mutant) !== undefined);
  const waiting = mutants.filter((mutant) => !equivalent.includes(mutant));
  const verdicts: Verdict[] = [];
  const progress = new Progress({ unit: "mutants", total: waiting.length });
  const work = async () => {
    const tree = new TestTree();
    try {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const verdict = await judge(next, tree);
        verdicts.push(verdict);
        if (!verdict.caughtBy)
          progress.found(`${shown(next)} survives: ${lineOf(next)} → ${next.replacement || "(nothing)"}`);
        progress.advance();
      }
    } finally {
      tree.remove();
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  progress.end();
  const survivors = verdicts.filter(({ caughtBy }) => caughtBy === undefined);
  for (const { mutant } of survivors) {
    console.log(`SURVIVES ${shown(mutant)}: ${lineOf(mutant)} → ${mutant.replacement || "(nothing)"}`);
  }
  const bySimulation = verdicts.filter(({ caughtBy }) => caughtBy?.startsWith("simulation")).length;
  const schedules = verdicts
    .filter(({ caughtBy }) => caughtBy?.startsWith("simulation"))
    .map((verdict) => verdict.schedules)
    .sort((one, other) => one - other);
  const caught = verdicts.length - survivors.length;
  const score = Math.round((1000 * caught) / verdicts.length) / 10;
  const figures = { generated: mutants.length, seed, equivalent: equivalent.length, caught, bySimulation, score };
  console.log(
    JSON.stringify({ ...figures, schedulesMedian: quantile(schedules, 0.5), schedulesP95: quantile(schedules, 0.95) }),
  );
  process.exitCode = score >= 95 ? 0 : 1;
}

await main();
