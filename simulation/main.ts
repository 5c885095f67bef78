/** `npm run simulate`: looks for a schedule of faults under which the system loses or doubles anything. */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { Command, InvalidArgumentError } from "commander";
import { Progress } from "../harness/progress.js";
import { bundle, FROM_STDIN } from "./bundle.js";
import { add, type Findings, hashOf, lineOf, noFindings, scenarioOf, singleOrder } from "./explore.js";
import { FAULT_KINDS, FAULTS, type Fault } from "./faults.js";
import { replay } from "./schedule.js";
import type { Search, SearchProgress, Task } from "./worker.js";

/** More of them meet no more situations in the same time. */
const DEFAULT_ORDERS = 8;

/** A search over fewer seeds than this need not have met every fault. */
const ENOUGH_SEEDS = 500;

interface Options extends Search {
  schedule?: [number, Fault][];
  waits?: true;
}

const wholeNumber = (text: string): number => {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("It must be a whole number from 1 up.");
  return number;
};

const scheduleOf = (text: string): [number, Fault][] => {
  try {
    const given = JSON.parse(text) as [number, Fault][];
    if (given.every(([effect, fault]) => Number.isInteger(effect) && FAULT_KINDS.includes(fault))) return given;
  } catch {}
  throw new InvalidArgumentError('It must be JSON as a failure prints it, such as [[12,"crash after"]].');
};

const command = new Command("simulate")
  .description("Runs the real handlers in virtual time under faults and checks that nothing is lost or duplicated.")
  .option("--exhaustive", "every single fault and every pair of faults at every effect of one order's life")
  .option("--no-pairs", "with --exhaustive: single faults only")
  .option("--seeds <count>", "number of runs with random faults", wholeNumber)
  .option("--seed <number>", "the first seed, or the one to replay", wholeNumber)
  .option("--orders <count>", "orders in each run", wholeNumber, DEFAULT_ORDERS)
  .option("--twice", "run each seed twice and compare the histories")
  .option("--waits", "with --schedule and --orders 1: an order that waits for many ticks")
  .option("--schedule <json>", "replay this schedule of faults, as a failure printed it", scheduleOf);

async function inParallel(options: Options): Promise<Findings> {
  const runs = options.exhaustive ? Number.POSITIVE_INFINITY : (options.seeds ?? 1);
  const parts = Math.min(availableParallelism(), runs);
  const program = await bundle("worker.ts");
  const total = options.exhaustive ? undefined : runs * (options.twice ? 2 : 1);
  const progress = new Progress({ unit: "schedules", total });
  const done = Array.from({ length: parts }, () => 0);
  const shares = Array.from({ length: parts }, (_, part) => {
    const child = spawn(process.execPath, ["--max-semi-space-size=64", ...FROM_STDIN], {
      stdio: ["pipe", "inherit", "inherit", "ipc"],
      // Sets come over as sets.
      serialization: "advanced",
    });
    child.stdin?.end(program);
    child.send({ options, part, parts } satisfies Task);
    return new Promise<Findings>((resolve, reject) => {
      child.on("message", ({ findings, progress: update }: { findings?: Findings; progress?: SearchProgress }) => {
        if (findings) resolve(findings);
        done[part] = (findings ?? update)?.schedules ?? 0;
        progress.to(done.reduce((sum, one) => sum + one, 0));
        if (update?.finding) progress.found(update.finding);
      });
      child.on("exit", (code) => reject(new Error(`a part of the search ended with status ${code}`)));
    });
  });
  const totals: Findings = noFindings();
  for (const share of shares) add(totals, await share);
  progress.end();
  return totals;
}

/** Faults and operations that never happened: a search that did not meet them proves nothing about them. */
function neverMet(options: Options, { faults, operations }: Findings): string[] {
  if (options.twice || options.exhaustive || (options.seeds ?? 1) < ENOUGH_SEEDS) return [];
  return [
    ...FAULT_KINDS.filter((fault) => !faults[fault]).map((fault) => `the fault "${fault}" never struck`),
    ...Object.keys(FAULTS).flatMap((operation) => (operations[operation] ? [] : `"${operation}" never happened`)),
  ];
}

async function main(): Promise<void> {
  const options = command.parse().opts<Options>();
  if (options.schedule) {
    const scenario = scenarioOf(options.seed ?? 1, options.orders);
    const single = options.orders === 1 ? singleOrder(scenario.policy, scenario.seed, options.waits) : scenario;
    const { history, violations } = await replay(single, new Map(options.schedule));
    for (const entry of history) console.log(lineOf(entry));
    for (const { invariant, message } of violations) console.log(`VIOLATED ${invariant}: ${message}`);
    console.log(JSON.stringify({ effects: history.length, hash: hashOf(history), violations: violations.length }));
    process.exitCode = violations.length > 0 ? 1 : 0;
    return;
  }
  const started = Date.now();
  const findings = await inParallel(options);
  for (const { scenario, schedule, violations, history } of findings.failures) {
    console.log(history.join("\n"));
    console.log(`\nVIOLATED by ${JSON.stringify(scenario)} under ${JSON.stringify(schedule)}`);
    for (const violation of violations) console.log(`  ${violation}`);
  }
  const missing = neverMet(options, findings);
  for (const what of missing) console.log(`VIOLATED: ${what}`);
  const { failures, operations: _, coverage, ...numbers } = findings;
  const violations = failures.length + missing.length;
  const seconds = Math.round((Date.now() - started) / 1000);
  console.log(JSON.stringify({ ...numbers, coverage: coverage.numbers, violations, seconds }));
  process.exitCode = violations > 0 ? 1 : 0;
}

await main();
