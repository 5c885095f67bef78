import assert from "node:assert/strict";
import fc from "fast-check";
import { isPlausibleResourceName, isStorableName, orderId, orderRefFromId } from "./resource-names.js";

/** Text of any characters, lone surrogates and control characters among them. */
const anyText = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: "binary" }),
  fc.constantFrom("\ud800", "\0"),
);

describe("orderId", () => {
  it("is the name without its prefix, whatever form the id has", () => {
    for (const id of [
      "1",
      "7f3c2c5e-8d9c-4a52-9a1f-1a2b3c4d5e6f",
      "Größe ü",
      "a.b",
      "..a",
      "日本",
      "__a",
      "a__",
      "a__b__",
      "__a__b",
      "😀",
      "_",
    ]) {
      assert.equal(orderId(`orders/${id}`), id);
      assert.equal(orderRefFromId(id).name, `orders/${id}`);
    }
  });

  const refused: [why: string, name: string][] = [
    ["has no prefix", "7f3c"],
    ["has another prefix", "kitchenorders/7f3c"],
    ["has the prefix in other letters", "Orders/7f3c"],
    ["has something before the prefix", " orders/7f3c"],
    ["is empty", ""],
    ["is the prefix alone", "orders/"],
    ["has another slash, which would lead to another document", "orders/a/history/b"],
    ["ends with a slash", "orders/a/"],
    ["is a dot", "orders/."],
    ["is two dots", "orders/.."],
    ["is reserved by Firestore", "orders/__proto__"],
    ["is the shortest that Firestore reserves", "orders/____"],
    ["is reserved by Firestore, with a line separator inside", "orders/__\u2028__"],
    ["has a control character", "orders/a\nb"],
    ["has a zero byte", "orders/a\0"],
    ["has half of a surrogate pair", "orders/\ud83d"],
    ["is one byte too long", `orders/${"x".repeat(1401)}`],
    ["is too long in bytes though not in characters", `orders/${"ü".repeat(701)}`],
  ];
  for (const [why, name] of refused) {
    it(`rejects a name that ${why}`, () => assert.equal(orderId(name), undefined));
  }

  it("accepts the longest id that leaves room for the stage in an attempt's id", () => {
    assert.equal(orderId(`orders/${"x".repeat(1400)}`)?.length, 1400);
    assert.equal(orderId(`orders/${"ü".repeat(700)}`)?.length, 700);
  });

  it("returns for any text either undefined or an id that identifies exactly this order", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const id = orderId(`orders/${text}`);
        if (id === undefined) return;
        assert.equal(orderRefFromId(id).name, `orders/${text}`);
        assert.ok(!id.includes("/") && Buffer.byteLength(id) <= 1400);
        assert.equal(Buffer.from(id).toString(), id, "survives UTF-8");
      }),
    );
  });

  it("never returns the same id for two orders", () => {
    fc.assert(
      fc.property(anyText, anyText, (one, other) => {
        const [a, b] = [orderId(`orders/${one}`), orderId(`orders/${other}`)];
        assert.ok(one === other || a === undefined || a !== b);
      }),
    );
  });
});

describe("isStorableName", () => {
  it("accepts the names of any server", () => {
    for (const name of ["kitchenorders/1", "kitchens/1", "shipments/a/b", "x", "größe", " "])
      assert.ok(isStorableName(name));
  });

  it("rejects empty, oversized and unprintable names", () => {
    for (const name of ["", "a\n", "\u0085", "\udc00", "x".repeat(1401), "😀".repeat(351)]) {
      assert.ok(!isStorableName(name), JSON.stringify(name.slice(0, 10)));
    }
  });

  it("accepts names of up to 1,400 bytes", () => {
    for (const name of ["x".repeat(1400), "😀".repeat(350)]) assert.ok(isStorableName(name));
  });

  it("accepts only text that survives UTF-8 unchanged", () => {
    fc.assert(fc.property(anyText, (name) => !isStorableName(name) || Buffer.from(name).toString() === name));
  });
});

describe("isPlausibleResourceName", () => {
  it("rejects the name of another kind of resource", () => {
    for (const name of ["orders/1", "shipments/1", ""]) assert.ok(!isPlausibleResourceName("kitchen", name), name);
    for (const name of ["orders/1", "kitchenorders/1", "kitchens/1", ""])
      assert.ok(!isPlausibleResourceName("shipment", name), name);
  });

  it("rejects a name that identifies nothing: blanks, dots, slashes, a collection without an id", () => {
    const empty = [
      " ",
      "\u00a0",
      "/",
      "//",
      ".",
      "..",
      "-",
      "kitchenorders",
      "kitchens",
      "orders",
      "kitchenorders/",
      "/1",
      "kitchens//1",
      "kitchens/..",
      "a/../b",
    ];
    for (const name of [...empty, " kitchenorders/1", "kitchenorders/1 ", "kitchenorders/\u200b"]) {
      assert.ok(!isPlausibleResourceName("kitchen", name), JSON.stringify(name));
    }
    for (const name of [" ", "/", "..", "shipments/", "shipments"]) {
      assert.ok(!isPlausibleResourceName("shipment", name), JSON.stringify(name));
    }
  });

  it("accepts unknown prefixes", () => {
    for (const name of ["kitchenorders/1", "kitchens/1", "tickets/1"])
      assert.ok(isPlausibleResourceName("kitchen", name), name);
    for (const name of ["shipments/1", "flights/1"]) assert.ok(isPlausibleResourceName("shipment", name), name);
  });
});
