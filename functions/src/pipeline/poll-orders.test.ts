import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { FoodServiceModel } from "../../../services/food-service/model/food-service-model.js";
import { seededRandomness } from "../adapters/memory/random.js";
import { BusError, callError, StoreError, ValidationError } from "../domain/errors.js";
import { ACTIVE_STATUSES, type ActiveStatus, type OrderStatus, STAGES } from "../domain/order-lifecycle.js";
import type { FoodService, Order, OrderPage } from "../ports.js";
import type { Settings } from "../settings.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { continuePoll, pollOrders } from "./poll-orders.js";

const LEASE = "leases/poll";

type Listing = Parameters<FoodService["listOrders"]>[0];

/** A bed whose food service answers each listing as given, and records the requests. */
function bedListing(answer: (listing: Listing) => OrderPage | Promise<OrderPage>, settings: Partial<Settings> = {}) {
  const bed = testBed(settings);
  const listings: Listing[] = [];
  bed.food.listOrders = async (listing) => {
    listings.push(listing);
    return answer(listing);
  };
  return { ...bed, listings };
}

function order(name: string, status: OrderStatus = "NEW"): Order {
  return { name, status, customerId: "krithik" };
}

/** Pages of a status with tokens "1", "2", … in between. */
function pages(status: ActiveStatus, ...names: string[][]) {
  return ({ status: asked, pageToken }: Listing): OrderPage => {
    if (asked !== status) return { orders: [], nextPageToken: "" };
    const page = Number(pageToken || "0");
    const orders = (names[page] ?? []).map((name) => order(name, status));
    return { orders, nextPageToken: page + 1 < names.length ? String(page + 1) : "" };
  };
}

const publishedIn = ({ published }: Pick<TestBed, "published">) => published.map(({ message }) => message.order);

