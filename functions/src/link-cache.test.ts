import assert from "node:assert/strict";
import { ManualClock } from "./adapters/memory/clock.js";
import { RecentLinks } from "./link-cache.js";

const MINUTE_MS = 60_000;
const ORDER = { name: "orders/1", id: "1" };
const SETTINGS = { MISSING_AFTER_MINUTES: 60 };

const numbered = (number: number) => ({ name: `orders/${number}`, id: String(number) });

describe("remembered links", () => {
  it("are found by stage and order", () => {
    const links = new RecentLinks(new ManualClock(), SETTINGS);
    links.remember("kitchen", ORDER, "kitchenorders/1");
    assert.equal(links.find("kitchen", ORDER), "kitchenorders/1");
    assert.equal(links.find("shipment", ORDER), undefined);
    assert.equal(links.find("kitchen", numbered(2)), undefined);
  });

  it("are not found after they were removed", () => {
    const links = new RecentLinks(new ManualClock(), SETTINGS);
    links.remember("kitchen", ORDER, "kitchenorders/1");
    links.forget("kitchen", ORDER);
    assert.equal(links.find("kitchen", ORDER), undefined);
  });

  it("are not found for another order with the same name", () => {
    const links = new RecentLinks(new ManualClock(), SETTINGS);
    links.remember("kitchen", { ...ORDER, placedAt: 1_000 }, "kitchenorders/1");
    assert.equal(links.find("kitchen", { ...ORDER, placedAt: 2_000 }), undefined);
    assert.equal(
      links.find("kitchen", { ...ORDER, placedAt: 1_000 }),
      undefined,
      "forgotten, since the name is in doubt",
    );
  });

  it("are valid for half an hour after they were read, however often they are used", () => {
    const clock = new ManualClock();
    const links = new RecentLinks(clock, SETTINGS);
    links.remember("kitchen", ORDER, "kitchenorders/1");
    for (let minute = 1; minute < 30; minute++) {
      clock.advance(MINUTE_MS);
      assert.equal(links.find("kitchen", ORDER), "kitchenorders/1", `after ${minute} minutes`);
    }
    clock.advance(MINUTE_MS);
    assert.equal(links.find("kitchen", ORDER), undefined);
  });

  it("are valid for half of MISSING_AFTER_MINUTES if that is less", () => {
    const clock = new ManualClock();
    const links = new RecentLinks(clock, { MISSING_AFTER_MINUTES: 10 });
    links.remember("kitchen", ORDER, "kitchenorders/1");
    clock.advance(5 * MINUTE_MS);
    assert.equal(links.find("kitchen", ORDER), undefined);
  });

  it("are limited in number, and the most recently used ones stay", () => {
    const links = new RecentLinks(new ManualClock(), SETTINGS, 100);
    for (let number = 1; number <= 1_000; number++) {
      links.remember("kitchen", numbered(number), `kitchenorders/${number}`);
      links.find("kitchen", numbered(1));
    }
    const found = Array.from({ length: 1_000 }, (_, index) => index + 1).filter(
      (number) => links.find("kitchen", numbered(number)) !== undefined,
    );
    assert.ok(found.length >= 50 && found.length <= 100, `${found.length} are left`);
    assert.deepEqual([found[0], found.at(-1)], [1, 1_000]);
  });
});
