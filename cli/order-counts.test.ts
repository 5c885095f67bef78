import assert from "node:assert/strict";
import { MemoryStore } from "../functions/src/adapters/memory/store.js";
import type { AttemptState } from "../functions/src/attempts/attempt-states.js";
import type { Fields, Matching } from "../functions/src/ports.js";
import { attemptLeftIn } from "../functions/src/testing/waiting-attempt.js";
import { countOrders, lineOf } from "./order-counts.js";

/** Documents, and what is read of them. */
class CountedStore extends MemoryStore {
  reads = 0;

  async create(path: string, fields: Fields): Promise<void> {
    await this.commit([{ kind: "create", path, fields }]);
  }

  override read<const P extends readonly string[]>(...paths: P) {
    this.reads += paths.length;
    return super.read(...paths);
  }

  relation(id: string, state: string): Promise<void> {
    return this.create(`relations/${id}`, { schema: 1, kitchen: `kitchenorders/${id}`, state });
  }

  attempt(id: string, state: AttemptState): Promise<void> {
    return this.create(`attempts/kitchen:${id}`, attemptLeftIn(state, `orders/${id}`));
  }
}

describe("counting orders", () => {
  const listed = (...names: string[]) => Promise.resolve({ names, isAll: true });
  const none = () => listed();
  let store: CountedStore;

  beforeEach(() => {
    store = new CountedStore(() => {});
  });

  it("counts by state", async () => {
    await store.relation("1", "PREPARATION");
    await store.relation("2", "DELIVERED");
    await store.relation("3", "CANCELLED");
    const line = lineOf(await countOrders(store, none));
    assert.equal(line, "0 new, 1 in preparation, 0 in flight, 1 delivered, 0 rejected, 1 cancelled");
  });

  it("counts an order as new until it has a relation or needs an operator", async () => {
    await store.relation("1", "PREPARATION");
    await store.attempt("x", "PARKED");
    await store.attempt("3", "SENDING");
    const counts = await countOrders(store, () => listed("orders/1", "orders/2", "orders/3", "orders/x"));
    assert.equal(counts.NEW, 2);
    assert.match(lineOf(counts), /^2 new, 1 in preparation, .* 1 waiting for an operator$/);
  });

  it("shows attempts that need an operator, and no others", async () => {
    for (const state of ["SENDING", "FAILED", "CLOSED", "PARKED", "UNCERTAIN"] as const)
      await store.attempt(state, state);
    assert.match(lineOf(await countOrders(store, none)), /, 2 waiting for an operator$/);
  });

  it("does not read completed orders", async () => {
    for (let id = 0; id < 500; id++) await store.relation(String(id), "DELIVERED");
    const counts = await countOrders(store, () => listed("orders/new"));
    assert.equal(counts.DELIVERED, 500);
    assert.equal(store.reads, 2, "the relation and the attempt of the new order");
  });

  it("says that there are more new orders than the first page lists", async () => {
    const counts = await countOrders(store, async () => ({ names: ["orders/1"], isAll: false }));
    assert.match(lineOf(counts), /^1\+ new, /);
  });

  it("counts the others while the food service is unavailable", async () => {
    await store.relation("1", "IN_FLIGHT");
    const counts = await countOrders(store, () => Promise.reject(new Error("down")));
    assert.match(lineOf(counts), /^\? new, 0 in preparation, 1 in flight, /);
  });

  it("fails if the documents can't be counted", async () => {
    store.count = (_: Matching) => Promise.reject(new Error("no answer"));
    await assert.rejects(countOrders(store, none), /no answer/);
  });
});