describe("the poll", () => {
  it("publishes each order to the topic of its stage, page by page", async () => {
    const bed = testBed({ POLL_PAGE_SIZE: 2 });
    const model = new FoodServiceModel({ clock: bed.clock, random: seededRandomness(3) });
    bed.ports.food = model;
    const expected: { stage: string; message: { order: string; status: string } }[] = [];
    for (const [stage, { takes: status }] of Object.entries(STAGES)) {
      for (let count = 0; count < 5; count++) {
        const { name } = model.placeOrder("krithik");
        if (status !== "NEW") await model.updateOrder(name, status);
        expected.push({ stage, message: { order: name, status } });
      }
    }
    for (const status of ["DELIVERED", "REJECTED"] as const) {
      await model.updateOrder(model.placeOrder("krithik").name, status);
    }
    model.cancelOrder(model.placeOrder("krithik").name);

    const result = await pollOrders(bed.ports);
    assert.deepEqual(result, { outcome: "completed", published: 15, unusable: 0, failedPages: 0 });
    const sorted = (published: object[]) => published.map((one) => JSON.stringify(one)).sort();
    assert.deepEqual(sorted(bed.published), sorted(expected));
  });

  it("requests each active status with its page size and the previous page's token, and no other status", async () => {
    const bed = bedListing(pages("PREPARATION", ["orders/1"], ["orders/2"], ["orders/3"]), { POLL_PAGE_SIZE: 7 });
    await pollOrders(bed.ports);
    assert.deepEqual(
      bed.listings.map(({ status, pageSize, pageToken }) => `${status} ${pageSize} ${pageToken}`).sort(),
      ["IN_FLIGHT 7 ", "NEW 7 ", "PREPARATION 7 ", "PREPARATION 7 1", "PREPARATION 7 2"],
    );
  });

  it("continues after an empty page, which need not be the last", async () => {
    const bed = bedListing(pages("NEW", [], [], ["orders/1"]));
    await pollOrders(bed.ports);
    assert.deepEqual(publishedIn(bed), ["orders/1"]);
  });

  it("publishes the earlier pages and the other statuses if a page fails", async () => {
    const list = (listing: Listing) => {
      if (listing.status !== "NEW") return pages(listing.status, [`orders/${listing.status}`])(listing);
      if (listing.pageToken === "2") throw callError("UNAVAILABLE", "down", true);
      return pages("NEW", ["orders/1"], ["orders/2"], ["orders/3"])(listing);
    };
    const bed = bedListing(list);
    const result = await pollOrders(bed.ports);
    assert.deepEqual(publishedIn(bed).sort(), ["orders/1", "orders/2", "orders/IN_FLIGHT", "orders/PREPARATION"]);
    assert.deepEqual(result, { outcome: "completed", published: 4, unusable: 0, failedPages: 1 });
    const line = bed.lines.find(({ level }) => level === "error");
    assert.deepEqual(line?.fields, {
      component: "poll",
      outcome: "failed",
      problems: ["NEW: UNAVAILABLE down"],
    });
  });

  it("logs the problems and releases the lease if every page fails", async () => {
    const bed = bedListing(() => {
      throw callError("DEADLINE_EXCEEDED", "slow", true);
    });
    assert.equal((await pollOrders(bed.ports)).failedPages, 3);
    assert.equal((await pollOrders(bed.ports)).outcome, "completed");
  });

  for (const [what, tokens] of [
    ["the same page token again", ["a", "a"]],
    ["page tokens in a circle", ["a", "b", "c", "a"]],
  ] as const) {
    it(`ends if the food service returns ${what}`, async () => {
      let given = 0;
      const bed = bedListing(({ status }) => {
        if (status !== "NEW") return { orders: [], nextPageToken: "" };
        assert.ok(given < 10, "it goes round");
        return { orders: [order(`orders/${given}`)], nextPageToken: tokens[given++ % tokens.length] ?? "" };
      });
      const result = await pollOrders(bed.ports);
      assert.equal(result.published, tokens.length);
      assert.equal(result.failedPages, 1);
      assert.ok(
        bed.listings.some(({ status }) => status === "IN_FLIGHT"),
        "the other statuses are listed",
      );
    });
  }

  it("counts orders with an unusable name, parks each for an operator, and never publishes them", async () => {
    const bad = ["", "7f3c", "orders/", "orders/a/b", "kitchenorders/1", "orders/__x__", `orders/${"x".repeat(5_000)}`];
    const bed = bedListing(pages("NEW", ["orders/good", ...bad, "orders/better"]));
    const result = await pollOrders(bed.ports);
    assert.deepEqual(result, { outcome: "completed", published: 2, unusable: bad.length, failedPages: 0 });
    assert.deepEqual(publishedIn(bed), ["orders/good", "orders/better"]);
    const warnings = bed.lines.filter(({ level }) => level === "warn");
    assert.equal(warnings.length, 1, "one line for all of them");
    assert.ok(JSON.stringify(warnings).length < 1_000, "short enough for a log");
    const parked = bed.store.memory.all("attempts").map(({ fields }) => fields);
    assert.equal(parked.length, bad.length);
    for (const { state, reason } of parked) {
      assert.deepEqual([state, (reason as { code: string }).code], ["PARKED", "UNUSABLE_NAME"]);
    }
    const writes = bed.store.writes.length;
    await pollOrders(bed.ports);
    assert.equal(bed.store.writes.length, writes + 2, "the next poll writes its lease, and parks nothing again");
  });

  for (const foreign of ["UNKNOWN", "DELIVERED", "REJECTED", "CANCELLED"] as const) {
    it(`never publishes an order that is ${foreign}, although it was listed as active`, async () => {
      const bed = bedListing(({ status }) => ({
        orders: status === "NEW" ? [order("orders/1"), order("orders/2", foreign)] : [],
        nextPageToken: "",
      }));
      const result = await pollOrders(bed.ports);
      assert.deepEqual([result.published, result.unusable], [1, 1]);
      assert.deepEqual(publishedIn(bed), ["orders/1"]);
    });
  }

  it("publishes each order once and logs one line when the food service ignores the status filter", async () => {
    const all = [...ACTIVE_STATUSES, "CANCELLED", "DELIVERED"] as const;
    const orders = all.flatMap((status) => [1, 2, 3].map((count) => order(`orders/${status}-${count}`, status)));
    const bed = bedListing(() => ({ orders, nextPageToken: "" }));
    const result = await pollOrders(bed.ports);
    assert.equal(result.published, 9);
    assert.equal(new Set(publishedIn(bed)).size, 9);
    const problems = bed.lines.filter(({ level }) => level === "warn" || level === "error");
    assert.equal(problems.length, 1);
    assert.match(problems[0]?.message ?? "", /ignores status_filter/);
  });

  for (const [what, page] of [
    ["empty pages", () => []],
    ["the same orders", () => [order("orders/1")]],
    ["orders without a usable name", (count: number) => [order(`pizza/${count % 7}`)]],
  ] as const) {
    it(`ends an endless list with only ${what}, and starves no other status`, async () => {
      let given = 0;
      const bed = bedListing(({ status }) => {
        if (status !== "NEW") return { orders: [order(`orders/${status}`, status)], nextPageToken: "" };
        given++;
        assert.ok(given < 1_000, "it never ends");
        return { orders: [...page(given)], nextPageToken: String(given) };
      });
      const result = await pollOrders(bed.ports);
      assert.deepEqual([result.outcome, result.failedPages], ["completed", 1]);
      const others = publishedIn(bed).filter((name) => name !== "orders/1");
      assert.deepEqual(others.sort(), ["orders/IN_FLIGHT", "orders/PREPARATION"]);
      const problems = bed.lines.filter(({ level }) => level === "error");
      assert.match(problems.map(({ message }) => message).join(), /NEW: ENDLESS_LIST/);
    });
  }

  for (const code of ["RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "INVALID_ARGUMENT"]) {
    it(`requests smaller pages when one can't be read (${code}), keeps that size, and names the param to change`, async () => {
      const names = Array.from({ length: 60 }, (_, count) => `orders/${count}`);
      const bed = bedListing(({ status, pageSize, pageToken }) => {
        if (status !== "PREPARATION") return { orders: [], nextPageToken: "" };
        if (pageSize > 20) throw callError(code, "Received message larger than max (9000000 vs 4194304)", true);
        const from = Number(pageToken || "0");
        const orders = names.slice(from, from + pageSize).map((name) => order(name, "PREPARATION"));
        return { orders, nextPageToken: from + pageSize < names.length ? String(from + pageSize) : "" };
      });
      const result = await pollOrders(bed.ports);
      assert.deepEqual([result.published, result.failedPages], [60, 0]);
      const tooLarge = bed.listings.filter(({ pageSize }) => pageSize > 20 && pageSize < 500);
      assert.ok(tooLarge.length <= 2, "the size that works is reused");
      const problems = bed.lines.filter(({ level }) => level === "warn");
      assert.equal(problems.length, 1);
      assert.match(problems[0]?.message ?? "", /lower POLL_PAGE_SIZE/);
    });
  }

  it("gives up on a status that can't be read at any size, and lists the others", async () => {
    const bed = bedListing(({ status }) => {
      if (status === "NEW") throw callError("RESOURCE_EXHAUSTED", "too large", true);
      return { orders: [order(`orders/${status}`, status)], nextPageToken: "" };
    });
    const result = await pollOrders(bed.ports);
    assert.deepEqual([result.published, result.failedPages], [2, 1]);
    assert.ok(bed.listings.length <= 10, `${bed.listings.length} lists`);
  });

  it("lists the other statuses again at each tick while one takes many runs", async () => {
    const bed = bedListing(({ status, pageToken }) => {
      if (status !== "NEW") return { orders: [order(`orders/${status}`, status)], nextPageToken: "" };
      bed.clock.advance(9_000);
      return { orders: [order(`orders/${pageToken || "0"}`)], nextPageToken: String(Number(pageToken || "0") + 1) };
    });
    const started = bed.clock.now();
    await pollOrders(bed.ports);
    while (bed.clock.now() < started + 600_000) {
      const next = bed.continuations.shift() ?? assert.fail("it ended");
      await continuePoll(JSON.parse(JSON.stringify(next)), bed.ports);
    }
    const times = publishedIn(bed).filter((name) => name === "orders/IN_FLIGHT").length;
    assert.ok(times >= 6 && times <= 11, `${times} times in ten minutes`);
  });

  it("publishes an order by its own status, not by the list that shows it", async () => {
    const bed = bedListing(({ status }) => ({
      orders: status === "NEW" ? [order("orders/1", "IN_FLIGHT"), order("orders/2")] : [],
      nextPageToken: "",
    }));
    await pollOrders(bed.ports);
    assert.deepEqual(bed.published.map(({ stage, message }) => [stage, message.order, message.status]).sort(), [
      ["completion", "orders/1", "IN_FLIGHT"],
      ["kitchen", "orders/2", "NEW"],
    ]);
  });

  it("publishes an order that advances during the pass to both stages: either may be the one that is due", async () => {
    const bed = bedListing(({ status }) => ({
      orders: status === "IN_FLIGHT" ? [] : [order("orders/1", status)],
      nextPageToken: "",
    }));
    await pollOrders(bed.ports);
    assert.deepEqual(bed.published.map(({ stage }) => stage).sort(), ["kitchen", "shipment"]);
  });

  it("continues with the next page and the other statuses if a page can't be published", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"], ["orders/2"], ["orders/3"]));
    bed.bus.once("publishOrders", "before", () => {
      bed.bus.once("publishOrders", "before", () => {
        throw new BusError("no topic");
      });
    });
    const result = await pollOrders(bed.ports);
    assert.deepEqual(publishedIn(bed), ["orders/1", "orders/3"]);
    assert.deepEqual(result, { outcome: "completed", published: 2, unusable: 0, failedPages: 1 });
    assert.ok(bed.lines.some(({ level, message }) => level === "error" && message.includes("failed to publish")));
  });

  it("returns only when everything is published", async () => {
    const bed = bedListing(pages("IN_FLIGHT", ["orders/1"], ["orders/2"]));
    let under = 0;
    const publish = bed.ports.bus.publishOrders;
    bed.ports.bus.publishOrders = async (...given) => {
      under++;
      await new Promise((resolve) => setImmediate(resolve));
      await publish(...given);
      under--;
    };
    await pollOrders(bed.ports);
    assert.deepEqual([under, publishedIn(bed)], [0, ["orders/1", "orders/2"]]);
  });

  it("returns only when everything is published, even if the last page fails", async () => {
    const bed = bedListing((listing) => {
      if (listing.pageToken === "1") throw callError("INTERNAL", "broken", true);
      return pages("IN_FLIGHT", ["orders/1"], ["orders/2"])(listing);
    });
    const publish = bed.ports.bus.publishOrders;
    bed.ports.bus.publishOrders = async (...given) => {
      await new Promise((resolve) => setImmediate(resolve));
      await publish(...given);
    };
    await pollOrders(bed.ports);
    assert.deepEqual(publishedIn(bed), ["orders/1"]);
  });

  it("publishes ten thousand orders, each once", async () => {
    const bed = testBed();
    const model = new FoodServiceModel({ clock: bed.clock, random: seededRandomness(5) });
    bed.ports.food = model;
    const names = new Set<string>();
    for (let count = 0; count < 10_000; count++) {
      const { name } = model.placeOrder("krithik");
      names.add(name);
      const status = ACTIVE_STATUSES[count % 3] ?? "NEW";
      if (status !== "NEW") await model.updateOrder(name, status);
    }
    const result = await pollOrders(bed.ports);
    assert.deepEqual(result, { outcome: "completed", published: 10_000, unusable: 0, failedPages: 0 });
    assert.deepEqual(new Set(publishedIn(bed)), names);
    assert.equal(bed.published.length, 10_000);
  });
});

