/** Proves that every bench can still measure, with as little of everything as there can be. Nothing here is about speed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";

/** For all benches together, which take 20 s on two idle cores: other work may keep the machine busy. */
const TIMEOUT_MS = 1_200_000;

/** All but the console's: the browser tests do the same as that one. */
const NAMES = ["cold-start", "stage", "poll", "pipeline", "growth", "users"];

describe("the benches", () => {
  it("measure, compare with their targets, and agree with the food service's records", async function () {
    this.timeout(TIMEOUT_MS);
    const child = spawn(
      process.execPath,
      ["local/run.mjs", "bench/main.ts", ...NAMES, "--smoke", "--no-peers", "--runs", "1"],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let [out, err] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      err += text;
    });
    const [status] = await once(child, "close");
    assert.equal(status, 0, err);
    const results = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      results.map(({ bench }) => bench),
      NAMES,
    );
    for (const { bench, met, figures, targets } of results) {
      assert.equal(typeof met, "boolean", bench);
      assert.ok(Object.keys(targets).length > 0, bench);
      for (const [name, { median, min, max }] of Object.entries<Record<string, number>>(figures)) {
        assert.ok(
          [median, min, max].every((value) => Number.isFinite(value)),
          `${bench} ${name}`,
        );
      }
    }
  });
});
