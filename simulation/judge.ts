/** Judges a mutant: whether the tests or the simulation notice it. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../harness/root.js";
import { bundle, bundleTests, loadedBy, replacing, runText } from "./bundle.js";
import type { SearchLine, SearchResult } from "./mutant-search.js";
import { NO_MUTANT } from "./mutant-switch.js";
import type { Line } from "./test-program.js";

export const FUNCTIONS = join(ROOT, "functions", "src");

/** What is mutated, as whole files: their new texts by their paths under `functions/src`. */
export type Mutant = ReadonlyMap<string, string>;

/** A search that uses more processor time than this, in seconds, hangs because of its mutant. */
const MAX_SEARCH_SECONDS = 900;

/** The tests that can notice a mutant of the protocol, relative to `functions/src`: all unit tests but those of the triggers, whose SDK can't be bundled. */
const TESTS = /(?<!\.integration|firebase\/triggers)\.test\.ts$/;

function pluginFor(mutant: Mutant) {
  return replacing(new Map([...mutant].map(([file, text]) => [join(FUNCTIONS, file), text])));
}

/** The tests that load this file, relative to the project's root: first those of the file, then the ones beside it. */
async function testsFor(file: string): Promise<string[]> {
  const own = file.replace(/\.ts$/, ".test.ts");
  const distance = (test: string) => (test === own ? 0 : dirname(test) === dirname(file) ? 1 : 2);
  const names = readdirSync(FUNCTIONS, { recursive: true, encoding: "utf8" }).filter((name) => TESTS.test(name));
  const loads = await loadedBy(names.map((name) => `functions/src/${name}`));
  return names
    .filter((test) => loads(`functions/src/${test}`, `functions/src/${file}`))
    .sort((one, other) => distance(one) - distance(other) || one.localeCompare(other))
    .map((test) => `functions/src/${test}`);
}

/** What tests say about mutants of a file. */
export interface TestVerdicts {
  /** The first test that fails with each mutant, null for one with which none does, and the same without any mutant. */
  verdicts: Map<number, string | null>;
  /** The mutants whose code runs while the file is loaded: they are switched on too late, so they have no verdict. */
  atLoad: ReadonlySet<number>;
}

/**
 * Runs the tests with each of these mutants of a file.
 * @param text the text of the file, with the mutants in it: each is switched on by its number
 */
export async function judgeByTests(file: string, text: string, mutants: readonly number[]): Promise<TestVerdicts> {
  const atLoad = new Set<number>();
  const verdicts = new Map<number, string | null>();
  const program = await bundleTests(await testsFor(file), [pluginFor(new Map([[file, text]]))]);
  let left = [...mutants];
  do {
    let current = NO_MUTANT;
    await runText(program, left.map(String), (line) => {
      const said = JSON.parse(line) as Line;
      if ("atLoad" in said) for (const mutant of said.atLoad) atLoad.add(mutant);
      else if ("begins" in said) current = said.begins;
      else verdicts.set(said.mutant, said.failed);
    });
    if (!verdicts.has(current)) verdicts.set(current, "the tests do not end");
    left = current === NO_MUTANT ? [] : left.filter((mutant) => !verdicts.has(mutant));
  } while (left.length > 0);
  for (const mutant of atLoad) verdicts.delete(mutant);
  return { verdicts, atLoad };
}

/** Searches for schedules that show a mutant which is always on: single faults, so many seeds at most and, with many seeds, pairs of faults. */
export async function searchFor(texts: Mutant, seeds: number): Promise<SearchResult> {
  return (await judgeBySimulation(texts, seeds, [])).get(NO_MUTANT) ?? HANGS;
}

/** The caller of the simulation notices a program that fails or hangs. */
const HANGS: SearchResult = { invariants: ["the program ends"], schedules: 1 };

/**
 * Searches for schedules that show these mutants.
 * @param texts the mutated files; each mutant is switched on by its number
 * @param seeds how many schedules are chosen at random at most
 */
export async function judgeBySimulation(
  texts: Mutant,
  seeds: number,
  mutants: readonly number[],
): Promise<Map<number, SearchResult>> {
  const results = new Map<number, SearchResult>();
  const program = await bundle("mutant-search.ts", [pluginFor(texts)]);
  let left = [...mutants];
  do {
    let current = NO_MUTANT;
    const numbers = [seeds, MAX_SEARCH_SECONDS, ...left];
    await runText(program, numbers.map(String), (line) => {
      const said = JSON.parse(line) as SearchLine;
      if ("begins" in said) current = said.begins;
      else results.set(said.mutant, said);
    });
    if (current === NO_MUTANT && mutants.length > 0) throw new Error("the search fails without any mutant");
    if (!results.has(current)) results.set(current, HANGS);
    left = current === NO_MUTANT ? [] : left.filter((mutant) => !results.has(mutant));
  } while (left.length > 0);
  return results;
}
