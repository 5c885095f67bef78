/** A small budget of `npm run chaos`: real processes, the official emulators, and a verdict on what is left. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { programArgs } from "../services/program-args.js";

describe("real processes under faults", function () {
  this.timeout(1_200_000);

  for (const policy of ["park", "idempotency-key"] as const) {
    it(`lose and duplicate nothing when they are killed, stopped, disconnected and redeployed (${policy})`, async () => {
      const given = ["--orders", "12", "--kills", "6", "--seed", "2", "--policy", policy];
      const { stdout } = await promisify(execFile)(process.execPath, [...programArgs("chaos/main.ts"), ...given], {
        timeout: 1_190_000,
      }).catch((error: { stdout?: string; stderr?: string }) => assert.fail(`${error.stdout}\n${error.stderr}`));
      const last = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
      const { orders, kills, lost, duplicates, wrong, uncertain, undecidable } = last;
      assert.deepEqual(
        { orders, kills, lost, duplicates, wrong },
        { orders: 12, kills: 6, lost: 0, duplicates: 0, wrong: 0 },
      );
      assert.equal(uncertain, undecidable);
    });
  }
});
