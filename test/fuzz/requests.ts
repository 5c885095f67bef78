/** Requests to the operators' API, from people who may and people who may not. */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { callError, StoreError, TokenError } from "../../functions/src/domain/errors.js";
import { Api, type ApiRequest, type ApiResponse } from "../../functions/src/operator-api/api.js";
import type { Person } from "../../functions/src/operator-api/auth.js";
import { ROUTES } from "../../functions/src/operator-api/routes.js";
import type { Ports } from "../../functions/src/ports.js";
import { type TestBed, testBed } from "../../functions/src/testing/test-bed.js";
import { attemptLeftIn } from "../../functions/src/testing/waiting-attempt.js";
import { complaintAbout } from "./described.js";
import { damaged, extraFields, hostileName, hostileText, hostileValue } from "./hostile.js";
import { brief, count, expect, expectOnly, expectSound, kind } from "./kind.js";
import { isWellFormed, StrictStore } from "./strict-store.js";

const ORDER = "orders/7f3c";
const FOUND = "kitchenorders/found";
/** The version that the first write to a store in memory gets. */
const SEEN = "1";

export interface Asked {
  request: ApiRequest;
  /** The path as in the document, if the method is the route's own. */
  described: string | undefined;
  person: Person;
  /** What can't be reached. */
  away: "nothing" | "store" | "food" | "customers";
}

const mostly = <T>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: usual }, { weight: 1, arbitrary: other });

const one = <T>(value: T) => fc.constant(value);

/** A segment of a path as a client would write it, or as it should not. */
const encoded = (text: string) => {
  try {
    return encodeURIComponent(text);
  } catch {
    return text;
  }
};
const hostileSegment = fc.oneof(
  hostileText.map(encoded),
  hostileText,
  fc.constantFrom("%", "%ff", "%zz", "%2F", "%00"),
);

const OTHER_METHODS = ["HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "__proto__"];

const target = fc
  .record({
    // Decisions are what can do harm: they are drawn as often as all the rest.
    route: fc.oneof(fc.constantFrom(...ROUTES), fc.constantFrom(...ROUTES.filter(({ method }) => method === "POST"))),
    other: mostly<string | undefined>(one(undefined), fc.oneof(fc.constantFrom(...OTHER_METHODS), hostileText)),
    id: mostly(one("7f3c"), hostileSegment),
    stage: mostly(one("kitchen"), fc.oneof(fc.constantFrom("shipment", "completion", "KITCHEN"), hostileSegment)),
    name: mostly(one("krithik"), hostileSegment),
  })
  .map(({ route, other, ...params }) => {
    const path = route.path.replace(/\{(id|stage|name)\}/g, (_, param: keyof typeof params) => params[param]);
    // What has a slash too many or a parameter too few leads to another route, or to none.
    const leadsThere =
      other === undefined && path.split("/").length === route.path.split("/").length && !path.includes("//");
    return {
      method: other ?? route.method,
      path,
      described: leadsThere && !path.endsWith("/") ? route.path : undefined,
    };
  });

const query = fc
  .array(
    fc.tuple(
      mostly(fc.constantFrom("state", "pageSize", "pageToken"), hostileText),
      mostly(
        fc.constantFrom("PREPARATION", "GONE", "2", "300", "0", Buffer.from("relations/7f3c").toString("base64url")),
        hostileText,
      ),
    ),
    { maxLength: 4 },
  )
  .map((pairs) => pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&"));

const role = mostly<unknown>(fc.constantFrom("operator", "operator", "operator", "viewer"), hostileValue);
/** Firebase Authentication keeps ids and addresses of bounded length, in UTF-8. */
const keptText = hostileText.filter((text) => isWellFormed(text) && text.length <= 254);
const person = fc.record({
  id: keptText,
  name: mostly(one("ana@example.com"), keptText),
  role,
}) as fc.Arbitrary<Person>;

const headers = fc
  .tuple(
    mostly<string | undefined>(one("Bearer good"), fc.oneof(one(undefined), one("Bearer bad"), hostileText)),
    mostly<string | string[] | undefined>(
      one("key-1"),
      fc.oneof(one(undefined), hostileText, fc.array(hostileText, { maxLength: 3 })),
    ),
    mostly<string | undefined>(
      one("application/json"),
      fc.oneof(one(undefined), one("APPLICATION/JSON ; charset=utf-8"), hostileText),
    ),
    extraFields,
  )
  .map(([authorization, key, type, extra]): ApiRequest["headers"] => ({
    ...Object.fromEntries(extra.map(([name, value]) => [name.toLowerCase(), JSON.stringify(value)])),
    ...(authorization !== undefined && { authorization }),
    ...(key !== undefined && { "idempotency-key": key }),
    ...(type !== undefined && { "content-type": type }),
  }));

const decision = { reason: "asked the kitchen", version: SEEN };
const many = { reason: "asked the kitchen", attempts: [{ id: "7f3c", stage: "kitchen", claim: "a" }] };
const json = fc.oneof(
  { weight: 1, arbitrary: one<unknown>({ ...many, action: "retry" }) },
  { weight: 1, arbitrary: one<unknown>({ ...many, action: "dismiss" }) },
  { weight: 1, arbitrary: damaged({ ...many, action: "dismiss" }, { action: hostileText, reason: hostileText }) },
  { weight: 3, arbitrary: one<unknown>(decision) },
  { weight: 3, arbitrary: one<unknown>({ ...decision, name: FOUND }) },
  {
    weight: 3,
    arbitrary: damaged({ ...decision, name: FOUND }, { name: hostileName, reason: hostileText, version: hostileText }),
  },
  { weight: 1, arbitrary: hostileValue },
);
const body: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 8, arbitrary: json.map((value) => Buffer.from(JSON.stringify(value))) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.json().map((text) => Buffer.from(text.slice(0, -1))) },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 16_380, max: 16_390 })
      .map((length) => Buffer.from(JSON.stringify("x".repeat(length)))),
  },
);