describe("the poll's passes", () => {
  for (const passes of [1, 2, 4, 12]) {
    it(`are evenly spaced if there are ${passes}`, async () => {
      const starts: number[] = [];
      const bed = bedListing(
        ({ status }) => {
          if (status === "NEW") starts.push(bed.clock.now());
          return { orders: [], nextPageToken: "" };
        },
        { POLL_PASSES: passes },
      );
      const begin = bed.clock.now();
      await pollOrders(bed.ports);
      assert.deepEqual(
        starts.map((start) => start - begin),
        Array.from({ length: passes }, (_, pass) => (pass * 60_000) / passes),
      );
    });
  }

  it("keep their schedule if one takes long, and never overlap", async () => {
    const starts: number[] = [];
    const bed = bedListing(
      ({ status }) => {
        if (status === "NEW") {
          starts.push(bed.clock.now());
          if (starts.length === 1) bed.clock.advance(20_000);
        }
        return { orders: [], nextPageToken: "" };
      },
      { POLL_PASSES: 4 },
    );
    const begin = bed.clock.now();
    await pollOrders(bed.ports);
    assert.deepEqual(
      starts.map((start) => start - begin),
      [0, 20_000, 30_000, 45_000],
    );
  });

  it("are skipped if their time has passed, and wait for their time otherwise", async () => {
    let passes = 0;
    let isWaiting = false;
    const bed = bedListing(
      ({ status }) => {
        assert.ok(!isWaiting, "it still waits");
        if (status === "NEW" && ++passes === 1) bed.clock.advance(20_000);
        return { orders: [], nextPageToken: "" };
      },
      { POLL_PASSES: 12 },
    );
    const waits: number[] = [];
    bed.ports.clock.sleep = async (ms) => {
      isWaiting = true;
      for (let turns = 0; turns < 50; turns++) await turn();
      isWaiting = false;
      waits.push(ms);
      bed.clock.advance(ms);
    };
    await pollOrders(bed.ports);
    // The time of those at 5, 10 and 15 s has passed.
    assert.deepEqual([passes, waits], [9, [0, 0, ...Array.from({ length: 7 }, () => 5_000)]]);
  });

  it("mistake different orders for published ones: each has a filter with another seed", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"]), { POLL_PASSES: 3 });
    let seeds = 0;
    bed.ports.random = { ...bed.ports.random, fraction: () => ++seeds / 10 };
    await pollOrders(bed.ports);
    assert.equal(seeds, 3);
  });

  it("add up to one result", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"]), { POLL_PASSES: 3 });
    assert.equal((await pollOrders(bed.ports)).published, 3);
  });
});

