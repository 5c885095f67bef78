/** Malicious or mistaken input in place of a name, a text or a field. */
import fc from "fast-check";

/** Ids that lead elsewhere, are reserved, can't be stored, or look like another. */
const KNOWN_IDS = [
  "",
  ".",
  "..",
  "../x",
  "a/b",
  "/",
  "a/history/b",
  "\0",
  "a\nb",
  "\u007f",
  "__x__",
  "__proto__",
  "constructor",
  "toString",
  "%2e%2e",
  "%00",
  "e\u0301",
  "\u00e9",
  "\ud800",
  "a\udfff",
  "\u202egnp",
  "\ufeff",
  "\u{1f600}",
  "7f3c ",
  "7F3C",
];

/** Whole text of UTF-16 units as they come, lone surrogates among them. */
const units = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 20 });

const around = (limit: number) => fc.integer({ min: limit - 2, max: limit + 2 });

/** Text about as long as some limit allows, in letters of one, two and four bytes. */
const long = fc
  .tuple(fc.constantFrom("x", "\u00e9", "\u{1f600}"), fc.oneof(around(200), around(500), around(1400), around(1500)))
  .map(([letter, bytes]) => letter.repeat(Math.ceil(bytes / Buffer.byteLength(letter))));

const huge = fc.constantFrom(20_000, 300_000, 1_100_000).map((length) => "x".repeat(length));

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...KNOWN_IDS) },
  { weight: 4, arbitrary: units },
  { weight: 4, arbitrary: fc.string({ unit: "binary", maxLength: 30 }) },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constantFrom(...KNOWN_IDS), fc.constantFrom(...KNOWN_IDS)).map(([a, b]) => a + b),
  },
  { weight: 2, arbitrary: long },
  { weight: 1, arbitrary: huge },
);

/** The names of resources, with the right prefix, another one, or none. */
export const hostileName: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom("orders/", "orders/", "kitchenorders/", "shipments/", "Orders/", "/orders/", ""), hostileText)
  .map(([prefix, text]) => prefix + text);

/** What JSON can contain. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(null, true, 0, -1, 0.5, 1e308, 2 ** 53, [], {}, [[]], "NEW", "operator"),
  fc
    .tuple(fc.constantFrom("__proto__", "constructor", "a.b", "", "order"), fc.jsonValue({ maxDepth: 1 }))
    .map((entry) => Object.fromEntries([entry])),
);

/** Names of fields, of ours and of every object. */
const fieldName = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "schema", "id", "a.b", ""),
  fc.string({ maxLength: 8 }),
);

/** Unexpected fields; `__proto__` is one of them. */
export const extraFields: fc.Arbitrary<[string, unknown][]> = fc.array(fc.tuple(fieldName, hostileValue), {
  maxLength: 3,
});

/**
 * The same object with some fields replaced, some left out and some added.
 * @param fields what each may be replaced with; hostile values if left out
 */
export function damaged(
  sound: Record<string, unknown>,
  fields: Partial<Record<string, fc.Arbitrary<unknown>>> = {},
): fc.Arbitrary<Record<string, unknown>> {
  const names = Object.keys(sound);
  const some = (most: number) => fc.subarray(names, { maxLength: Math.min(most, names.length) });
  return fc
    .tuple(
      some(2),
      fc.oneof({ weight: 3, arbitrary: fc.constant<string[]>([]) }, { weight: 1, arbitrary: some(1) }),
      extraFields,
    )
    .chain(([changed, gone, extra]) =>
      fc.tuple(...changed.map((name) => fc.oneof(fields[name] ?? hostileValue, hostileValue))).map((values) => {
        const remaining = Object.entries(sound).filter(([name]) => !gone.includes(name));
        // Object.fromEntries makes a field even of __proto__, as JSON.parse does.
        return Object.fromEntries([
          ...extra,
          ...remaining,
          ...changed.map((name, index): [string, unknown] => [name, values[index]]),
        ]);
      }),
    );
}
