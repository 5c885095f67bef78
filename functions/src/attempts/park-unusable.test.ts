import assert from "node:assert/strict";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { parkUnusable, quoteName } from "./park-unusable.js";

async function parkedIds(bed: TestBed): Promise<string[]> {
  const found = await bed.store.memory.query({ collection: "attempts", field: "state", oneOf: ["PARKED"], limit: 10 });
  return found.map(({ path }) => path);
}

describe("a quoted name", () => {
  for (const [what, name, quoted] of [
    ["is itself if it is short and in ASCII", "orders/a b~", '"orders/a b~"'],
    ["has every other unit escaped", "\u0000ü😀\u007f", String.raw`"\u0000\u00fc\ud83d\ude00\u007f"`],
    ["may have 200 characters", "x".repeat(200), `"${"x".repeat(200)}"`],
    ["is cut after 200 characters", "x".repeat(201), `"${"x".repeat(200)}..."`],
    ["is cut after 200 characters, escapes included", "ü".repeat(34), `"${String.raw`\u00fc`.repeat(33)}\\u..."`],
    ["may be empty", "", '""'],
  ] as const) {
    it(what, () => assert.equal(quoteName(name), quoted));
  }
});

describe("an order whose name can't be stored", () => {
  it("is parked once, under an id made of its name, with the name in the message", async () => {
    const bed = testBed();
    assert.equal((await parkUnusable("orders/a/b", bed.ports)).outcome, "blocked");
    assert.equal((await parkUnusable("orders/a/b", bed.ports)).outcome, "skipped");
    const [path = "", ...others] = await parkedIds(bed);
    assert.deepEqual(others, []);
    assert.match(path, /^attempts\/kitchen:unusable-[0-9a-f-]{36}$/);
    const message = 'the food service lists an order with the name "orders/a/b", which can\'t be stored';
    assert.deepEqual(await bed.store.field(path, "reason"), { code: "UNUSABLE_NAME", message });
    assert.equal(await bed.store.field(path, "order"), path.replace("attempts/kitchen:", "orders/"));
  });

  it("has a unique id, even if the names differ only in units that UTF-8 can't express", async () => {
    const bed = testBed();
    for (const name of ["orders/\ud800", "orders/\ud801", "orders/\ufffd/"]) await parkUnusable(name, bed.ports);
    assert.equal(new Set(await parkedIds(bed)).size, 3);
  });
});
