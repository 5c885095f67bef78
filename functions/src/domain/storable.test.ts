import assert from "node:assert/strict";
import fc from "fast-check";
import { isStorableTime, storableText, storableTime } from "./storable.js";

describe("external text", () => {
  it("is stored unchanged up to 1,500 bytes", () => {
    for (const text of ["", "größe 😀", "x".repeat(1_500), "ü".repeat(750), "a\0b"]) {
      assert.equal(storableText(text), text);
    }
  });

  it("is truncated between two characters if it is longer", () => {
    assert.equal(storableText("x".repeat(1_501)), `${"x".repeat(1_497)}…`);
    assert.equal(storableText("😀".repeat(1_000)), `${"😀".repeat(374)}…`);
  });

  it("has lone surrogates replaced", () => assert.equal(storableText("a\ud800b\udc00"), "a\ufffdb\ufffd"));

  it("becomes at most 1,500 bytes of valid UTF-8, with as much of the text as fits", () => {
    const units = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 2_000 });
    fc.assert(
      fc.property(units, (text) => {
        const stored = storableText(text);
        assert.ok(stored.isWellFormed());
        assert.ok(Buffer.byteLength(stored) <= 1_500);
        assert.ok(Buffer.byteLength(text) <= 1_500 || Buffer.byteLength(stored) > 1_490);
        assert.equal(storableText(stored), stored);
      }),
    );
  });
});

describe("an external time", () => {
  it("is storable in the years 1 to 9999", () => {
    const times = ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z"];
    for (const time of times) assert.ok(isStorableTime(new Date(time)), time);
    const others = ["0000-12-31T23:59:59.999Z", "+010000-01-01T00:00:00.000Z", "12345", "no time"];
    for (const time of others) assert.equal(storableTime(new Date(time)), undefined, time);
  });
});
