import assert from "node:assert/strict";
import fc from "fast-check";
import { DueQueue } from "./due-queue.js";

describe("DueQueue", () => {
  it("returns due items by time, whatever the order of insertion, and none early", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20)), fc.nat(20), (moments, now) => {
        const queue = new DueQueue();
        const items = moments.map((at, number) => ({ at, number }));
        for (const item of items) queue.add(item);
        const given = [];
        for (let due = queue.take(now); due; due = queue.take(now)) given.push(due);
        const expected = items.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at || a.number - b.number);
        assert.deepEqual(given, expected);
        const rest = [];
        for (let due = queue.take(20); due; due = queue.take(20)) rest.push(due.at);
        assert.deepEqual(
          rest,
          moments.filter((at) => at > now).sort((a, b) => a - b),
        );
      }),
    );
  });
});
