/** Looks for what breaks first, and prints which invariants it broke: run by `mutants.ts`, once for each mistake. */
import { pointsOf, scenarioOf, singleOrder } from "./explore.js";
import { replay, search } from "./schedule.js";

/** So many seeds are tried at most; most mistakes show within the first few. */
const SEEDS = 1500;

/** Once something broke, so many more seeds are tried, to see which other invariants see it too. */
const SEEDS_AFTER = 10;

async function main(): Promise<void> {
  const invariants = new Set<string>();
  let schedules = 0;
  let first = 0;
  const note = (violations: { invariant: string }[]) => {
    schedules++;
    for (const { invariant } of violations) invariants.add(invariant);
    if (invariants.size > 0 && first === 0) first = schedules;
  };
  for (let seed = 1; seed <= SEEDS && (first === 0 || schedules < first + SEEDS_AFTER); seed++) {
    note((await search(scenarioOf(seed, 20))).violations);
  }
  for (const policy of ["park", "idempotency-key"] as const) {
    if (first !== 0) break;
    const base = singleOrder(policy);
    for (const point of pointsOf((await replay(base, new Map())).history)) {
      note((await replay(base, new Map([point]))).violations);
    }
  }
  process.stdout.write(JSON.stringify({ invariants: [...invariants], schedules: first || schedules }));
}

await main();
