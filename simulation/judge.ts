/** Judges a mutant: whether the tests or the simulation notice it. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../harness/root.js";
import { bundle, bundleTests, replacing, runText } from "./bundle.js";

export const FUNCTIONS = join(ROOT, "functions", "src");

/** What is mutated, as whole files: their new texts by their paths under `functions/src`. */
export type Mutant = ReadonlyMap<string, string>;

/** A program that uses more processor time than this, in seconds, hangs because of its mutant. */
const MAX_TEST_SECONDS = 60;
const MAX_SEARCH_SECONDS = 300;

/** The tests that can notice a mutant of the protocol, relative to `functions/src`. Those of the connections can't. */
const TESTS =
  /^((attempts|relations|pipeline|domain|operator-api)\/[^/]+|adapters\/(memory\/[^/]+|firebase\/verified-replies)|[^/]+)\.test\.ts$/;

function pluginFor(mutant: Mutant) {
  return replacing(new Map([...mutant].map(([file, text]) => [join(FUNCTIONS, file), text])));
}

/** The tests beside the file, and all others. */
function testsFor(file: string): string[][] {
  const all = readdirSync(FUNCTIONS, { recursive: true, encoding: "utf8" }).filter((name) => TESTS.test(name));
  const own = file.replace(/\.ts$/, ".test.ts");
  const beside = all.filter((test) => dirname(test) === dirname(file));
  const others = all.filter((test) => !beside.includes(test));
  const ownFirst = [...beside.filter((test) => test === own), ...beside.filter((test) => test !== own)];
  return [ownFirst, others].map((tests) => tests.map((test) => `functions/src/${test}`));
}

/** The first test that fails with the mutant, undefined if none does. Those beside the file catch most, and are quick to load. */
export async function judgeByTests(file: string, mutant: Mutant): Promise<string | undefined> {
  for (const tests of testsFor(file)) {
    const { status, output } = await runText(await bundleTests(tests, [pluginFor(mutant)]), [], MAX_TEST_SECONDS);
    if (status !== 0) return output || "a test does not end";
  }
  return undefined;
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
  const { status, output } = await runText(program, [String(seeds)], MAX_SEARCH_SECONDS);
  // The caller of the simulation notices a program that fails or hangs.
  return status === 0 ? (JSON.parse(output) as SearchResult) : { invariants: ["the program ends"], schedules: 1 };
}
