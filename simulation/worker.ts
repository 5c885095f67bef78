/** One of the processes that share a search: a message assigns its part, and it replies with what it found. */
import {
  add,
  exhaustive,
  type Findings,
  hashOf,
  lineOf,
  noFindings,
  PolicyFree,
  random,
  scenarioOf,
  singleOrder,
} from "./explore.js";
import { search } from "./schedule.js";

/** What is to be searched. */
export interface Search {
  exhaustive?: true;
  pairs: boolean;
  seeds?: number;
  seed?: number;
  orders: number;
  twice?: true;
}

/** The part of it that this process is to do. */
export interface Task {
  options: Search;
  part: number;
  parts: number;
}

/** How far this process is. */
export interface SearchProgress {
  schedules: number;
  /** The first thing found; undefined while there is none. */
  finding: string | undefined;
}

const REPORT_INTERVAL_MS = 200;
let reportedAt = 0;

function tell({ schedules, failures: [first] }: Findings): void {
  if (Date.now() - reportedAt < REPORT_INTERVAL_MS && !first) return;
  reportedAt = Date.now();
  process.send?.({ progress: { schedules, finding: first?.violations[0] } satisfies SearchProgress });
}

async function work({ options, part, parts }: Task): Promise<Findings> {
  if (options.exhaustive) {
    const totals = { ...noFindings(), points: 0, singles: 0, pairs: 0 };
    for (const waits of [false, true]) {
      const policyFree = new PolicyFree();
      for (const policy of ["park", "idempotency-key"] as const) {
        const base = singleOrder(policy, options.seed, waits);
        const before = totals.schedules;
        const onSchedule = (findings: Findings) => tell({ ...findings, schedules: before + findings.schedules });
        // An order that waits has so many effects that their pairs are too many to try.
        add(totals, await exhaustive(base, { part, parts, policyFree }, options.pairs && !waits, onSchedule));
      }
    }
    return totals;
  }
  const first = options.seed ?? 1;
  const seeds = Array.from({ length: options.seeds ?? 1 }, (_, index) => first + index).filter(
    (seed) => seed % parts === part,
  );
  if (!options.twice) return random(seeds, options.orders, tell);
  const findings = noFindings();
  for (const seed of seeds) {
    const scenario = scenarioOf(seed, options.orders);
    const [one, other] = [await search(scenario), await search(scenario)];
    findings.schedules += 2;
    tell(findings);
    findings.effects += one.history.length + other.history.length;
    if (hashOf(one.history) === hashOf(other.history)) continue;
    const violations = ["the same seed gave two histories"];
    findings.failures.push({ scenario, schedule: [...one.struck], violations, history: one.history.map(lineOf) });
  }
  return findings;
}

// Traces of errors that the handlers expect take a tenth of the time.
Error.stackTraceLimit = 0;
// The parent process is gone: the answer has no reader.
process.once("disconnect", () => process.exit());
process.once("message", (task) => {
  void work(task as Task).then((findings) => process.send?.({ findings }, () => process.exit(0)));
});
