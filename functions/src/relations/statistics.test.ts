import assert from "node:assert/strict";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { closingEntry, linkEntry } from "./history.js";
import { hoursIn, quantileOf, rollUpStatistics, STATISTICS_PATH } from "./statistics.js";

const ELEVEN = Date.parse("2026-01-01T11:00:00Z");
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

describe("hourly statistics", () => {
  let bed: TestBed;
  beforeEach(() => {
    bed = testBed();
    bed.clock.advance(ELEVEN - bed.clock.now());
  });

  /** An order that was new for 1 minute, in the kitchen for 10 and in flight for 5, and completed now. */
  async function complete(id: string): Promise<void> {
    const now = bed.clock.now();
    const at = (minutes: number) => new Date(now - minutes * MINUTE_MS);
    await bed.store.set(`relations/${id}`, {
      schema: 1,
      state: "DELIVERED",
      kitchen: `k/${id}`,
      shipment: `s/${id}`,
      placedAt: at(16),
      times: { PREPARATION: at(15), IN_FLIGHT: at(5), DELIVERED: at(0) },
    });
    await bed.store.memory.commit([
      linkEntry(`orders/${id}`, "kitchen", `k/${id}`, now - 15 * MINUTE_MS),
      linkEntry(`orders/${id}`, "shipment", `s/${id}`, now - 5 * MINUTE_MS),
      closingEntry(`orders/${id}`, "DELIVERED", now),
    ]);
  }

  const hours = async () => hoursIn((await bed.store.memory.read(STATISTICS_PATH))[0]);

  it("count each state and the time in each stage once an hour is over", async () => {
    bed.clock.advance(30 * MINUTE_MS);
    for (const id of ["1", "2", "3"]) await complete(id);
    bed.clock.advance(40 * MINUTE_MS);
    await rollUpStatistics(bed.ports);
    const { "2026-01-01T11": hour, ...others } = await hours();
    assert.deepEqual(others, {});
    assert.deepEqual(hour?.counts, {
      PREPARATION: 3,
      IN_FLIGHT: 3,
      DELIVERED: 3,
      REJECTED: 0,
      CANCELLED: 0,
      GONE: 0,
    });
    for (const [stage, minutes] of [
      ["NEW", 1],
      ["PREPARATION", 10],
      ["IN_FLIGHT", 5],
    ] as const) {
      const median = quantileOf(hour?.stages[stage] ?? {}, 0.5);
      assert.ok(Math.abs(median / (minutes * MINUTE_MS) - 1) <= 0.25, `${stage}: ${median} ms`);
    }
  });

  it("are written once an hour, however often the sweep runs", async () => {
    for (let minutes = 0; minutes < 180; minutes += 10) {
      await rollUpStatistics(bed.ports);
      bed.clock.advance(10 * MINUTE_MS);
    }
    assert.equal(bed.store.commits.length, 4, "the hour before it began, and three more");
    assert.deepEqual(Object.keys(await hours()).sort(), [
      "2026-01-01T09",
      "2026-01-01T10",
      "2026-01-01T11",
      "2026-01-01T12",
    ]);
  });

  it("catch up on hours without a sweep, and drop hours older than a week", async () => {
    await rollUpStatistics(bed.ports);
    bed.clock.advance(5 * HOUR_MS);
    await rollUpStatistics(bed.ports);
    assert.equal(Object.keys(await hours()).length, 6);
    bed.clock.advance(30 * 24 * HOUR_MS);
    await rollUpStatistics(bed.ports);
    assert.ok(Object.keys(await hours()).length <= 168);
  });

  it("are skipped if another sweep has counted the same hour", async () => {
    bed.store.hooks.once("commit", "before", () =>
      bed.store.memory.commit([{ kind: "create", path: STATISTICS_PATH, fields: { schema: 1, hours: {} } }]),
    );
    await rollUpStatistics(bed.ports);
    assert.deepEqual(await hours(), {});
  });
});

describe("a quantile", () => {
  it("is 0 without samples, and within the bin of a single sample", () => {
    assert.equal(quantileOf({}, 0.5), 0);
    assert.equal(quantileOf({ "0": 10 }, 0.5), 500);
  });

  it("rises with its share", () => {
    const bins = { "3": 10, "10": 80, "20": 10 };
    const values = [0.05, 0.5, 0.95].map((share) => quantileOf(bins, share));
    assert.deepEqual(
      values,
      values.toSorted((one, other) => one - other),
    );
  });
});
