/** Documents as no build of ours writes them, under every handler that reads any. */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { ValidationError } from "../../functions/src/domain/errors.js";
import type { KitchenStatus, OrderStatus, ShipmentStatus, Stage } from "../../functions/src/domain/order-lifecycle.js";
import { assertWritable } from "../../functions/src/firestore-limits.js";
import { Api } from "../../functions/src/operator-api/api.js";
import type { Fields, Ports } from "../../functions/src/ports.js";
import { STATISTICS_PATH } from "../../functions/src/relations/statistics.js";
import { type TestBed, testBed } from "../../functions/src/testing/test-bed.js";
import { complaintAbout } from "./described.js";
import { damaged, extraFields, hostileText } from "./hostile.js";
import { brief, count, expect, expectOnly, expectSound, kind } from "./kind.js";
import { StrictStore } from "./strict-store.js";

const ORDER = "orders/7f3c";
const RELATION = "relations/7f3c";
const KITCHEN_ATTEMPT = "attempts/kitchen:7f3c";
const SHIPMENT_ATTEMPT = "attempts/shipment:7f3c";
const LEASES = ["leases/poll", "leases/sweep"];
const AT = new Date(Date.UTC(2026, 0, 1));
/** The last day that Firestore knows. */
const FAR = new Date(Date.UTC(9999, 11, 31));

/** What stands at a path, and whether it can't be what a build of ours understands. */
interface Planted {
  fields: Fields;
  unreadable: boolean;
}

const values = (...each: unknown[]) => fc.constantFrom(...each);
const noText = values(null, 7, true, [], {}, Number.NaN);
const noTime = values("2026-01-01", 7, true, {}, []);

/** Values that make a relation unreadable, by field. */
const BAD_RELATION: Record<string, fc.Arbitrary<unknown>> = {
  schema: values(0, 2, 1.5, "1", null),
  kitchen: fc.oneof(noText, values("", "a\0b", "\ud800", "x".repeat(1_401))),
  shipment: fc.oneof(noText, values("", "a\nb", "x".repeat(1_000_000))),
  state: fc.oneof(noText, values("", "BAKED", "constructor", "__proto__")),
  customerId: noText,
  customer: fc.oneof(noText, values("krithik", { name: "k" }, { reason: "x" }, { reason: { code: 5, message: "" } })),
  times: fc.oneof(
    values("x", 7, null, [], AT),
    noTime.map((time) => ({ PREPARATION: time })),
    values({ BAKED: AT }),
  ),
};
const BAD_ATTEMPT: Record<string, fc.Arbitrary<unknown>> = {
  schema: values(0, 2, "1", null),
  order: noText,
  stage: fc.oneof(noText, values("completion", "")),
  id: noText,
  state: fc.oneof(noText, values("", "DONE", "toString")),
  policy: fc.oneof(noText, values("", "twice")),
  tries: values(-1, 0.5, "1", null, Number.POSITIVE_INFINITY),
  leaseUntil: noTime,
  nextTryAt: noTime,
  reason: values("x", 7, { code: 1, message: "" }, { message: "x" }),
};

const link = { kitchen: "kitchenorders/1" };
const both = { ...link, shipment: "shipments/1" };
const SOUND_RELATIONS: Fields[] = [
  link,
  both,
  { schema: 1, ...link, state: "PREPARATION", times: { PREPARATION: AT } },
  { schema: 1, ...both, state: "IN_FLIGHT", times: {} },
  { schema: 1, ...both, state: "DELIVERED", customerId: "krithik" },
  { schema: 1, ...link, state: "CANCELLED", customer: { name: "krithik", class: "7", roll: 70 } },
];

const soundAttempt = (stage: "kitchen" | "shipment") =>
  fc
    .record({
      state: values("SENDING", "FAILED", "PARKED", "UNCERTAIN", "CLOSED"),
      leaseUntil: values(null, AT, FAR),
      nextTryAt: values(null, AT, FAR),
      policy: values("park", "idempotency-key"),
    })
    .map((drawn) => ({ schema: 1, order: ORDER, stage, id: "a", tries: 1, ...drawn }) as Fields);

