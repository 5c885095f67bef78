import assert from "node:assert/strict";
import { StoreError } from "../domain/errors.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { closingEntry, linkEntry } from "./history.js";
import {
  hoursIn,
  mergeHistograms,
  quantileOf,
  rollUpStatistics,
  STATISTICS_PATH,
  sampleStages,
  samplesIn,
} from "./statistics.js";

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

describe("the hours that are due", () => {
  const hoursAfter = async (bed: TestBed) => {
    await rollUpStatistics(bed.ports);
    return Object.keys(hoursIn((await bed.store.memory.read(STATISTICS_PATH))[0])).sort();
  };
  const bedAt = (time: string) => {
    const bed = testBed();
    bed.clock.advance(Date.parse(time) - bed.clock.now());
    return bed;
  };

  it("are over for five minutes", async () => {
    const bed = bedAt("2026-01-01T12:04:59.999Z");
    assert.deepEqual(await hoursAfter(bed), ["2026-01-01T10"]);
    bed.clock.advance(1);
    assert.deepEqual(await hoursAfter(bed), ["2026-01-01T10", "2026-01-01T11"]);
    const commits = bed.store.commits.length;
    bed.clock.advance(HOUR_MS - 1);
    await hoursAfter(bed);
    assert.equal(bed.store.commits.length, commits, "nothing more is due for an hour");
  });

  it("are those since the newest one, and a week of them is stored", async () => {
    const bed = bedAt("2026-01-01T12:05:00Z");
    await hoursAfter(bed);
    bed.clock.advance(400 * HOUR_MS);
    const hours = await hoursAfter(bed);
    assert.equal(hours.length, 168);
    assert.equal(hours.at(-1), "2026-01-18T03");
    assert.equal(hours[0], "2026-01-11T04");
    bed.clock.advance(HOUR_MS);
    const next = await hoursAfter(bed);
    assert.deepEqual([next.length, next[0], next.at(-1)], [168, "2026-01-11T05", "2026-01-18T04"]);
  });

  it("have the arrivals that the poll counted", async () => {
    const bed = bedAt("2026-01-01T12:05:00Z");
    const point = (at: string, arrived: number) => ({
      at: new Date(at),
      NEW: 0,
      PREPARATION: 0,
      IN_FLIGHT: 0,
      arrived,
    });
    const points = [
      point("2026-01-01T10:50:00Z", 7),
      point("2026-01-01T11:00:00Z", 2),
      point("2026-01-01T11:50:00Z", 3),
    ];
    const active = { NEW: 0, PREPARATION: 0, IN_FLIGHT: 0 };
    const health = { at: new Date(0), tookMs: 0, active, failedPages: 0, waiting: [], points };
    await bed.store.set("leases/poll", { holder: "", step: 0, until: new Date(0), health });
    await rollUpStatistics(bed.ports);
    const hours = hoursIn((await bed.store.memory.read(STATISTICS_PATH))[0]);
    assert.equal(hours["2026-01-01T11"]?.arrived, 5);
  });

  it("are counted again by a later sweep if they can't be stored", async () => {
    const bed = bedAt("2026-01-01T12:05:00Z");
    bed.store.hooks.once("commit", "before", () => {
      throw new StoreError("down");
    });
    await assert.rejects(rollUpStatistics(bed.ports), StoreError);
    assert.deepEqual(await hoursAfter(bed), ["2026-01-01T11"]);
  });

  it("are refused in a document of a newer build", () => {
    const of = (fields: object) => () => hoursIn({ path: STATISTICS_PATH, version: "1", fields: fields as never });
    assert.throws(of({ schema: 2, hours: {} }), /not a statistics document/);
    const hour = (more: object) => ({
      schema: 1,
      hours: { "2026-01-01T11": { arrived: 1, counts: { GONE: 1 }, stages: {}, ...more } },
    });
    assert.deepEqual(of(hour({}))()["2026-01-01T11"]?.stages.NEW, {}, "an older build had no histogram");
    assert.doesNotThrow(of(hour({ stages: { NEW: { "0": 0 } } })));
    for (const wrong of [
      { arrived: "1" },
      { counts: { EATEN: 1 } },
      { counts: { GONE: "1" } },
      { stages: { NEW: { "0": -1 } } },
      { stages: { NEW: { "0": 0.5 } } },
    ]) {
      assert.throws(of(hour(wrong)), /not a statistics document/, JSON.stringify(wrong));
    }
    assert.deepEqual(hoursIn(undefined), {});
  });
});

