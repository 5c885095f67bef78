/**
 * `npm run mutants`: generates mutants of the protocol from its syntax tree and shows which of them the tests next to the file or the
 * simulation catch. The same seed samples the same mutants.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { Progress } from "../harness/progress.js";
import { compilable, mutated } from "./compilable.js";
import { EQUIVALENT_MUTANTS } from "./equivalent-mutants.js";
import { FUNCTIONS, judgeBySimulation, judgeByTests, searchFor } from "./judge.js";
import type { SearchResult } from "./mutant-search.js";
import { NO_MUTANT } from "./mutant-switch.js";
import { type GeneratedMutant, withSwitches } from "./mutation-operators.js";
import { allMutants, isListed, sample } from "./protocol-mutants.js";

/** What no test catches is searched for with so many schedules at random. */
const SEEDS = 100;

/** What is expected of each sample, in percent. */
const TARGET_SCORE = 95;

interface Verdict {
  mutant: GeneratedMutant;
  /** What caught it, undefined for a survivor. */
  caughtBy: string | undefined;
}

/** The mutants of one file together, at most so many; files with many first, so that no long batch is left for the end. */
function inBatches(mutants: readonly GeneratedMutant[]): GeneratedMutant[][] {
  const batches: GeneratedMutant[][] = [];
  for (const file of new Set(mutants.map((mutant) => mutant.file))) {
    const own = mutants.filter((mutant) => mutant.file === file);
    for (let from = 0; from < own.length; from += BATCH_SIZE) batches.push(own.slice(from, from + BATCH_SIZE));
  }
  return batches.sort((one, other) => other.length - one.length);
}

const BATCH_SIZE = 100;

/** Judges mutants of one file by the tests, many in one process: what caught each, if anything. */
async function judgeFile(mutants: readonly GeneratedMutant[], onVerdict: (verdict: Verdict) => void): Promise<void> {
  const [{ file }] = mutants as [GeneratedMutant];
  const text = readFileSync(join(FUNCTIONS, file), "utf8");
  const report = (mutant: GeneratedMutant, failed: string | null | undefined) =>
    onVerdict({ mutant, caughtBy: typeof failed === "string" ? `tests: ${failed}` : undefined });
  const switchable = mutants.filter((mutant) => mutant.switch !== undefined);
  if (switchable.length > 0) {
    const { verdicts, atLoad } = await judgeByTests(file, withSwitches(text, switchable), [...switchable.keys()]);
    const failed = verdicts.get(NO_MUTANT);
    if (failed) throw new Error(`Without any mutant of ${file}, a test fails: ${failed}`);
    for (const [index, mutant] of switchable.entries()) {
      // The mutated text is loaded instead, here and in the simulation.
      if (atLoad.has(index)) mutant.switch = undefined;
      else report(mutant, verdicts.get(index));
    }
  }
  for (const mutant of mutants.filter((mutant) => mutant.switch === undefined)) {
    const { verdicts } = await judgeByTests(file, mutated(mutant), []);
    report(mutant, verdicts.get(NO_MUTANT));
  }
}

/** Searches for mutants that no test catches. Those that can be switched on are all in one program. */
async function searchForMutants(
  mutants: readonly GeneratedMutant[],
  onVerdict: (verdict: Verdict) => void,
): Promise<void> {
  const report = (mutant: GeneratedMutant, { invariants }: SearchResult) =>
    onVerdict({ mutant, caughtBy: invariants.length > 0 ? `simulation: ${invariants.join(", ")}` : undefined });
  const switchable = mutants.filter((mutant) => mutant.switch !== undefined);
  const texts = new Map<string, string>();
  for (const { file } of switchable) {
    const own = switchable.filter((mutant) => mutant.file === file);
    texts.set(
      file,
      withSwitches(readFileSync(join(FUNCTIONS, file), "utf8"), own, switchable.indexOf(own[0] as GeneratedMutant)),
    );
  }
  const shares = await Promise.all(
    Array.from({ length: availableParallelism() }, (_, part) => {
      const numbers = [...switchable.keys()].filter((number) => number % availableParallelism() === part);
      return numbers.length > 0 ? judgeBySimulation(texts, SEEDS, numbers) : new Map<number, SearchResult>();
    }),
  );
  for (const [number, result] of shares.flatMap((share) => [...share])) {
    const mutant = switchable[number];
    if (mutant) report(mutant, result);
  }
  for (const mutant of mutants.filter((mutant) => mutant.switch === undefined)) {
    report(mutant, await searchFor(new Map([[mutant.file, mutated(mutant)]]), SEEDS));
  }
}

