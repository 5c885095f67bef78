/**
 * Searches for what breaks first with each mutant, and prints a line of JSON for each: see `SearchLine`. Its arguments are how many seeds
 * to try, how many seconds of processor time to use, and the mutants to switch on, one after the other.
 */
import { Coverage } from "./coverage.js";
import { guided, pointsOf, singleOrder } from "./explore.js";
import { replay } from "./schedule.js";
import { watch } from "./watchdog.js";

/** How many seeds come first: most mistakes show within a few. */
const FIRST_SEEDS = 40;

const [SEEDS = 0, MAX_SECONDS = 0, ...MUTANTS] = process.argv.slice(2).map(Number);

/** A line that the program prints. Processor time is counted for each mutant: one that uses too much never ends. */
export type SearchLine = { begins: number } | ({ mutant: number } & SearchResult);

/** What a search for one mutant found. */
export interface SearchResult {
  /** The invariants that it violates; none if no schedule showed the mutant. */
  invariants: string[];
  /** How many schedules it took to find it. */
  schedules: number;
}

/** A search with fewer seeds than this tries no pairs of faults, and ends with the first violation. */
const ENOUGH_FOR_ALL = 1_000;

/** After the first violation, how many more schedules are tried, to see which other invariants notice. */
const SCHEDULES_AFTER = SEEDS < ENOUGH_FOR_ALL ? 0 : 10;

function numbersTo(most: number): number[] {
  return Array.from({ length: most }, (_, index) => index + 1);
}

async function searchForViolation(): Promise<SearchResult> {
  const invariants = new Set<string>();
  let schedules = 0;
  let first = 0;
  const note = (violations: { invariant: string }[]) => {
    schedules++;
    for (const { invariant } of violations) invariants.add(invariant);
    if (invariants.size > 0 && first === 0) first = schedules;
  };
  const isFound = () => first !== 0 && schedules >= first + SCHEDULES_AFTER;
  const atRandom = guided(numbersTo(SEEDS), 20, new Coverage());
  const searchAtRandom = async (count: number) => {
    for (let tried = 0; tried < count && !isFound(); tried++) {
      const { value } = await atRandom.next();
      if (!value) return;
      note(value.outcome.violations);
    }
  };
  await searchAtRandom(FIRST_SEEDS);
  for (const policy of ["park", "idempotency-key"] as const) {
    const base = singleOrder(policy);
    for (const point of pointsOf((await replay(base, new Map())).history)) {
      if (isFound()) break;
      const single = await replay(base, new Map([point]));
      note(single.violations);
      // Rare situations: every second fault while a process is suspended, or after a rejection.
      if (SEEDS < ENOUGH_FOR_ALL || (point[1] !== "suspend" && point[1] !== "refused")) continue;
      for (const second of pointsOf(single.history)) {
        if (isFound()) break;
        if (second[0] > point[0]) note((await replay(base, new Map([point, second]))).violations);
      }
    }
  }
  await searchAtRandom(SEEDS);
  return { invariants: [...invariants], schedules: first || schedules };
}

function print(line: SearchLine): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, () => resolve()));
}

// Traces of errors that the handlers expect take a tenth of the time.
Error.stackTraceLimit = 0;
// What a mutant leaves behind must not end the program that tries the next ones.
process.on("unhandledRejection", () => {});
process.on("uncaughtException", () => {});
const begins = watch(MAX_SECONDS);
for (const mutant of MUTANTS) {
  begins();
  await print({ begins: mutant });
  (globalThis as { __mutant?: number }).__mutant = mutant;
  const result = await searchForViolation().catch(() => ({ invariants: ["the program ends"], schedules: 1 }));
  (globalThis as { __mutant?: number }).__mutant = -1;
  await print({ mutant, ...result });
}
process.exit(0);