export const asked: fc.Arbitrary<Asked> = fc
  .record({
    target,
    rest: fc.record({ query, headers, body }),
    person,
    away: mostly<Asked["away"]>(one("nothing"), fc.constantFrom("store", "food", "customers")),
  })
  .map(({ target: { described, ...to }, rest, ...others }) => ({ request: { ...to, ...rest }, described, ...others }));

/** A world with an order whose create at the kitchen waits for an operator, and an API over it. */
export async function desk({
  person,
  away,
}: Pick<Asked, "person" | "away">): Promise<{ bed: TestBed; store: StrictStore; api: Api }> {
  const bed = testBed();
  bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: "NEW" });
  bed.food.kitchenOrders.set(FOUND, { name: FOUND, status: "NEW" });
  await bed.store.set("attempts/kitchen:7f3c", attemptLeftIn("UNCERTAIN", ORDER));
  const store = new StrictStore(bed.store);
  const ports: Ports = { ...bed.ports, store: away === "store" ? unreachable(new StoreError("no answer")) : store };
  if (away === "food") ports.food = unreachable(callError("UNAVAILABLE", "down", false));
  if (away === "customers") ports.customers = unreachable(callError("UNAVAILABLE", "down", false));
  const verify = async (token: string): Promise<Person> => {
    if (token === "good") return person;
    throw new TokenError("This is not an ID token of this project.");
  };
  return { bed, store, api: new Api(ports, { verify }) };
}

/** A service of which every call fails. */
function unreachable<T extends object>(error: Error): T {
  return new Proxy({} as T, { get: () => () => Promise.reject(error) });
}

/** What must hold of every answer. */
function expectGood({ status, headers, body }: ApiResponse, away: Asked["away"]): void {
  expect(status < 500 || (status === 503 && away !== "nothing"), () => `answered ${status}: ${brief(body)}`);
  for (const [name, value] of Object.entries(headers)) {
    expect(/^[\x20-\x7e]*$/.test(value), () => `the header ${name} can't be sent: ${brief(value)}`);
  }
  if (status < 400) return;
  const problem = body as Record<string, unknown>;
  const isProblem = ["type", "title", "detail"].every((name) => typeof problem[name] === "string");
  expect(isProblem && problem.status === status, () => `no problem details: ${brief(body)}`);
  expect(JSON.stringify(body).length < 10_000, () => `an answer of ${JSON.stringify(body).length} characters`);
}

/** Where a request may change something, if it is let in. */
const DECIDING = /^\/api\/(relations\/7f3c\/kitchen\/(link|retry|dismiss)|decisions)$/;
const MAY_CHANGE = ["attempts/kitchen:7f3c", "relations/7f3c"];

/** A change is made only by an operator's sound decision. */
export function expectNoStrayWrite({ request, person }: Asked, status: number, store: StrictStore): void {
  if (store.writes.length === 0) return;
  const mayDecide = request.method === "POST" && DECIDING.test(request.path) && person.role === "operator";
  expect(mayDecide && status === 200, () => `answered ${status} and wrote ${brief(store.writes)}`);
  expectOnly(store.writes, MAY_CHANGE, ORDER);
}

export const requests = kind(40, asked, async (given, { answer }, reached) => {
  const { bed, store, api } = await desk(given);
  const first = await answer(api, given.request);
  expectGood(first, given.away);
  const { request, described } = given;
  const complaint = described && complaintAbout(request.method, described, first);
  expect(complaint === undefined, () => `answered otherwise than described: ${complaint}: ${brief(first)}`);
  expectNoStrayWrite(given, first.status, store);
  const written = store.writes.length;
  const again = await answer(api, given.request);
  expect(isDeepStrictEqual(again, first), () => `answered otherwise the second time: ${brief(again)}`);
  expect(store.writes.length === written, () => "the second time something was written again");
  expectSound(bed, store);
  count(reached, `requests answered ${first.status}`);
  if (written > 0)
    count(reached, request.path === "/api/decisions" ? "requests that decided about many" : "requests that decided");
});
