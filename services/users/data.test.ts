/** The rules by which the data service answers and refuses. */
import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { userOf } from "./data.js";

const refusal = (name: string) => {
  try {
    userOf(name);
  } catch (error) {
    return error as { code: status; details: string };
  }
  return assert.fail(`took ${JSON.stringify(name)}`);
};

describe("user data", () => {
  it("returns name, class and roll by the length of the name", () => {
    assert.deepEqual(userOf("krithik"), { name: "krithik", class: "7", roll: 70 });
    assert.deepEqual(userOf("sixsix"), { name: "sixsix", class: "6", roll: 60 });
  });

  it("counts UTF-8 bytes, not characters", () => {
    assert.deepEqual(userOf("äöü"), { name: "äöü", class: "6", roll: 60 });
    assert.deepEqual(userOf("🍕🍕"), { name: "🍕🍕", class: "8", roll: 80 });
    assert.match(refusal("äöa").details, /it has 5/);
  });

  it("rejects names shorter than 6 bytes, and quotes them", () => {
    const { code, details } = refusal("abc");
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.equal(details, 'The name "abc" is shorter than 6 characters: it has 3, counted in UTF-8 bytes');
  });

  it("rejects an empty name with its own message", () => {
    assert.match(refusal("").details, /missing/);
  });

  it("rejects a name in one line, whatever it contains", () => {
    const short = fc.string({ unit: "binary-ascii", maxLength: 5 });
    fc.assert(fc.property(short, (name) => assert.doesNotMatch(refusal(name).details, /[\r\n]/)));
  });

  it("accepts every name of 6 bytes or more", () => {
    const long = fc.string({ unit: "grapheme", minLength: 6, maxLength: 60 });
    fc.assert(
      fc.property(long, (name) => {
        const length = Buffer.byteLength(name);
        assert.deepEqual(userOf(name), { name, class: `${length}`, roll: 10 * length });
      }),
    );
  });
});
