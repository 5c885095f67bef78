/**
 * Searches for what breaks first with each mutant, and prints a line of JSON for each: see `SearchLine`. Its arguments are how many seeds
 * to try, how many seconds of processor time to use for each, and the mutants to switch on, one after the other; without any, the program
 * has one mutant, which is always on.
 */

// First, since a mutant may be at the top level of a module that the others import.
import "./mutant-switch.js";
import { Coverage } from "./coverage.js";
import { guided, pointsOf, singleOrder } from "./explore.js";
import type { Fault, Schedule } from "./faults.js";
import { NO_MUTANT, switchOn, takeReached } from "./mutant-switch.js";
import { replay, type Scenario } from "./schedule.js";
import { watch } from "./watchdog.js";

/** How many seeds come first: most mistakes show within a few. */
const FIRST_SEEDS = 40;

/** A search with fewer seeds than this tries no pairs of faults. */
const ENOUGH_FOR_PAIRS = 1_000;

/** After the first violation, how many more schedules are tried with a mutant that is always on, to see which other invariants notice. */
const SCHEDULES_AFTER = 10;

/** So many single faults at most are tried with each of several mutants: of those whose schedules reach it, spread over them. */
const MAX_SINGLES = 400;

/** What leads to rare situations: a process is suspended, or a create was rejected. */
const LEADING: readonly Fault[] = ["suspend", "refused"];

const POLICIES = ["park", "idempotency-key"] as const;

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

function numbersTo(most: number): number[] {
  return Array.from({ length: most }, (_, index) => index + 1);
}

/** Searches for a mutant that is always on. */
async function searchAtLength(): Promise<SearchResult> {
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
  const leading: { scenario: Scenario; point: [number, Fault]; seconds: [number, Fault][] }[] = [];
  for (const policy of POLICIES) {
    const scenario = singleOrder(policy);
    for (const point of pointsOf((await replay(scenario, new Map())).history)) {
      if (isFound()) break;
      const { violations, history } = await replay(scenario, new Map([point]));
      note(violations);
      if (SEEDS < ENOUGH_FOR_PAIRS || !LEADING.includes(point[1])) continue;
      leading.push({ scenario, point, seconds: pointsOf(history).filter(([effect]) => effect > point[0]) });
    }
  }
  await searchAtRandom(SEEDS);
  // At every time, not once for each situation: some mistakes show only at certain times.
  for (const { scenario, point, seconds } of leading) {
    for (const second of seconds) {
      if (isFound()) break;
      note((await replay(scenario, new Map([point, second]))).violations);
    }
  }
  return { invariants: [...invariants], schedules: first || schedules };
}

/** A schedule, and the mutants that it reaches. */
interface Planned {
  scenario: Scenario;
  schedule: Schedule;
  reached: ReadonlySet<number>;
}

/** What is tried with each of several mutants: single faults, then faults at random. Without a mutant, none of it breaks anything. */
async function planSchedules(): Promise<{ singles: Planned[]; random: Planned[] }> {
  const singles: Planned[] = [];
  for (const policy of POLICIES) {
    const scenario = singleOrder(policy);
    for (const point of pointsOf((await replay(scenario, new Map())).history)) {
      const schedule = new Map([point]);
      takeReached();
      await replay(scenario, schedule);
      singles.push({ scenario, schedule, reached: takeReached() });
    }
  }
  const random: Planned[] = [];
  for await (const { scenario, outcome } of guided(numbersTo(SEEDS), 20, new Coverage())) {
    random.push({ scenario, schedule: outcome.struck, reached: takeReached() });
  }
  return { singles, random };
}

/** Tries the schedules that reach the mutant, until one breaks something. */
async function searchPlanned(mutant: number, plan: Awaited<ReturnType<typeof planSchedules>>): Promise<SearchResult> {
  const singles = plan.singles.filter(({ reached }) => reached.has(mutant));
  const step = Math.max(1, singles.length / MAX_SINGLES);
  const spread = singles.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
  const schedules = [...spread, ...plan.random.filter(({ reached }) => reached.has(mutant))];
  for (const [index, { scenario, schedule }] of schedules.entries()) {
    const { violations } = await replay(scenario, schedule);
    const invariants = [...new Set(violations.map(({ invariant }) => invariant))];
    if (invariants.length > 0) return { invariants, schedules: index + 1 };
  }
  return { invariants: [], schedules: schedules.length };
}

function print(line: SearchLine): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, () => resolve()));
}

async function main(): Promise<void> {
  const begins = watch(MAX_SECONDS);
  if (MUTANTS.length === 0) return print({ mutant: NO_MUTANT, ...(await searchAtLength()) });
  const plan = await planSchedules();
  for (const mutant of MUTANTS) {
    begins();
    await print({ begins: mutant });
    switchOn(mutant);
    const broken = { invariants: ["the program ends"], schedules: 1 };
    const result = await searchPlanned(mutant, plan).catch(() => broken);
    switchOn(NO_MUTANT);
    await print({ mutant, ...result });
  }
}

// Traces of errors that the handlers expect take a tenth of the time.
Error.stackTraceLimit = 0;
// What a mutant leaves behind must not end the program that tries the next ones.
if (MUTANTS.length > 0) {
  process.on("unhandledRejection", () => {});
  process.on("uncaughtException", () => {});
}
await main();
process.exit(0);