describe("the poll's lease", () => {
  it("prevents a concurrent run, and is released at the end", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"]));
    let concurrent: unknown;
    bed.bus.once("publishOrders", "before", async () => {
      concurrent = await pollOrders(bed.ports);
    });
    assert.equal((await pollOrders(bed.ports)).published, 1);
    assert.deepEqual(concurrent, { outcome: "skipped", published: 0, unusable: 0, failedPages: 0 });
    assert.equal((await pollOrders(bed.ports)).published, 1);
  });

  it("expires before the tick after the next if its run crashed", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"]));
    await bed.store.set(LEASE, { holder: "dead", step: 0, until: new Date(bed.clock.now() + 50_000) });
    assert.equal((await pollOrders(bed.ports)).outcome, "skipped");
    bed.clock.advance(60_000);
    assert.equal((await pollOrders(bed.ports)).published, 1);
  });

  it("lasts as long as the slowest run, until the last page of the last pass is published", async () => {
    const bed = bedListing(
      async () => {
        bed.clock.advance(10_000);
        const { until } = (await bed.store.fields(LEASE)) as { until: Date };
        assert.ok(until.getTime() > bed.clock.now(), "listing on without a lease");
        return { orders: [order(`orders/${bed.clock.now()}`)], nextPageToken: String(bed.clock.now()) };
      },
      { POLL_PASSES: 12 },
    );
    bed.bus.once("publishContinuation", "before", async () => {
      const { until } = (await bed.store.fields(LEASE)) as { until: Date };
      assert.ok(until.getTime() > bed.clock.now(), "handing over without a lease");
    });
    assert.equal((await pollOrders(bed.ports)).outcome, "continued");
  });

  it("lasts as long as a run in which every pass takes nearly all of its time", async () => {
    const settings = { POLL_PASSES: 12 };
    const bed = bedListing(async () => {
      bed.clock.advance(9_900);
      const { until } = (await bed.store.fields(LEASE)) as { until: Date };
      assert.ok(until.getTime() > bed.clock.now(), "listing on without a lease");
      return { orders: [], nextPageToken: "" };
    }, settings);
    const started = bed.clock.now();
    await pollOrders(bed.ports);
    assert.equal(bed.lines.filter(({ level }) => level === "error").length, 0, "no page was listed without a lease");
    assert.ok(bed.clock.now() - started < 180_000, "and the function's own time was enough");
  });

  it("stops the poll if it can't be read, and says what to do", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"]));
    await bed.store.set(LEASE, { holder: "a" });
    await assert.rejects(pollOrders(bed.ports), ValidationError);
    assert.deepEqual(bed.listings, []);
  });

  it("fails the run before anything is listed if the store is unavailable", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"]));
    bed.store.hooks.once("read", "before", () => {
      throw new StoreError("no answer");
    });
    await assert.rejects(pollOrders(bed.ports), StoreError);
    assert.deepEqual(bed.listings, []);
  });

  it("is not released by a run that lost it to another", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"]));
    const others = { holder: "other", step: 0, until: new Date(bed.clock.now() + 50_000) };
    bed.bus.once("publishOrders", "after", () => bed.store.set(LEASE, others));
    await pollOrders(bed.ports);
    assert.deepEqual(await bed.store.fields(LEASE), others);
  });
});

