/** A small budget of each search; `npm run simulate` has the large ones. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { EQUIVALENT_MUTANTS } from "./equivalent-mutants.js";
import { exhaustive, type Findings, hashOf, random, samplePoints, scenarioOf, singleOrder } from "./explore.js";
import { FAULTS } from "./faults.js";
import { MUTATIONS } from "./mutations.js";
import { allMutants, isListed } from "./protocol-mutants.js";
import { search } from "./schedule.js";
import type { Entry } from "./world.js";

const tsx = (file: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, ["--import", "tsx", file, ...args]);

function assertUnbroken({ failures }: Findings): void {
  const found = failures.map(({ scenario, schedule, violations }) =>
    JSON.stringify({ scenario, schedule, violations }),
  );
  assert.deepEqual(found, []);
}

/** These operations come only after a fault. */
const AFTER_A_FAULT = ["continue", "link", "retry", "dismiss"];

/** Every fault that can strike first. */
const AT_FIRST = new Set(
  Object.entries(FAULTS).flatMap(([name, faults]) => (AFTER_A_FAULT.includes(name) ? [] : faults)),
);

/** Half of the schedules at random grow from earlier ones, so these are the same on every machine. */
const SEEDS = 40;

describe("the whole system under faults", function () {
  // Processor time, mostly: a busy machine may give these tests a small share of it.
  this.timeout(1_200_000);

  for (const [seed, policy] of (["park", "idempotency-key"] as const).entries()) {
    it(`holds when any one fault strikes any operation of an order's life (${policy})`, async () => {
      const sample = (history: readonly Entry[]) => samplePoints(history, seed);
      const findings = await exhaustive(singleOrder(policy), { part: 0, parts: 1 }, false, undefined, sample);
      assertUnbroken(findings);
      assert.ok(findings.singles > 150, `only ${findings.singles} schedules were tried`);
      const missing = [...AT_FIRST].filter((fault) => !findings.faults[fault]);
      assert.deepEqual(missing, [], "these faults never struck");
    });
  }

  it("holds when faults strike at random among many orders", async () => {
    const findings = await random(
      Array.from({ length: SEEDS }, (_, index) => index + 1),
      20,
    );
    assertUnbroken(findings);
    const missing = Object.keys(FAULTS).filter((operation) => !findings.operations[operation]);
    assert.deepEqual(missing, [], "these operations never happened");
    assert.ok(findings.remembered > 100, `only ${findings.remembered} runs used a link that their instance remembered`);
  });

  it("gives the same history for the same seed, and a different one for another seed", async () => {
    const hash = async (seed: number) => hashOf((await search(scenarioOf(seed, 20))).history);
    for (const seed of [1, 2, 3]) assert.equal(await hash(seed), await hash(seed));
    assert.notEqual(await hash(1), await hash(2));
  });

  it("lists only equivalent mutants that still fit the code, each with a reason", () => {
    const mutants = allMutants();
    for (const known of EQUIVALENT_MUTANTS) {
      assert.ok(
        mutants.some((mutant) => isListed(mutant, known)),
        `no mutant is ${JSON.stringify(known)}`,
      );
      assert.ok(known.reason.length > 20, `${known.from}: a reason that convinces is longer`);
    }
  });

  it("has planted mistakes whose source text still occurs in the code", () => {
    for (const { name, edits } of MUTATIONS) {
      for (const { file, from } of edits) {
        const times = readFileSync(join("functions/src", file), "utf8").split(from).length - 1;
        assert.equal(times, 1, `"${name}": what it changes occurs ${times} times in ${file}`);
      }
    }
  });

  it("finds planted mistakes", async () => {
    const { stdout } = await tsx("simulation/mutants.ts", "--name", "without history");
    const last = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { mutants: number; caught: number };
    assert.deepEqual(last, { ...last, mutants: 3, caught: 3 });
  });

  it("prints one line of JSON, and names an invalid option", async () => {
    const { stdout } = await tsx("simulation/main.ts", "--seeds", "2", "--orders", "3");
    const last = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { schedules: number; violations: number };
    assert.deepEqual({ schedules: last.schedules, violations: last.violations }, { schedules: 2, violations: 0 });
    await assert.rejects(tsx("simulation/main.ts", "--seeds", "none"), /--seeds <count>.*whole number/s);
  });
});
