/** Looks for what breaks first, and prints which invariants it broke: run once for each mutant, with the number of seeds and of seconds as its arguments. */
import { Coverage } from "./coverage.js";
import { guided, pointsOf, singleOrder } from "./explore.js";
import { replay } from "./schedule.js";
import { watch } from "./watchdog.js";

/** How many seeds come first: most mistakes show within a few. */
const FIRST_SEEDS = 40;

/** How many seeds are tried at most. */
const SEEDS = Number(process.argv[2]);

/** How much processor time the search may use, in seconds, before its mutant counts as one that never ends. */
const MAX_SECONDS = Number(process.argv[3]);

/** A search with fewer seeds than this tries no pairs of faults. */
const ENOUGH_FOR_PAIRS = 1_000;

/** After the first violation, how many more schedules are tried, to see which other invariants notice. */
const SCHEDULES_AFTER = 10;

function numbersTo(most: number): number[] {
  return Array.from({ length: most }, (_, index) => index + 1);
}

async function main(): Promise<void> {
  watch(MAX_SECONDS);
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
      if (SEEDS < ENOUGH_FOR_PAIRS || (point[1] !== "suspend" && point[1] !== "refused")) continue;
      for (const second of pointsOf(single.history)) {
        if (isFound()) break;
        if (second[0] > point[0]) note((await replay(base, new Map([point, second]))).violations);
      }
    }
  }
  await searchAtRandom(SEEDS);
  process.stdout.write(JSON.stringify({ invariants: [...invariants], schedules: first || schedules }));
}

await main();
