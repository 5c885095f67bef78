import assert from "node:assert/strict";
import { ValidationError } from "../domain/errors.js";
import { RELATION_STATES, type RelationState } from "../domain/order-lifecycle.js";
import type { Fields, Write } from "../ports.js";
import {
  closingEntry,
  historyEntryIn,
  hourBuckets,
  linkEntry,
  linkEntryPath,
  linkedOrder,
  reopeningEntry,
  wasLinkedByUs,
} from "./history.js";

const AT = Date.parse("2026-01-01T11:59:59.999Z");

const snapshotOf = (write: Write) => ({
  path: write.path,
  version: "1",
  fields: "fields" in write ? write.fields : {},
});
const fieldsOf = (write: Write): Fields => snapshotOf(write).fields;

describe("an entry of the history", () => {
  it("of a link is named after the link, so no two orders can have the same one", () => {
    const ours = linkEntry("orders/1", "kitchen", "kitchenorders/1", AT, "claim-1");
    assert.equal(ours.kind, "create");
    assert.equal(ours.path, linkEntryPath("kitchen", "kitchenorders/1"));
    assert.equal(linkEntry("orders/2", "kitchen", "kitchenorders/1", 0).path, ours.path);
    assert.notEqual(linkEntryPath("shipment", "kitchenorders/1"), ours.path);
    assert.notEqual(linkEntryPath("kitchen", "kitchenorders/2"), ours.path);
    const { hour, ...fields } = fieldsOf(ours);
    const links = { kitchen: "kitchenorders/1", claim: "claim-1" };
    assert.deepEqual(fields, { schema: 1, order: "orders/1", state: "PREPARATION", at: new Date(AT), ...links });
    assert.match(String(hour), /^2026-01-01T11 PREPARATION [0-6]$/);
  });

  it("is read with its link, and says which document can't be read", () => {
    const kitchen = linkEntry("orders/1", "kitchen", "kitchenorders/1", AT, "claim-1");
    const shipment = linkEntry("orders/1", "shipment", "shipments/1", AT);
    assert.equal(historyEntryIn(snapshotOf(kitchen)).kitchen, "kitchenorders/1");
    assert.equal(historyEntryIn(snapshotOf(shipment)).shipment, "shipments/1");
    const unreadable = { ...snapshotOf(kitchen), path: "history/x", fields: { ...fieldsOf(kitchen), kitchen: 7 } };
    assert.throws(() => historyEntryIn(unreadable), /^ValidationError: history\/x is not a history entry that/);
  });

  it("has the same path in every build", () => {
    assert.equal(linkEntryPath("kitchen", "kitchenorders/1"), "history/67d76979-f00f-5dfe-bcb4-82049462c688");
  });

  it("says whether we made the link: another program's has no claim", () => {
    const made = (claim?: string) => snapshotOf(linkEntry("orders/1", "shipment", "shipments/1", AT, claim));
    assert.equal("claim" in made().fields, false);
    assert.deepEqual([wasLinkedByUs(made("c")), wasLinkedByUs(made()), wasLinkedByUs(undefined)], [true, false, false]);
    assert.deepEqual([linkedOrder(made()), linkedOrder(undefined)], ["orders/1", undefined]);
  });

  it("of an end is one for each order and state, and one more for each time that it comes again", () => {
    const first = closingEntry("orders/1", "DELIVERED", AT);
    assert.equal(closingEntry("orders/1", "DELIVERED", AT + 1).path, first.path);
    const others = [
      closingEntry("orders/2", "DELIVERED", AT),
      closingEntry("orders/1", "REJECTED", AT),
      closingEntry("orders/1", "DELIVERED", AT, 0),
      closingEntry("orders/1", "DELIVERED", AT, 1),
      closingEntry("orders/2", "DELIVERED", AT, 1),
      closingEntry("orders/1", "REJECTED", AT, 1),
      reopeningEntry("orders/2", "DELIVERED", AT),
      reopeningEntry("orders/1", "DELIVERED", AT),
      reopeningEntry("orders/1", "DELIVERED", AT + 1),
    ].map(({ path }) => path);
    assert.equal(new Set([first.path, ...others]).size, 10);
    const { hour, ...fields } = fieldsOf(first);
    assert.deepEqual(fields, { schema: 1, order: "orders/1", state: "DELIVERED", at: new Date(AT) });
    assert.match(String(hour), /^2026-01-01T11 DELIVERED [0-6]$/);
  });

  it("is found under the buckets of its hour, in seven parts", () => {
    const buckets = hourBuckets("2026-01-01T11", ["DELIVERED", "GONE"]);
    assert.equal(new Set(buckets).size, 14);
    const used = new Set<unknown>();
    for (let id = 0; id < 100; id++) used.add(fieldsOf(closingEntry(`orders/${id}`, "GONE", AT)).hour);
    assert.deepEqual(
      [...used].sort(),
      buckets.filter((bucket) => bucket.includes("GONE")),
    );
  });

  it("is in each of the seven parts about as often: the index of a part takes so many writes a second", () => {
    const counts: { [hour: string]: number } = {};
    for (let id = 0; id < 7_000; id++) {
      const hour = String(fieldsOf(closingEntry(`orders/${id}`, "GONE", AT)).hour);
      counts[hour] = (counts[hour] ?? 0) + 1;
    }
    for (const [hour, count] of Object.entries(counts)) assert.ok(count > 875 && count < 1_125, `${hour}: ${count}`);
  });

  it("is found by one query for the entries of all orders that ended in an hour: Firestore takes 30 values", () => {
    const states = Object.keys(RELATION_STATES) as RelationState[];
    const ended = states.filter((state) => !RELATION_STATES[state].open);
    assert.ok(hourBuckets("2026-01-01T11", ended).length <= 30);
  });

  it("can be read as we write it, and by no build that is older than its schema", () => {
    const written = snapshotOf(linkEntry("orders/1", "kitchen", "kitchenorders/1", AT));
    assert.equal(historyEntryIn(written).order, "orders/1");
    for (const fields of [{ schema: 2 }, { schema: 0 }, { state: "EATEN" }, { at: "now" }, { hour: 11 }]) {
      assert.throws(() => historyEntryIn({ ...written, fields: { ...written.fields, ...fields } }), ValidationError);
    }
  });
});
