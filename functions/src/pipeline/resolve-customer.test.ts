import assert from "node:assert/strict";
import { ConflictError, callError, StoreError } from "../domain/errors.js";
import type { Fields } from "../ports.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { resolveCustomer } from "./resolve-customer.js";

const PATH = "relations/1";
const USER = { name: "ada", class: "7", roll: 70 };

async function bedWith(relation: Fields = { customerId: "ada" }): Promise<TestBed> {
  const bed = testBed();
  bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status: "NEW" });
  await bed.store.set(PATH, { kitchen: "kitchenorders/1", ...relation });
  return bed;
}

async function resolve(bed: TestBed) {
  const [after] = await bed.store.memory.read(PATH);
  return resolveCustomer({ before: undefined, after }, bed.ports);
}

const customerOf = (bed: TestBed) => bed.store.field(PATH, "customer");

describe("the customer of a relation", () => {
  it("is the user with the name in the relation, which is not looked up again", async () => {
    const bed = await bedWith();
    bed.food.getOrder = () => assert.fail("the relation has the name");
    assert.deepEqual(await resolve(bed), { outcome: "advanced", to: "customer known" });
    assert.deepEqual(await customerOf(bed), USER);
    bed.ports.customers.userByName = () => assert.fail("it is resolved");
    assert.deepEqual(await resolve(bed), { outcome: "skipped", reason: "the customer is resolved" });
  });

  it("is the order's, if an older scheduler wrote the relation", async () => {
    const bed = await bedWith({});
    await resolve(bed);
    assert.deepEqual(await customerOf(bed), { ...USER, name: "krithik" });
  });

  it("is made storable", async () => {
    const bed = await bedWith();
    bed.ports.customers.userByName = async () => ({ name: "\ud800", class: "x".repeat(2_000), roll: 1 });
    await resolve(bed);
    const { name, class: form } = (await customerOf(bed)) as { name: string; class: string };
    assert.deepEqual([name, Buffer.byteLength(form)], ["\ufffd", 1_500]);
  });

  it("is recorded as missing if the order names none", async () => {
    for (const customerId of ["", "\u0000"]) {
      const bed = await bedWith({ customerId });
      assert.deepEqual(await resolve(bed), { outcome: "advanced", to: "customer unknown" });
      const reason = { code: "INVALID_ARGUMENT", message: "the order names no customer" };
      assert.deepEqual(await customerOf(bed), { reason });
    }
  });

  for (const code of ["INVALID_ARGUMENT", "NOT_FOUND", "BAD_REPLY"]) {
    it(`is unknown, with the reason, if the user orchestrators or the food service answer ${code}`, async () => {
      const fail = () => {
        throw callError(code, "no such user", true);
      };
      const bed = await bedWith();
      bed.customers.once("userByName", "before", fail);
      assert.deepEqual(await resolve(bed), { outcome: "advanced", to: "customer unknown" });
      const old = await bedWith({});
      old.food.hooks.once("getOrder", "before", fail);
      assert.deepEqual(await resolve(old), { outcome: "advanced", to: "customer unknown" });
      for (const { store } of [bed, old]) {
        assert.deepEqual(await store.field(PATH, "customer"), { reason: { code, message: "no such user" } });
      }
    });
  }

  it("stays unresolved, and the event is redelivered, if the user orchestrators can't be reached", async () => {
    const bed = await bedWith();
    bed.customers.once("userByName", "before", () => {
      throw callError("UNAVAILABLE", "down", false);
    });
    await assert.rejects(resolve(bed), { code: "UNAVAILABLE" });
    assert.equal(await customerOf(bed), undefined);
  });

  it("is skipped if there is no relation any more", async () => {
    const { ports } = testBed();
    const outcome = await resolveCustomer({ before: undefined, after: undefined }, ports);
    assert.deepEqual(outcome, { outcome: "skipped", reason: "the relation is deleted" });
  });

  for (const conflicts of [1, 2]) {
    it(`is stored though the relation changed ${conflicts === 1 ? "once" : "twice"} in the meantime`, async () => {
      const bed = await bedWith();
      for (let conflict = 0; conflict < conflicts; conflict++) {
        bed.store.hooks.once("commit", "before", () => bed.store.set(PATH, { note: String(conflict) }));
      }
      assert.deepEqual(await resolve(bed), { outcome: "advanced", to: "customer known" });
      const { customer, note } = (await bed.store.fields(PATH)) ?? {};
      assert.deepEqual({ customer, note }, { customer: USER, note: String(conflicts - 1) });
    });
  }

  it("is left to the next delivery after three conflicts", async () => {
    const bed = await bedWith();
    for (let conflict = 0; conflict < 3; conflict++) {
      bed.store.hooks.once("commit", "before", () => bed.store.set(PATH, { note: String(conflict) }));
    }
    await assert.rejects(resolve(bed), ConflictError);
    assert.equal(await customerOf(bed), undefined);
  });

  it("is left to the next delivery if the store fails", async () => {
    const bed = await bedWith();
    bed.store.hooks.once("commit", "before", () => {
      throw new StoreError("down");
    });
    await assert.rejects(resolve(bed), StoreError);
  });

  it("is the one that another delivery stored first", async () => {
    const bed = await bedWith();
    const other = { ...USER, class: "another" };
    bed.store.hooks.once("commit", "before", () => bed.store.set(PATH, { customer: other }));
    assert.deepEqual(await resolve(bed), { outcome: "skipped", reason: "the customer is resolved" });
    assert.deepEqual(await customerOf(bed), other);
  });

  it("is skipped if the relation is deleted in the meantime", async () => {
    const bed = await bedWith();
    bed.store.hooks.once("commit", "before", async () => {
      const [there] = await bed.store.memory.read(PATH);
      await bed.store.memory.commit([{ kind: "delete", path: PATH, version: there?.version ?? "" }]);
    });
    assert.deepEqual(await resolve(bed), { outcome: "skipped", reason: "the relation is deleted" });
  });
});