describe("a poll that runs out of time", () => {
  /** Every page takes so long that about three fit into one run. */
  function slowBed(names: string[][], settings: Partial<Settings> = {}) {
    const bed = bedListing((listing) => {
      bed.clock.advance(10_000);
      const inFlight = pages("IN_FLIGHT", ["orders/last"]);
      return listing.status === "IN_FLIGHT" ? inFlight(listing) : pages("NEW", ...names)(listing);
    }, settings);
    return bed;
  }
  const names = Array.from({ length: 8 }, (_, page) => [`orders/${page}`]);

  it("publishes its position, and other runs continue to the end without delaying a short status", async () => {
    const bed = slowBed(names);
    const started = bed.clock.now();
    const first = await pollOrders(bed.ports);
    assert.deepEqual([first.outcome, first.published], ["continued", 2], "each status has had its share");
    let runs = 0;
    for (let next = bed.continuations.shift(); next; next = bed.continuations.shift()) {
      assert.ok(++runs < 10, "it never ends");
      assert.equal((await pollOrders(bed.ports)).outcome, "skipped", "the lease is held in between");
      await continuePoll(JSON.parse(JSON.stringify(next)), bed.ports);
    }
    const published = publishedIn(bed);
    assert.deepEqual(
      published.filter((name) => name !== "orders/last"),
      names.flat(),
    );
    const [listed, duringTicks] = [published.length - names.length, Math.ceil((bed.clock.now() - started) / 60_000)];
    assert.ok(listed >= 1 && listed <= duringTicks + 1, `a short status is listed again at each tick: ${listed}`);
    assert.ok(runs >= 3);
    assert.equal((await pollOrders(bed.ports)).outcome, "continued", "the lease is free at the end");
  });

  it("continues with the page and the statuses that are left", async () => {
    const bed = slowBed(names);
    await pollOrders(bed.ports);
    const [next] = bed.continuations;
    assert.deepEqual([next?.statuses, next?.pageToken, next?.step], [["NEW"], "1", 0]);
    assert.deepEqual(next?.positions, [{ status: "NEW", pageToken: "1", pageSize: 500, pages: 1 }]);
  });

  it("begins no other pass: its continuation has the lease", async () => {
    const bed = slowBed(names, { POLL_PASSES: 2 });
    assert.equal((await pollOrders(bed.ports)).outcome, "continued");
    assert.equal(bed.continuations.length, 1);
    const firstPages = bed.listings.filter(({ status, pageToken }) => status === "NEW" && pageToken === "");
    assert.equal(firstPages.length, 1);
  });

  it("does nothing for a continuation that is delivered twice", async () => {
    const bed = slowBed(names);
    await pollOrders(bed.ports);
    const [next] = bed.continuations;
    await continuePoll(next, bed.ports);
    const published = bed.published.length;
    const doubled = await continuePoll(next, bed.ports);
    assert.equal(doubled.outcome, "skipped");
    assert.equal(bed.published.length, published);
    assert.equal(bed.continuations.length, 2, "and continues only once");
  });

  it("does nothing for a continuation whose lease another run holds", async () => {
    const bed = slowBed(names);
    await pollOrders(bed.ports);
    const [next] = bed.continuations;
    bed.clock.advance(120_000);
    await pollOrders(bed.ports);
    const published = bed.published.length;
    assert.equal((await continuePoll(next, bed.ports)).outcome, "skipped");
    assert.equal(bed.published.length, published);
  });

  it("is followed by a later tick if its continuation is lost", async () => {
    const bed = slowBed(names);
    await pollOrders(bed.ports);
    bed.continuations.length = 0;
    bed.clock.advance(60_000);
    assert.equal((await pollOrders(bed.ports)).outcome, "continued");
  });

  it("fails if the continuation can't be published", async () => {
    const bed = slowBed(names);
    bed.bus.once("publishContinuation", "before", () => {
      throw new BusError("no topic");
    });
    await assert.rejects(pollOrders(bed.ports), BusError);
    assert.equal(bed.published.length, 2, "what was listed is published all the same");
    bed.clock.advance(60_000);
    assert.equal((await pollOrders(bed.ports)).outcome, "continued");
  });

  it("rejects an invalid continuation, and leaves the lease unchanged", async () => {
    const bed = slowBed(names);
    await assert.rejects(continuePoll({ holder: "a" }, bed.ports), ValidationError);
    await assert.rejects(continuePoll(undefined, bed.ports), ValidationError);
    assert.equal(await bed.store.fields(LEASE), undefined);
  });
});

