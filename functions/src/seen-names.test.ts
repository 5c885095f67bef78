import assert from "node:assert/strict";
import { SeenNames } from "./seen-names.js";

const nameOf = (number: number) => `orders/${String(number).padStart(8, "0")}-7a5e-4a0c-9c0b-6f0f2f7d9b41`;

describe("seen names", () => {
  it("are never new twice", () => {
    const seen = new SeenNames(20, 0.5);
    const names = Array.from({ length: 20_000 }, (_, number) => nameOf(number));
    for (const name of names) seen.add(name);
    assert.deepEqual(
      names.filter((name) => seen.add(name)),
      [],
    );
  });

  it("are exact while they are few", () => {
    const seen = new SeenNames(10, 0.5);
    const names = Array.from({ length: 1_000 }, (_, number) => nameOf(number));
    assert.deepEqual(
      names.filter((name) => !seen.add(name)),
      [],
    );
    assert.deepEqual(
      names.filter((name) => seen.add(name)),
      [],
    );
  });

  for (const [what, name] of [
    ["numbered names", nameOf],
    ["short names", (number: number) => `orders/${number}`],
    ["names that differ at their start", (number: number) => `orders/${number}-${"x".repeat(60)}`],
  ] as const) {
    it(`mistake fewer than one in 10,000 ${what} for seen while a ninth of the bits are set`, () => {
      const seen = new SeenNames(21, 0.25);
      let known = 0;
      for (let number = 0; number < 250_000; number++) if (!seen.add(name(number))) known++;
      assert.ok(known < 25, `${known} names`);
    });
  }

  it("mistake other names for seen with another seed", () => {
    const taken = (seed: number) => {
      const seen = new SeenNames(10, seed);
      return Array.from({ length: 3_000 }, (_, number) => number).filter((number) => !seen.add(nameOf(number)));
    };
    const [one, other] = [taken(0.1), taken(0.9)];
    assert.ok(one.length > 0 && other.length > 0);
    assert.notDeepEqual(one, other);
  });

  it("may be any text", () => {
    const seen = new SeenNames(10, 0);
    for (const name of ["", " ", "größe 😀", "\ud800"]) {
      assert.equal(seen.add(name), true, JSON.stringify(name));
      assert.equal(seen.add(name), false, JSON.stringify(name));
    }
  });
});