describe("the time in each stage", () => {
  const HOUR = "2026-01-01T11";

  /** An order that completed at eleven, with these times in seconds before. */
  async function completed(
    bed: TestBed,
    id: string,
    seconds: [number, number, number],
    fields: object = {},
  ): Promise<void> {
    const at = (before: number) => new Date(ELEVEN - before * 1_000);
    const [placed, prepared, sent] = seconds;
    const times = { PREPARATION: at(prepared), IN_FLIGHT: at(sent), DELIVERED: at(0) };
    const links = { kitchen: `k/${id}`, shipment: `s/${id}` };
    await bed.store.set(`relations/${id}`, {
      schema: 1,
      state: "DELIVERED",
      ...links,
      placedAt: at(placed),
      times,
      ...fields,
    });
    await bed.store.memory.commit([closingEntry(`orders/${id}`, "DELIVERED", ELEVEN)]);
  }

  it("falls into bins that grow by a quarter", async () => {
    const bed = testBed();
    await completed(bed, "1", [0, 0, 0]);
    await completed(bed, "2", [3.5, 2.5, 1.25]);
    await completed(bed, "3", [3.812, 2.812, 1.562]);
    await completed(bed, "4", [5, 3.999, 1.251]);
    const { NEW, PREPARATION, IN_FLIGHT } = await sampleStages(HOUR, bed.ports.store);
    assert.deepEqual(NEW, { "0": 3, "1": 1 });
    assert.deepEqual(PREPARATION, { "0": 1, "1": 2, "5": 1 });
    assert.deepEqual(IN_FLIGHT, { "0": 1, "1": 1, "2": 2 });
  });

  it("leaves out what clocks make negative, what is open, and relations that can't be read or are gone", async () => {
    const bed = testBed();
    await completed(bed, "1", [5, 6, 2]);
    await completed(bed, "2", [9, 6, 2], { state: "IN_FLIGHT" });
    await completed(bed, "3", [9, 6, 2], { schema: 2 });
    await bed.store.memory.commit([closingEntry("orders/4", "REJECTED", ELEVEN)]);
    const { NEW, PREPARATION, IN_FLIGHT } = await sampleStages(HOUR, bed.ports.store);
    assert.deepEqual([samplesIn(NEW), samplesIn(PREPARATION), samplesIn(IN_FLIGHT)], [1, 2, 1]);
  });

  it("is taken from a hundred orders of the hour", async () => {
    const bed = testBed();
    for (let id = 0; id < 130; id++) await completed(bed, String(id), [3, 2, 1]);
    const stages = await sampleStages(HOUR, bed.ports.store);
    assert.equal(samplesIn(stages.NEW), 100);
    assert.equal(samplesIn((await sampleStages("2026-01-01T12", bed.ports.store)).NEW), 0);
  });
});

describe("an hour in which no order ended", () => {
  it("has no times in its stages, and no relation is read for them", async () => {
    const bed = testBed();
    bed.store.hooks.once("read", "before", () => assert.fail("reads no document: Firestore rejects an empty list"));
    const stages = await sampleStages("2026-01-01T11", bed.ports.store);
    assert.deepEqual(stages, { NEW: {}, PREPARATION: {}, IN_FLIGHT: {} });
  });
});

describe("histograms", () => {
  it("are added bin by bin", () => {
    assert.deepEqual(mergeHistograms([{ "0": 1, "3": 2 }, { "3": 4 }, {}]), { "0": 1, "3": 6 });
    assert.equal(samplesIn({ "0": 1, "3": 6 }), 7);
  });

  for (const [bins, share, value] of [
    [{ "1": 4 }, 1, 1_250],
    [{ "1": 4 }, 0.5, 1_125],
    [{ "0": 5, "2": 5 }, 0.5, 1_000],
    [{ "0": 5, "2": 5 }, 0.75, 1_406],
    [{ "10": 1, "2": 1 }, 0.5, 1_563],
  ] as const) {
    it(`have the quantile ${value} at ${share} of ${JSON.stringify(bins)}`, () =>
      assert.equal(quantileOf(bins, share), value));
  }
});
