/** Holds what the console's requests read, which must not depend on how many orders have completed. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Api } from "../../functions/src/operator-api/api.js";
import type { Ports } from "../../functions/src/ports.js";
import { rollUpStatistics } from "../../functions/src/relations/statistics.js";
import { apiRequest } from "../../functions/src/testing/api-request.js";
import { testBed } from "../../functions/src/testing/test-bed.js";
import { PastOrders } from "./past-orders.js";

const NOW = Date.parse("2026-11-26T15:30:00Z");

/** Every request of the console, and how many documents it may read. */
const REQUESTS = {
  "hourly figures": { path: "/api/statistics", maxReads: 20 },
  "search for an order": { path: "/api/orders?q=past-7", maxReads: 10 },
  "search for a kitchen order": { path: "/api/orders?q=kitchenorders/past-7", maxReads: 10 },
  "search for a shipment by its id": { path: "/api/orders?q=past-9", maxReads: 10 },
  "search for a customer": { path: "/api/orders?q=customer-7", maxReads: 60 },
  "search without a result": { path: "/api/orders?q=nothing", maxReads: 10 },
  "completed in the last 24 hours": { path: "/api/orders", maxReads: 150 },
  "completed on a day": { path: "/api/orders?day=2026-11-25&outcome=DELIVERED", maxReads: 150 },
  "one order": { path: "/api/relations/past-7", maxReads: 8 },
} as const;

type Name = keyof typeof REQUESTS;

async function ask(past: number, name: Name) {
  const bed = testBed();
  bed.clock.advance(NOW - bed.clock.now());
  const store = new PastOrders(bed.store, past, NOW);
  const ports: Ports = { ...bed.ports, store };
  await rollUpStatistics(ports);
  store.reads = 0;
  const api = new Api(ports, { verify: async () => ({ id: "v", name: "vera@example.com", role: "viewer" }) });
  const began = performance.now();
  const { status, body } = await api.answer(apiRequest("GET", REQUESTS[name].path, { as: "token" }));
  return { status, body, reads: store.reads, ms: performance.now() - began };
}

describe("what the console reads", function () {
  this.timeout(60_000);

  for (const name of Object.keys(REQUESTS) as Name[]) {
    it(`stays the same with 1,000,000 completed orders: ${name}`, async () => {
      const few = await ask(100_000, name);
      const many = await ask(1_000_000, name);
      assert.equal(many.status, 200, JSON.stringify(many.body));
      assert.equal(many.reads, few.reads);
      assert.ok(many.reads <= REQUESTS[name].maxReads, `${many.reads} reads`);
    });
  }

  it("finds an order by its id, its links and its customer", async () => {
    const idsIn = (body: unknown) => (body as { orders: { id: string }[] }).orders.map(({ id }) => id);
    assert.deepEqual(idsIn((await ask(1_000_000, "search for a kitchen order")).body), ["past-7"]);
    assert.deepEqual(idsIn((await ask(1_000_000, "search for a shipment by its id")).body), ["past-9"]);
    const ofCustomer = idsIn((await ask(1_000_000, "search for a customer")).body);
    assert.equal(ofCustomer.length, 50);
    assert.deepEqual(ofCustomer.slice(0, 3), ["past-7", "past-1007", "past-2007"], "newest first");
    assert.ok(ofCustomer.every((id) => Number(id.slice("past-".length)) % 1_000 === 7));
    const recent = (await ask(1_000_000, "completed in the last 24 hours")).body as { orders: { since: string }[] };
    const times = recent.orders.map(({ since }) => since);
    assert.deepEqual(times, times.toSorted().reverse(), "newest first");
  });

  it("matches the table in docs/operators.md", async () => {
    const rows: string[] = [];
    for (const name of Object.keys(REQUESTS) as Name[])
      rows.push(`| ${name} | ${(await ask(1_000_000, name)).reads} |`);
    const [, shown] =
      /\| request \| reads \|\n\|---\|---:\|\n((?:\|.*\n)+)/.exec(readFileSync("docs/operators.md", "utf8")) ?? [];
    assert.equal(shown, `${rows.join("\n")}\n`);
  });
});