describe("what the poll logs", () => {
  const problemsOf = (bed: Pick<TestBed, "lines">) => bed.lines.find(({ fields }) => "problems" in fields);

  it("is one line if all went well, with what it did", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"], ["orders/2"]));
    const result = await pollOrders(bed.ports);
    assert.deepEqual(result, { outcome: "completed", published: 2, unusable: 0, failedPages: 0 });
    const [line, ...others] = bed.lines;
    assert.deepEqual(others, []);
    assert.deepEqual([line?.level, line?.message], ["info", "Poll completed"]);
    assert.deepEqual(line?.fields, { component: "poll", ...result });
  });

  it("is a warning if it was skipped", async () => {
    const bed = bedListing(pages("NEW", ["orders/1"]));
    await bed.store.set(LEASE, { holder: "other", step: 0, until: new Date(bed.clock.now() + 1) });
    const result = await pollOrders(bed.ports);
    assert.deepEqual(result, { outcome: "skipped", published: 0, unusable: 0, failedPages: 0 });
    assert.deepEqual([bed.lines[0]?.level, bed.lines[0]?.fields], ["warn", { component: "poll", ...result }]);
    assert.deepEqual(bed.listings, []);
  });

  it("is an error if orders may be missing, a warning if not, and says what is wrong with which status", async () => {
    const bed = bedListing(({ status, pageSize }) => {
      if (status === "NEW") throw callError("UNAVAILABLE", "down", true);
      if (status === "PREPARATION" && pageSize > 200) throw callError("INTERNAL", "too large", true);
      return { orders: [], nextPageToken: "" };
    });
    assert.equal((await pollOrders(bed.ports)).failedPages, 1);
    const failed = problemsOf(bed);
    const problems = failed?.fields.problems as string[];
    assert.deepEqual([failed?.level, failed?.fields.component, failed?.fields.outcome], ["error", "poll", "failed"]);
    assert.equal(problems[0], "NEW: UNAVAILABLE down");
    assert.match(
      problems[1] ?? "",
      /^PREPARATION: INTERNAL a page of 500 orders .*too large.*lower POLL_PAGE_SIZE to 125/,
    );
    assert.match(failed?.message ?? "", /^Poll met problems: NEW: UNAVAILABLE down; PREPARATION: /);

    const slow = bedListing(({ pageSize }) => {
      if (pageSize > 200) throw callError("INTERNAL", "too large", true);
      return { orders: [], nextPageToken: "" };
    });
    assert.equal((await pollOrders(slow.ports)).failedPages, 0);
    assert.deepEqual([problemsOf(slow)?.level, problemsOf(slow)?.fields.outcome], ["warn", "degraded"]);
  });

  it("counts orders that are not active, with an example", async () => {
    const bed = bedListing(({ status }) => {
      const orders =
        status === "NEW" ? [order("orders/1"), order("orders/2", "CANCELLED"), order("orders/3", "UNKNOWN")] : [];
      return { orders, nextPageToken: "" };
    });
    const result = await pollOrders(bed.ports);
    assert.deepEqual([result.unusable, result.published, result.failedPages], [2, 1, 0]);
    const [problem = ""] = (problemsOf(bed)?.fields.problems as string[] | undefined) ?? [];
    assert.match(
      problem,
      /^2 listed orders are not active \("orders\/2" is CANCELLED and listed as NEW\): the food service/,
    );
  });

  it("shows a single order that is not active", async () => {
    const bed = bedListing(({ status }) => ({
      orders: status === "NEW" ? [order("orders/2", "CANCELLED")] : [],
      nextPageToken: "",
    }));
    await pollOrders(bed.ports);
    const [problem = ""] = (problemsOf(bed)?.fields.problems as string[] | undefined) ?? [];
    assert.match(problem, /^1 listed orders are not active \("orders\/2" is CANCELLED/);
  });

  it("counts all names that can't be stored, of which the first twenty are parked", async () => {
    const names = Array.from({ length: 25 }, (_, index) => `orders/a/${index}`);
    const bed = bedListing(pages("NEW", names));
    assert.deepEqual([(await pollOrders(bed.ports)).unusable, bed.store.commits.length - 2], [25, 20]);
    const [problem = ""] = (problemsOf(bed)?.fields.problems as string[] | undefined) ?? [];
    assert.match(problem, /^25 orders have names that can't be stored, such as "orders\/a\/0"; the first are parked$/);
  });

  it("says so if an unusable name can't be parked, and tries no other", async () => {
    const bed = bedListing(pages("NEW", ["orders/a/1", "orders/a/2", "orders/ok"]));
    const { read } = bed.ports.store;
    let reads = 0;
    bed.ports.store.read = ((...paths: string[]) => {
      if (!paths[0]?.startsWith("attempts/")) return read.apply(bed.ports.store, paths);
      reads++;
      throw new StoreError("down");
    }) as typeof read;
    assert.equal((await pollOrders(bed.ports)).outcome, "completed");
    assert.equal(reads, 1);
    const problems = problemsOf(bed)?.fields.problems as string[];
    assert.equal(problems[0], "failed to store an unusable name: down");
  });

  it("mentions a single name that can't be stored", async () => {
    const bed = bedListing(pages("NEW", ["orders/a/1"]));
    await pollOrders(bed.ports);
    const problems = problemsOf(bed)?.fields.problems;
    assert.deepEqual(problems, [
      `1 orders have names that can't be stored, such as "orders/a/1"; the first are parked`,
    ]);
  });

  it("is short, whatever goes wrong and however often: twenty problems, and 1,000 characters of them as text", async () => {
    const bed = bedListing(pages("NEW", ...Array.from({ length: 30 }, (_, page) => [`orders/${page}`])));
    let published = 0;
    bed.ports.bus.publishOrders = () => Promise.reject(new BusError(`${published++} ${"x".repeat(2_000)}`));
    await pollOrders(bed.ports);
    const line = problemsOf(bed);
    const problems = line?.fields.problems as string[];
    assert.deepEqual([problems.length, line?.message.length], [20, 1_000]);
    assert.match(line?.message ?? "", /^Poll met problems: failed to publish to orders-new: BusError 0 x+$/);
    assert.ok(problems.every((problem) => problem.length < 1_600));
  });

  it("says which topic a page could not be published to, and does not count its orders", async () => {
    const bed = bedListing(pages("NEW", ["orders/1", "orders/2"], ["orders/3"]));
    bed.bus.once("publishOrders", "before", () => {
      throw new BusError("no topic");
    });
    const { published, failedPages } = await pollOrders(bed.ports);
    assert.deepEqual({ published, failedPages }, { published: 1, failedPages: 1 });
    assert.deepEqual(problemsOf(bed)?.fields.problems, ["failed to publish to orders-new: BusError no topic"]);
    const health = (await bed.store.field(LEASE, "health")) as {
      failedPages: number;
      error: object;
      failedRuns: Date[];
    };
    assert.deepEqual([health.failedPages, health.error], [1, { code: "BusError", message: "no topic" }]);
    assert.deepEqual(health.failedRuns, [new Date(bed.clock.now())], "one failed page makes a failed run");
  });
});

describe("the poll's messages", () => {
  it("say when an order was placed, if the food service does", async () => {
    const bed = bedListing(({ status }) => {
      const orders = status === "NEW" ? [order("orders/1"), { ...order("orders/2"), placedAt: new Date(7) }] : [];
      return { orders, nextPageToken: "" };
    });
    await pollOrders(bed.ports);
    assert.deepEqual(
      bed.published.map(({ message }) => message),
      [
        { order: "orders/1", status: "NEW" },
        { order: "orders/2", status: "NEW", placedAt: 7 },
      ],
    );
  });

  it("of four pages of a status are published at once, and no more", async () => {
    const names = Array.from({ length: 12 }, (_, page) => [`orders/${page}`]);
    const bed = bedListing(pages("NEW", ...names));
    let now = 0;
    let most = 0;
    const { publishOrders } = bed.ports.bus;
    bed.ports.bus.publishOrders = async (stage, messages) => {
      most = Math.max(most, ++now);
      for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve));
      await publishOrders(stage, messages);
      now--;
    };
    assert.equal((await pollOrders(bed.ports)).published, 12);
    assert.equal(most, 4);
  });
});

