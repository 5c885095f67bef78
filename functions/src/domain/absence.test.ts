import assert from "node:assert/strict";
import { type Absence, countLook, isLargeShare } from "./absence.js";

const NOW = Date.UTC(2026, 0, 1);
const WINDOW_MS = 600_000;
const ago = (milliseconds: number) => new Date(NOW - milliseconds);
const looked = (looks: number, last: number, since = last): Absence => ({ looks, last: ago(last), since: ago(since) });

describe("a look that finds nothing", () => {
  it("is counted if it is the first, and not believed", () => {
    const absence = { since: new Date(NOW), last: new Date(NOW), looks: 1 };
    assert.deepEqual(countLook(undefined, NOW, WINDOW_MS), { absence, isBelieved: false });
    assert.deepEqual(countLook(undefined, NOW, 0), { absence, isBelieved: false });
  });

  it("is not counted within half of the time after the one before", () => {
    for (const looks of [1, 2]) {
      const result = countLook(looked(looks, WINDOW_MS / 2 - 1, WINDOW_MS), NOW, WINDOW_MS);
      assert.deepEqual(result, { absence: undefined, isBelieved: false });
    }
  });

  it("is counted from then on, and believed if it is the third", () => {
    const second = countLook(looked(1, WINDOW_MS / 2), NOW, WINDOW_MS);
    assert.deepEqual(second, {
      absence: { since: ago(WINDOW_MS / 2), last: new Date(NOW), looks: 2 },
      isBelieved: false,
    });
    const third = countLook(looked(2, WINDOW_MS / 2, WINDOW_MS), NOW, WINDOW_MS);
    assert.deepEqual(third, { absence: { since: ago(WINDOW_MS), last: new Date(NOW), looks: 3 }, isBelieved: true });
  });

  it("is believed and no longer counted after the third", () => {
    for (const looks of [3, 4])
      assert.deepEqual(countLook(looked(looks, 0), NOW, WINDOW_MS), { absence: undefined, isBelieved: true });
  });
});

describe("a large share of the open orders", () => {
  for (const [missing, open, isLarge] of [
    [0, 0, false],
    [1, 1, false],
    [1, 100, false],
    [2, 2, true],
    [2, 9, true],
    [2, 10, false],
    [20, 100, false],
    [21, 100, true],
  ] as const) {
    it(`is ${isLarge ? "" : "not "}${missing} of ${open}`, () => assert.equal(isLargeShare(missing, open), isLarge));
  }
});