/** Whether any program could have written it. */
function isStorable(fields: Fields): boolean {
  try {
    assertWritable([{ kind: "create", path: RELATION, fields }]);
    return true;
  } catch {
    return false;
  }
}

/** Valid documents, some with one invalid field, some with unknown fields, and some with arbitrary content. */
function planted(
  sound: fc.Arbitrary<Fields>,
  bad: Record<string, fc.Arbitrary<unknown>>,
): fc.Arbitrary<Planted | undefined> {
  const spoiled = fc
    .tuple(sound, fc.constantFrom(...Object.keys(bad)))
    .chain(([fields, name]) =>
      (bad[name] ?? fc.constant(null)).map((value) => ({ ...fields, [name]: value as never })),
    );
  const known = Object.keys(bad);
  const extended = fc.tuple(sound, extraFields).map(([fields, extra]) => {
    const others = extra.filter(([name]) => !known.includes(name));
    return Object.fromEntries([...others, ...Object.entries(fields)]) as Fields;
  });
  const any = sound.chain((fields) => damaged(fields, bad)).map((fields) => fields as Fields);
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 3, arbitrary: extended.filter(isStorable).map((fields) => ({ fields, unreadable: false })) },
    { weight: 1, arbitrary: spoiled.filter(isStorable).map((fields) => ({ fields, unreadable: true })) },
    { weight: 1, arbitrary: any.filter(isStorable).map((fields) => ({ fields, unreadable: false })) },
  );
}

const lease = planted(
  fc.constantFrom<Fields[]>({ holder: "", step: 0, until: new Date(0) }, { holder: "a", step: 3, until: FAR }),
  { holder: noText, step: values(null, "1", 0.5), until: fc.oneof(noTime, values(null)) },
);

const entry = fc
  .oneof(
    damaged({ schema: 1, order: ORDER, state: "PREPARATION", at: AT, ...link }),
    damaged({ order: ORDER, action: "link", by: "ana", at: AT }),
  )
  .map((fields) => ({ fields: { ...fields, order: ORDER } as Fields, unreadable: false }))
  .filter(({ fields }) => isStorable(fields));

const STAGES: Stage[] = ["kitchen", "shipment", "completion"];
const ACTIONS = [...STAGES, "report", "customer", "pollOrders", "sweep", "read", "list"] as const;

const found = fc.record({
  documents: fc.record({
    [RELATION]: planted(fc.constantFrom(...SOUND_RELATIONS), BAD_RELATION),
    [KITCHEN_ATTEMPT]: planted(soundAttempt("kitchen"), BAD_ATTEMPT),
    [SHIPMENT_ATTEMPT]: planted(soundAttempt("shipment"), BAD_ATTEMPT),
    "leases/poll": lease,
    "leases/sweep": lease,
    "history/1": fc.option(entry, { nil: undefined }),
    "audit/1": fc.option(entry, { nil: undefined }),
  }),
  before: planted(fc.constantFrom(...SOUND_RELATIONS), BAD_RELATION),
  status: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<OrderStatus[]>("NEW", "PREPARATION", "IN_FLIGHT") },
    { weight: 1, arbitrary: fc.constantFrom<OrderStatus[]>("DELIVERED", "CANCELLED", "UNKNOWN") },
  ),
  kitchen: fc.constantFrom<KitchenStatus[]>("NEW", "PACKAGED", "UNKNOWN"),
  shipment: fc.constantFrom<ShipmentStatus[]>("NEW", "DELIVERED", "REJECTED", "UNKNOWN"),
  customer: fc.oneof(fc.constant("krithik"), hostileText),
  action: fc.constantFrom(...ACTIONS),
});
type Found = typeof found extends fc.Arbitrary<infer F> ? F : never;

