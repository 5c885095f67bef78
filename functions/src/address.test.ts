import assert from "node:assert/strict";
import { parseAddress } from "./address.js";

describe("an address", () => {
  const good: [text: string, host: string, port: number][] = [
    ["localhost:50051", "localhost", 50051],
    ["food.example.com:443", "food.example.com", 443],
    ["food.example.com.:443", "food.example.com.", 443],
    ["food_service:1", "food_service", 1],
    ["xn--mnchen-3ya.example:443", "xn--mnchen-3ya.example", 443],
    ["10.0.0.7:65535", "10.0.0.7", 65535],
    ["[::1]:0", "::1", 0],
    ["[::ffff:10.0.0.1]:443", "::ffff:10.0.0.1", 443],
    ["[2001:db8::7]:443", "2001:db8::7", 443],
    ["a:443", "a", 443],
    ["dns:443", "dns", 443],
    ["1and1.example:443", "1and1.example", 443],
  ];
  for (const [text, host, port] of good) {
    it(`is parsed from ${text}`, () => {
      assert.deepEqual(parseAddress(text), { host, port });
    });
  }

  const bad = [
    ...[
      "",
      ":",
      "localhost",
      "localhost:",
      ":50051",
      "localhost:65536",
      "localhost:-1",
      "localhost:0x10",
      "localhost:1e3",
    ],
    ...[
      "localhost:050",
      "::1:50051",
      "[::1]",
      "[::1",
      "::1]:1",
      "[]:1",
      "[localhost]:1",
      "[10.0.0.1]:1",
      "[fe80::1%eth0]:1",
    ],
    ...[
      "a b:1",
      " a:1",
      "a:1 ",
      "a:1\n",
      "https://food:443",
      "food:443/",
      "food..example:1",
      ".food:1",
      "-food:1",
      "food-:1",
    ],
    ...[
      "300.1.1.1:1",
      "10.0.0:1",
      "1:1",
      "münchen.example:1",
      `${"a".repeat(64)}:1`,
      `${"a.".repeat(130)}:1`,
      "user@food:1",
    ],
  ];
  for (const text of bad) {
    it(`is not parsed from ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.equal(parseAddress(text), undefined);
    });
  }
});
