import assert from "node:assert/strict";
import { auditEntry, auditEntryIn, auditPath, fingerprintOf } from "./audit.js";
import { actionsFor, isReasonCode } from "./reason-codes.js";

const AT = Date.parse("2026-01-01T00:00:00Z");
const DECISION = {
  order: "orders/1",
  stage: "kitchen",
  action: "link",
  name: "k/1",
  by: "ana",
  reason: "asked",
} as const;

describe("an audit entry", () => {
  const entry = auditEntry(auditPath("key"), DECISION, AT);

  it("is created under a path of its key, once", () => {
    assert.equal(entry.kind, "create");
    assert.match(entry.path, /^audit\/[0-9a-f-]{36}$/);
    assert.equal(auditPath("key"), entry.path);
    assert.notEqual(auditPath("other"), entry.path);
  });

  it("has a time, and expires after two years", () => {
    const stamps = { schema: 1, at: new Date(AT), expireAt: new Date("2028-01-01T00:00:00Z") };
    assert.deepEqual(entry.fields, { ...stamps, ...DECISION });
  });

  it("can be read as we write it, and by no build that is older than its schema", () => {
    const found = { path: entry.path, version: "1", fields: entry.fields };
    assert.equal(auditEntryIn(found).action, "link");
    for (const fields of [
      { schema: 2 },
      { schema: 0 },
      { stage: "oven" },
      { action: "eat" },
      { at: "now" },
      { name: 7 },
    ]) {
      const read = () => auditEntryIn({ ...found, fields: { ...entry.fields, ...fields } });
      assert.throws(read, /^ValidationError: audit\/[^ ]+ is not an audit entry that this build can read: /);
    }
  });
});

describe("a fingerprint", () => {
  it("is the same for the same fields in any order, and another for others", () => {
    const one = fingerprintOf({ a: "1", b: null, c: "3" });
    assert.match(one, /^[0-9a-f]{64}$/);
    assert.equal(fingerprintOf({ c: "3", b: null, a: "1" }), one);
    assert.equal(fingerprintOf({ b: null, a: "1", c: "3" }), one);
    for (const other of [
      { a: "1", b: "2", c: "3" },
      { a: "1", b: null },
      { a: "3", b: null, c: "1" },
    ]) {
      assert.notEqual(fingerprintOf(other), one);
    }
  });
});

describe("a reason code", () => {
  it("says what an operator can do; whatever is not ours is a create that failed", () => {
    assert.deepEqual(actionsFor("STRANDED"), ["link", "dismiss"]);
    for (const code of ["ORDER_UNREADABLE", "ORDER_NOT_FOUND", "UNUSABLE_NAME"])
      assert.deepEqual(actionsFor(code), ["dismiss"]);
    for (const code of ["RELATION_TOO_LARGE", "LINK_NOT_FOUND"])
      assert.deepEqual(actionsFor(code), ["link", "retry", "dismiss"]);
    for (const code of ["REPORT_REJECTED", "REPORT_IGNORED", "ACTIVE_AFTER_CANCELLATION", "ORDER_REPLACED"])
      assert.deepEqual(actionsFor(code), ["retry", "dismiss"]);
    for (const code of ["INVALID_ARGUMENT", "toString", undefined]) {
      assert.deepEqual([isReasonCode(code), actionsFor(code)], [false, ["link", "retry", "dismiss"]]);
    }
    assert.equal(isReasonCode("UNUSABLE_NAME"), true);
  });
});