async function world({
  documents,
  status,
  kitchen,
  shipment,
  customer,
}: Found): Promise<{ bed: TestBed; store: StrictStore; ports: Ports }> {
  const bed = testBed();
  bed.food.orders.set(ORDER, { name: ORDER, customerId: customer, status });
  bed.food.kitchenOrders.set("kitchenorders/1", { name: "kitchenorders/1", status: kitchen });
  bed.food.shipments.set("shipments/1", { name: "shipments/1", status: shipment });
  for (const [path, document] of Object.entries(documents)) if (document) await bed.store.set(path, document.fields);
  const store = new StrictStore(bed.store);
  return { bed, store, ports: { ...bed.ports, store } };
}

/** The stage whose create an action may lead to. */
const CREATES: Partial<Record<string, "kitchen" | "shipment">> = { kitchen: "kitchen", shipment: "shipment" };

export const documents = kind(30, found, async (given, handlers, reached) => {
  const { bed, store, ports } = await world(given);
  const { documents: there, before, action } = given;
  const paths = Object.keys(there) as (keyof typeof there)[];
  const snapshots = new Map(bed.store.memory.all("relations").map((snapshot) => [snapshot.path, snapshot]));
  const asFound = new Map(await Promise.all(paths.map(async (path) => [path, await bed.store.fields(path)] as const)));
  const change = {
    before: before && { path: RELATION, fields: before.fields, version: "0" },
    after: snapshots.get(RELATION),
  };

  if (action === "read" || action === "list") {
    const api = new Api(ports, { verify: async () => ({ id: "v", name: "vera", role: "viewer" }) });
    const path = action === "read" ? "/api/relations/7f3c" : "/api/relations";
    const request = { method: "GET", path, query: "", headers: { authorization: "Bearer x" }, body: new Uint8Array() };
    const answer = await handlers.answer(api, request);
    expect(answer.status === 200 || answer.status === 404, () => `answered ${brief(answer)}`);
    const complaint = complaintAbout("GET", path.replace("7f3c", "{id}"), answer);
    expect(complaint === undefined, () => `answered otherwise than described: ${complaint}: ${brief(answer)}`);
  } else if (action === "pollOrders" || action === "sweep") {
    await handlers[action](ports).catch((error: unknown) => {
      // An unreadable lease is reported as an error; it is not a crash.
      if (!(error instanceof ValidationError)) throw error;
    });
  } else if (action === "report" || action === "customer") await handlers.runReaction(action, "7f3c", change, ports);
  else await handlers.handleOrderMessage(action, { order: ORDER, status: "NEW" }, ports);

  expectOnly(store.writes, [RELATION, KITCHEN_ATTEMPT, SHIPMENT_ATTEMPT, ...LEASES, STATISTICS_PATH], ORDER);
  for (const path of paths) {
    if (!there[path]?.unreadable) continue;
    const now = await bed.store.fields(path);
    expect(isDeepStrictEqual(now, asFound.get(path)), () => `${path} can't be read, and was written: ${brief(now)}`);
    count(reached, "unreadable documents left alone");
  }
  const creates = CREATES[action];
  const attempt = creates && there[`attempts/${creates}:7f3c`];
  const forbidden = there[RELATION]?.unreadable || attempt?.unreadable || (attempt && !maySendAgain(attempt.fields));
  expect(bed.food.created.length <= (creates && !forbidden ? 1 : 0), () => `${bed.food.created.length} creates`);
  expect(
    !there[RELATION]?.unreadable || bed.food.updates.length === 0,
    () => "a relation that can't be read was reported",
  );
  count(reached, store.writes.length > 0 ? `documents that ${action} acted on` : "documents left as they were");
  expectSound(bed, store);
});

/** Whether nothing was created with an attempt, and no person has said that nothing is to be. */
function maySendAgain({ state, isDismissed, reason }: Fields): boolean {
  const { code } = (reason ?? {}) as { code?: unknown };
  return state === "FAILED" || (state === "CLOSED" && isDismissed !== true && code !== "STRANDED");
}
