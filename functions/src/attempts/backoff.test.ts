import assert from "node:assert/strict";
import fc from "fast-check";
import type { Randomness } from "../ports.js";
import { backoffAfter, MAX_BACKOFF_MS } from "./backoff.js";

const drawing = (fraction: number): Randomness => ({ fraction: () => fraction, uuid: () => "" });

describe("backoffAfter", () => {
  it("doubles from 5 seconds up to 5 minutes", () => {
    const longest = [1, 2, 3, 4, 5, 6, 7, 8, 100].map((tries) => backoffAfter(tries, drawing(1)) / 1000);
    assert.deepEqual(longest, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
  });

  it("is the same after a create that was never sent as after the first try", () => {
    assert.equal(backoffAfter(0, drawing(1)), 5_000);
  });

  it("is a whole number in the upper half of its range, after any number of tries", () => {
    const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat(), fraction, (tries, drawn) => {
        const wait = backoffAfter(tries, drawing(drawn));
        const bound = Math.min(MAX_BACKOFF_MS, 5_000 * 2 ** Math.max(0, tries - 1));
        assert.ok(Number.isInteger(wait) && wait >= bound / 2 && wait <= bound, `${wait} of ${bound}`);
      }),
    );
  });

  it("spreads retries of creates that failed at the same time", () => {
    const waits = new Set([0, 0.25, 0.5, 0.75, 0.999].map((fraction) => backoffAfter(3, drawing(fraction))));
    assert.equal(waits.size, 5);
  });
});
