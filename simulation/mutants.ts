/** `npm run simulate:mutants`: plants each mistake, one at a time, and shows that the simulation finds it. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { Progress } from "../harness/progress.js";
import { INVARIANTS } from "./checker.js";
import { FUNCTIONS, searchFor } from "./judge.js";
import { MUTATIONS, type Mutation } from "./mutations.js";

/** At most so many schedules are chosen at random. */
const SEEDS = 1_500;

/** The files with the mistake in them. An edit that fits nowhere, or more than once, is an error. */
function planted({ name, edits }: Mutation): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { file, from, to } of edits) {
    const text = texts.get(file) ?? readFileSync(join(FUNCTIONS, file), "utf8");
    const times = text.split(from).length - 1;
    if (times !== 1) throw new Error(`"${name}": ${JSON.stringify(from)} occurs ${times} times in ${file}`);
    texts.set(
      file,
      text.replace(from, () => to),
    );
  }
  return texts;
}

/** The value below which this share of the sorted numbers lies. */
function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

const command = new Command("simulate:mutants")
  .description("Plants mistakes in the protocol, one at a time, and shows that the simulation finds each.")
  .option("--sample <count>", "plant only this many of them, spread over the list", Number)
  .option("--name <text>", "plant only those with this text in their names", "");

async function main(): Promise<void> {
  const options = command.parse().opts<{ sample?: number; name: string }>();
  const named = MUTATIONS.filter(({ name }) => name.includes(options.name));
  const step = named.length / (options.sample ?? named.length);
  const chosen = named.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
  const waiting = [...chosen];
  const caughtBy = new Map<string, number>(INVARIANTS.map((invariant) => [invariant, 0]));
  /** How many schedules it took to find each. */
  const counts: number[] = [];
  let missed = 0;
  const progress = new Progress({ unit: "mutants", total: chosen.length });
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { invariants, schedules } = await searchFor(planted(next), SEEDS);
      for (const invariant of invariants) caughtBy.set(invariant, (caughtBy.get(invariant) ?? 0) + 1);
      if (invariants.length === 0) missed++;
      else counts.push(schedules);
      const verdict = invariants.length > 0 ? `after ${schedules} schedules: ${invariants.join(", ")}` : "NOT CAUGHT";
      // On a terminal the verdict goes above the line of progress.
      if (process.stderr.isTTY && process.stdout.isTTY) progress.news(`${next.name.padEnd(38)} ${verdict}`);
      else console.log(`${next.name.padEnd(38)} ${verdict}`);
      if (invariants.length === 0) progress.found(`${next.name} is not caught`);
      progress.advance();
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  progress.end();
  const idle = [...caughtBy].filter(([, caught]) => caught === 0).map(([invariant]) => invariant);
  console.log(`\n${"invariant".padEnd(45)} mutants caught`);
  for (const [invariant, caught] of caughtBy) console.log(`${invariant.padEnd(45)} ${caught}`);
  const caught = chosen.length - missed;
  const found = counts.sort((one, other) => one - other);
  const schedules = { median: quantile(found, 0.5), p95: quantile(found, 0.95) };
  console.log(
    JSON.stringify({ mutants: chosen.length, caught, schedules, invariants: INVARIANTS.length, idleInvariants: idle }),
  );
  // A sample need not reach every invariant.
  process.exitCode = missed > 0 || (chosen.length === MUTATIONS.length && idle.length > 0) ? 1 : 0;
}

await main();