describe("a continuation of a poll", () => {
  /** A poll that was passed on in the middle of its listing. */
  async function continued(more: object, settings: Partial<Settings> = {}) {
    const bed = bedListing(({ status, pageToken }) => {
      return { orders: [order(`orders/${status}${pageToken}`, status)], nextPageToken: "" };
    }, settings);
    const until = new Date(bed.clock.now() + 1);
    await bed.store.set(LEASE, { holder: "h", step: 3, until });
    const positions = [{ status: "NEW", pageToken: "7", pageSize: 50, pages: 9 }];
    const given = { holder: "h", step: 3, statuses: ["NEW"], pageToken: "7", positions, ...more };
    return { bed, result: await continuePoll({ ...given, ...(more as object) }, bed.ports) };
  }

  const asked = ({ listings }: { listings: Listing[] }) =>
    listings.map(({ status, pageToken, pageSize }) => `${status} ${pageToken} ${pageSize}`);
  const { clock } = testBed();

  it("continues only with its own positions until a tick has passed since the pass began", async () => {
    const { bed, result } = await continued({ startedAt: clock.now() - 59_999 });
    assert.deepEqual(asked(bed), ["NEW 7 50"]);
    assert.deepEqual(result, { outcome: "completed", published: 1, unusable: 0, failedPages: 0 });
  });

  const progress = {
    startedAt: 5,
    active: { NEW: 1, PREPARATION: 2, IN_FLIGHT: 3 },
    failedPages: 0,
    arrived: 0,
    newest: 0,
    waiting: [],
  };

  it("adds to what earlier runs of its pass counted", async () => {
    const { bed } = await continued({ startedAt: clock.now(), progress });
    const { active } = (await bed.store.field(LEASE, "health")) as { active: object };
    assert.deepEqual(active, { NEW: 2, PREPARATION: 2, IN_FLIGHT: 3 });
  });

  it("lists the other statuses again from the beginning once a tick is over, and counts them once", async () => {
    const { bed } = await continued({ startedAt: clock.now() - 60_000, progress });
    assert.deepEqual(asked(bed), ["NEW 7 50", "PREPARATION  500", "IN_FLIGHT  500"]);
    const { active, at } = (await bed.store.field(LEASE, "health")) as { active: object; at: Date };
    assert.deepEqual(active, { NEW: 2, PREPARATION: 2, IN_FLIGHT: 3 });
    assert.deepEqual(at, new Date(clock.now()));
  });

  it("of an older build has a token of its first status, and none of the others", async () => {
    const { bed } = await continued({ statuses: ["PREPARATION", "NEW"], positions: undefined });
    assert.deepEqual(asked(bed), ["PREPARATION 7 500", "NEW  500"]);
  });

  it("releases the lease at its end, and stores its revision there", async () => {
    const { bed } = await continued({}, { K_REVISION: "poll-00042" });
    const { until, holder, health } = (await bed.store.fields(LEASE)) as {
      until: Date;
      holder: string;
      health: { revision: string };
    };
    assert.deepEqual([until, holder, health.revision], [new Date(0), "", "poll-00042"]);
    const local = await continued({});
    assert.equal(((await local.bed.store.field(LEASE, "health")) as { revision: string }).revision, "local");
  });

  it("is passed on with the time at which its pass began, and what was seen so far", async () => {
    const bed = bedListing(({ status, pageToken }) => {
      bed.clock.advance(12_000);
      return {
        orders: [order(`orders/${status}${pageToken}`, status)],
        nextPageToken: status === "NEW" ? `${pageToken}x` : "",
      };
    });
    const startedAt = bed.clock.now();
    assert.equal((await pollOrders(bed.ports)).outcome, "continued");
    const [next] = bed.continuations;
    assert.deepEqual([next?.startedAt, next?.progress?.startedAt], [startedAt, startedAt]);
    assert.equal(next?.progress?.active.PREPARATION, 1);
    const { until } = (await bed.store.fields(LEASE)) as { until: Date };
    assert.deepEqual(until, new Date(startedAt + 50_000), "the lease stays");
    assert.equal(bed.lines.at(-1)?.message, "Poll continues in another run");
  });

  for (const [passes, milliseconds] of [
    [1, 50_000],
    [2, 110_000],
  ] as const) {
    it(`has a lease of ${milliseconds / 1000} s if there are ${passes} passes`, async () => {
      const bed = bedListing(
        async () => {
          const until = await bed.store.field(LEASE, "until");
          assert.deepEqual(until, new Date(clock.now() + milliseconds));
          return { orders: [], nextPageToken: "" };
        },
        { POLL_PASSES: passes },
      );
      bed.ports.clock.sleep = async () => {};
      await pollOrders(bed.ports);
      assert.ok(bed.listings.length >= 3);
    });
  }
});
