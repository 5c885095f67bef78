/** Judges a mutant: whether the tests or the simulation notice it. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../harness/root.js";
import { bundle, bundleTests, replacing, runText } from "./bundle.js";
import type { Line } from "./test-program.js";

export const FUNCTIONS = join(ROOT, "functions", "src");

/** What is mutated, as whole files: their new texts by their paths under `functions/src`. */
export type Mutant = ReadonlyMap<string, string>;

/** A search that uses more processor time than this, in seconds, hangs because of its mutant. */
const MAX_SEARCH_SECONDS = 900;

/** The tests that can notice a mutant of the protocol, relative to `functions/src`. Those of the connections can't. */
const TESTS =
  /^((attempts|relations|pipeline|domain|operator-api)\/[^/]+|adapters\/(memory\/[^/]+|firebase\/verified-replies)|[^/]+)\.test\.ts$/;

function pluginFor(mutant: Mutant) {
  return replacing(new Map([...mutant].map(([file, text]) => [join(FUNCTIONS, file), text])));
}

/** All tests, relative to the project's root: first those of the file, then the ones beside it. */
function testsFor(file: string): string[] {
  const own = file.replace(/\.ts$/, ".test.ts");
  const distance = (test: string) => (test === own ? 0 : dirname(test) === dirname(file) ? 1 : 2);
  return readdirSync(FUNCTIONS, { recursive: true, encoding: "utf8" })
    .filter((name) => TESTS.test(name))
    .sort((one, other) => distance(one) - distance(other) || one.localeCompare(other))
    .map((test) => `functions/src/${test}`);
}

/** The number that switches no mutant on. */
export const NO_MUTANT = -1;

/**
 * The first test that fails with each of these mutants of a file, null for one with which none does.
 * @param text the text of the file, with the mutants in it: each is switched on by its number
 */
export async function judgeByTests(
  file: string,
  text: string,
  mutants: readonly number[],
): Promise<Map<number, string | null>> {
  const verdicts = new Map<number, string | null>();
  const program = await bundleTests(testsFor(file), [pluginFor(new Map([[file, text]]))]);
  for (let left = [...mutants]; left.length > 0; left = left.filter((mutant) => !verdicts.has(mutant))) {
    let [current = NO_MUTANT] = left;
    await runText(program, left.map(String), (line) => {
      const said = JSON.parse(line) as Line;
      if ("begins" in said) current = said.begins;
      else verdicts.set(said.mutant, said.failed);
    });
    if (!verdicts.has(current)) verdicts.set(current, "the tests do not end");
  }
  return verdicts;
}

/** What a search for one mutant found. */
export interface SearchResult {
  /** The invariants that it violates; none if no schedule showed the mutant. */
  invariants: string[];
  /** How many schedules it took to find it. */
  schedules: number;
}

/**
 * Searches for a schedule that shows the mutant.
 * @param seeds how many schedules are chosen at random at most
 */
export async function judgeBySimulation(mutant: Mutant, seeds: number): Promise<SearchResult> {
  const program = await bundle("mutant-search.ts", [pluginFor(mutant)]);
  let output = "";
  const arguments_ = [String(seeds), String(MAX_SEARCH_SECONDS)];
  const status = await runText(program, arguments_, (line) => {
    output += line;
  });
  // The caller of the simulation notices a program that fails or hangs.
  return status === 0 ? (JSON.parse(output) as SearchResult) : { invariants: ["the program ends"], schedules: 1 };
}