const shown = ({ file, line, operator }: GeneratedMutant) => `${file}:${line} ${operator}`;
const shownChange = (mutant: GeneratedMutant) =>
  `${shown(mutant)}: ${mutant.text} | ${mutant.from} → ${mutant.replacement.replace(/\s+/g, " ") || "(nothing)"}`;

const wholeNumber = (text: string) => Number.parseInt(text, 10);

const command = new Command("mutants")
  .description("Generates mutants of the protocol and shows which the tests next to the file or the simulation catch.")
  .option("--generated <count>", "how many mutants to sample", wholeNumber, 300)
  .option("--seed <number>", "which sample", wholeNumber, 1)
  .option("--file <text>", "only files with this text in their path", "")
  .option("--operators <names>", "only these operators, separated by commas", (names) => names.split(","))
  .option("--list", "list the sample without running it")
  .option("--verbose", "also say what caught each of the others");

async function main(): Promise<void> {
  const { generated, seed, file, operators, list, verbose } = command
    .parse()
    .opts<{ generated: number; seed: number; file: string; operators?: string[]; list?: true; verbose?: true }>();
  const all = allMutants();
  const named = all.filter((mutant) => mutant.file.includes(file) && (operators?.includes(mutant.operator) ?? true));
  // About half of them do not compile.
  const mutants = (await compilable(sample(named, 3 * generated, seed))).slice(0, generated);
  if (list) {
    for (const mutant of mutants) console.log(shownChange(mutant));
    return;
  }
  const equivalent = mutants.filter((mutant) => EQUIVALENT_MUTANTS.some((known) => isListed(mutant, known)));
  const waiting = mutants.filter((mutant) => !equivalent.includes(mutant));
  const verdicts: Verdict[] = [];
  const uncaught: GeneratedMutant[] = [];
  const progress = new Progress({ unit: "mutants", total: waiting.length });
  const onVerdict = (verdict: Verdict) => {
    verdicts.push(verdict);
    const change = shownChange(verdict.mutant);
    if (!verdict.caughtBy) progress.found(`${change} survives`);
    if (!verdict.caughtBy) console.log(`SURVIVES ${change}`);
    else if (verbose) console.log(`caught ${change} by ${verdict.caughtBy}`);
    progress.advance();
  };
  const batches = inBatches(waiting);
  const work = async () => {
    for (let next = batches.shift(); next; next = batches.shift())
      await judgeFile(next, (verdict) => (verdict.caughtBy ? onVerdict(verdict) : uncaught.push(verdict.mutant)));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  // By file, so that the mutants of each have numbers in a row.
  uncaught.sort((one, other) => one.file.localeCompare(other.file) || one.start - other.start);
  await searchForMutants(uncaught, onVerdict);
  progress.end();
  const caught = verdicts.filter(({ caughtBy }) => caughtBy !== undefined);
  const bySimulation = caught.filter(({ caughtBy }) => caughtBy?.startsWith("simulation")).length;
  const score = Math.round((1000 * caught.length) / verdicts.length) / 10;
  const counts = { all: all.length, generated: mutants.length, equivalent: equivalent.length };
  console.log(JSON.stringify({ ...counts, seed, caught: caught.length, bySimulation, score }));
  process.exitCode = score >= TARGET_SCORE ? 0 : 1;
}

await main();
