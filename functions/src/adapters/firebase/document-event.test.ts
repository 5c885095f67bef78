import assert from "node:assert/strict";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Document } from "../../generated/cloud/google/firestore/v1/document.js";
import { changeIn } from "./document-event.js";

const NAME = "projects/p/databases/(default)/documents/relations/ü 1";

const JSON_DOCUMENT = {
  name: NAME,
  fields: {
    text: { stringValue: "\ufeffmeal" },
    count: { integerValue: "7" },
    share: { doubleValue: 0.5 },
    yes: { booleanValue: true },
    none: { nullValue: null },
    at: { timestampValue: "2026-11-26T10:00:00.250Z" },
    map: { mapValue: { fields: { a: { stringValue: "b" } } } },
    list: { arrayValue: { values: [{ integerValue: "1" }] } },
    empty: { mapValue: {} },
    nothing: { arrayValue: {} },
  },
  createTime: "2026-11-26T10:00:00Z",
  updateTime: "2026-11-26T10:00:01.000000123Z",
};

const SNAPSHOT = {
  path: "relations/ü 1",
  fields: {
    text: "\ufeffmeal",
    count: 7,
    share: 0.5,
    yes: true,
    none: null,
    at: new Date("2026-11-26T10:00:00.250Z"),
    map: { a: "b" },
    list: [1],
    empty: {},
    nothing: [],
  },
  version: "1795687201.123",
};

/** The document as the cloud sends it. */
function protobuf(fields: Document["fields"]): Uint8Array {
  const updateTime = { seconds: "1795687201", nanos: 123 };
  return Document.encode({ name: NAME, fields, createTime: undefined, updateTime }).finish();
}

const FIELDS: Document["fields"] = {
  text: { valueType: { $case: "stringValue", stringValue: "\ufeffmeal" } },
  count: { valueType: { $case: "integerValue", integerValue: "7" } },
  share: { valueType: { $case: "doubleValue", doubleValue: 0.5 } },
  yes: { valueType: { $case: "booleanValue", booleanValue: true } },
  none: { valueType: { $case: "nullValue", nullValue: 0 } },
  at: { valueType: { $case: "timestampValue", timestampValue: { seconds: "1795687200", nanos: 250_000_000 } } },
  map: {
    valueType: {
      $case: "mapValue",
      mapValue: { fields: { a: { valueType: { $case: "stringValue", stringValue: "b" } } } },
    },
  },
  list: {
    valueType: {
      $case: "arrayValue",
      arrayValue: { values: [{ valueType: { $case: "integerValue", integerValue: "1" } }] },
    },
  },
  empty: { valueType: { $case: "mapValue", mapValue: { fields: {} } } },
  nothing: { valueType: { $case: "arrayValue", arrayValue: { values: [] } } },
};

describe("the change of a document in an event", () => {
  it("converts every kind of value from protobuf", () => {
    const event = new BinaryWriter().uint32(10).bytes(protobuf(FIELDS)).finish();
    assert.deepEqual(changeIn(Buffer.from(event)), { before: undefined, after: SNAPSHOT });
  });

  it("converts every kind of value from JSON", () => {
    assert.deepEqual(changeIn({ value: JSON_DOCUMENT }), { before: undefined, after: SNAPSHOT });
  });

  it("contains the document before and after, and ignores other parts of the event", () => {
    const before = protobuf({});
    const mask = new BinaryWriter().uint32(10).string("count").finish();
    const writer = new BinaryWriter().uint32(26).bytes(mask).uint32(18).bytes(before);
    const event = writer.uint32(10).bytes(protobuf(FIELDS)).finish();
    assert.deepEqual(changeIn(event), { before: { ...SNAPSHOT, fields: {} }, after: SNAPSHOT });
  });

  it("contains only the document before if the document was deleted", () => {
    const event = new BinaryWriter().uint32(18).bytes(protobuf(FIELDS)).finish();
    assert.deepEqual(changeIn(event), { before: SNAPSHOT, after: undefined });
    assert.deepEqual(changeIn({ oldValue: JSON_DOCUMENT }), { before: SNAPSHOT, after: undefined });
  });

  it("represents types that only other programs write as values that every schema rejects", () => {
    const reference = { valueType: { $case: "referenceValue", referenceValue: NAME } } as const;
    const { after } = changeIn(new BinaryWriter().uint32(10).bytes(protobuf({ reference })).finish());
    assert.notEqual(typeof after?.fields.reference, "string");
    assert.notEqual(Object.getPrototypeOf(after?.fields.reference), Object.prototype);
  });

  for (const [what, data] of [
    ["nothing", undefined],
    ["text", "text"],
    ["bytes that are no protobuf", Buffer.from([10, 200, 1, 1])],
    [
      "text that is not UTF-8",
      new BinaryWriter()
        .uint32(10)
        .bytes(
          new BinaryWriter()
            .uint32(10)
            .bytes(Buffer.from([0xff]))
            .finish(),
        )
        .finish(),
    ],
    ["a document without a name", { value: { ...JSON_DOCUMENT, name: "" } }],
    ["a document without a version", { value: { name: NAME } }],
  ] as const) {
    it(`throws a ValidationError if the event contains ${what}`, () => {
      assert.throws(() => changeIn(data), { name: "ValidationError" });
    });
  }
});
