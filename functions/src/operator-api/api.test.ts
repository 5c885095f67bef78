import assert from "node:assert/strict";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { default as formats } from "ajv-formats";
import type { AttemptState } from "../attempts/attempt-states.js";
import { AUDIT } from "../attempts/audit.js";
import { ConflictError, callError, StoreError, TokenError } from "../domain/errors.js";
import type { Fields } from "../ports.js";
import { closingEntry, linkEntry } from "../relations/history.js";
import { apiRequest, type Sent } from "../testing/api-request.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { attemptLeftIn } from "../testing/waiting-attempt.js";
import { Api, type ApiResponse } from "./api.js";
import type { Person } from "./auth.js";
import { openApiDocument } from "./openapi.js";
import { ROUTES } from "./routes.js";

const OPENAPI = openApiDocument() as { paths: Record<string, object> };

const ORDER = "orders/7f3c";
const RELATION = "relations/7f3c";
const ATTEMPT = "attempts/kitchen:7f3c";
const AT = new Date("2026-01-01T00:00:00.000Z");

const PEOPLE: Record<string, Person> = {
  viewer: { id: "v", name: "vera@example.com", role: "viewer" },
  operator: { id: "o", name: "ana@example.com", role: "operator" },
  none: { id: "n", name: "n@example.com", role: undefined },
  king: { id: "k", name: "k@example.com", role: "king" },
};

/** How to validate what a path answers with a status. */
const validators = new Map<string, ValidateFunction>();
const ajv = new Ajv2020({ strict: false, allErrors: true });
(formats as unknown as (ajv: Ajv2020) => void)(ajv);
ajv.addSchema(OPENAPI, "api");

/** What the document says, by path and method. */
const PATHS = OPENAPI.paths as unknown as Record<string, Record<string, { responses: Record<string, object> }>>;

/** Which of its answers were seen. */
const answered = new Set<string>();

class Bed {
  readonly bed: TestBed;
  readonly api: Api;

  constructor() {
    this.bed = testBed();
    this.api = new Api(this.bed.ports, {
      verify: async (token) => {
        if (token === "away") throw new StoreError("no keys");
        if (token === "odd") throw new Error("odd");
        const person = PEOPLE[token];
        if (!person) throw new TokenError("This is not an ID token of this project.");
        return person;
      },
    });
  }

  async ask(method: string, address: string, sent: Sent = {}): Promise<ApiResponse> {
    const request = apiRequest(method, address, sent);
    const response = await this.api.answer(request);
    expectAsDescribed(method, request.path, response);
    return response;
  }

  /** An attempt of the order that waits for an operator; its version. */
  async waiting(state: AttemptState, fields: Fields = {}): Promise<string> {
    const reason = { code: "UNKNOWN", message: "no answer" };
    this.bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: "NEW" });
    await this.bed.store.set(ATTEMPT, { ...attemptLeftIn(state, ORDER, { reason }), ...fields });
    return (await this.bed.store.memory.read(ATTEMPT))[0]?.version ?? "";
  }

  async audits(): Promise<Fields[]> {
    return this.bed.store.memory.all(AUDIT).map(({ fields }) => fields);
  }
}

/** Every answer, whatever a test looks at, must be one that the document promises. */
function expectAsDescribed(method: string, path: string, { status, body, headers }: ApiResponse): void {
  assert.equal(headers["Cache-Control"], "no-store");
  assert.doesNotMatch(JSON.stringify(body), /\bat .+:\d+:\d+/, "a stack");
  const template = Object.keys(OPENAPI.paths).find((one) => pattern(one).test(path));
  const verb = method === "HEAD" ? "get" : method.toLowerCase();
  const described = template && PATHS[template]?.[verb];
  const type = status < 400 ? "application/json" : "application/problem+json";
  assert.equal(headers["Content-Type"], type);
  if (!described) {
    expectValid("api#/components/schemas/Problem", body);
    return;
  }
  const pointer = ["paths", template ?? "", verb, "responses", String(status), "content", type, "schema"];
  const { responses: known } = described;
  assert.ok(
    status === 500 || known[String(status)],
    `${method} ${template} answered ${status}, which it does not promise`,
  );
  if (status === 500) {
    expectValid("api#/components/schemas/Problem", body);
    return;
  }
  expectValid(
    `api#/${pointer.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")}`,
    body,
  );
  answered.add(`${verb} ${template} ${status}`);
}

function expectValid(schema: string, body: unknown): void {
  const validate = validators.get(schema) ?? ajv.compile({ $ref: schema });
  validators.set(schema, validate);
  assert.ok(validate(body), `${schema}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(body)}`);
}

function pattern(template: string): RegExp {
  return new RegExp(`^${template.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`);
}

const detailOf = ({ body }: ApiResponse) => (body as { detail: string }).detail;

describe("the operator API", () => {
  let bed: Bed;
  beforeEach(() => {
    bed = new Bed();
  });

  describe("access to the API", () => {
    const addresses = ROUTES.filter(({ role }) => role).map(({ method, path }) => [
      method,
      path.replace("{id}", "7f3c").replace("{stage}", "kitchen").replace("{name}", "krithik"),
    ]) as [string, string][];

    for (const [method, path] of addresses) {
      it(`rejects an unauthenticated request (${method} ${path})`, async () => {
        for (const headers of [
          {},
          { authorization: "Basic dTpw" },
          { authorization: "Bearer" },
          { authorization: "Bearer forged" },
        ]) {
          const response = await bed.ask(method, path, { headers });
          assert.equal(response.status, 401);
          assert.equal(response.headers["WWW-Authenticate"], "Bearer");
        }
      });

      it(`rejects a person without a role (${method} ${path})`, async () => {
        for (const as of ["none", "king"]) assert.equal((await bed.ask(method, path, { as })).status, 403);
      });
    }

    it("lets a viewer read, and never decide", async () => {
      const version = await bed.waiting("UNCERTAIN");
      assert.equal((await bed.ask("GET", "/api/relations", { as: "viewer" })).status, 200);
      const body = { reason: "x", version };
      const refused = await bed.ask("POST", "/api/relations/7f3c/kitchen/retry", { as: "viewer", key: "1", body });
      assert.equal(refused.status, 403);
      assert.match(detailOf(refused), /You are viewer; this needs the role operator/);
      assert.equal(await bed.bed.store.field(ATTEMPT, "state"), "UNCERTAIN");
    });

    it("returns 503 if tokens can't be verified", async () => {
      assert.equal((await bed.ask("GET", "/api/relations", { as: "away" })).status, 503);
      const odd = await bed.ask("GET", "/api/relations", { as: "odd" });
      assert.equal(odd.status, 500);
      assert.doesNotMatch(detailOf(odd), /odd/);
      assert.ok(bed.bed.lines.some(({ level }) => level === "error"));
    });

    it("serves its health and its OpenAPI document without a role", async () => {
      assert.deepEqual((await bed.ask("GET", "/api/health")).body, { status: "ok" });
      assert.deepEqual((await bed.ask("GET", "/api/openapi.json")).body, OPENAPI);
    });

    it("limits the rate of each user separately", async () => {
      let refused: ApiResponse | undefined;
      for (let tries = 0; tries < 200 && !refused; tries++) {
        const response = await bed.ask("GET", "/api/relations", { as: "viewer" });
        if (response.status === 429) refused = response;
      }
      assert.match(refused?.headers["Retry-After"] ?? "", /^\d+$/);
      assert.equal((await bed.ask("GET", "/api/relations", { as: "operator" })).status, 200);
      bed.bed.clock.advance(60_000);
      assert.equal((await bed.ask("GET", "/api/relations", { as: "viewer" })).status, 200);
    });
  });

  describe("relations in the API", () => {
    beforeEach(async () => {
      for (let number = 1; number <= 5; number++) {
        const state = number % 2 === 0 ? "IN_FLIGHT" : "PREPARATION";
        const links = { kitchen: `k/${number}`, ...(state === "IN_FLIGHT" && { shipment: `s/${number}` }) };
        await bed.bed.store.set(`relations/${number}`, { schema: 1, state, ...links, times: { [state]: AT } });
      }
    });

    const idsIn = ({ body }: ApiResponse) => (body as { relations: { id: string }[] }).relations.map(({ id }) => id);
    const tokenIn = ({ body }: ApiResponse) => (body as { nextPageToken: string }).nextPageToken;

    it("are listed page by page, each once", async () => {
      const seen: string[] = [];
      let token = "";
      do {
        const page = await bed.ask("GET", `/api/relations?pageSize=2&pageToken=${token}`, { as: "viewer" });
        seen.push(...idsIn(page));
        token = tokenIn(page);
      } while (token !== "");
      assert.deepEqual(seen, ["1", "2", "3", "4", "5"]);
    });

    it("are listed by state", async () => {
      assert.deepEqual(idsIn(await bed.ask("GET", "/api/relations?state=IN_FLIGHT", { as: "viewer" })), ["2", "4"]);
      const both = "/api/relations?state=IN_FLIGHT&state=PREPARATION&state=IN_FLIGHT";
      assert.equal(idsIn(await bed.ask("GET", both, { as: "viewer" })).length, 5);
    });

    it("are listed without unreadable documents, which are named", async () => {
      await bed.bed.store.set("relations/3", { schema: 99 });
      const { body } = await bed.ask("GET", "/api/relations", { as: "viewer" });
      const { relations, unreadable } = body as { relations: object[]; unreadable: { id: string; reason: string }[] };
      assert.equal(relations.length, 4);
      assert.equal(unreadable[0]?.id, "3");
      assert.match(unreadable[0]?.reason ?? "", /schema/);
    });

    for (const query of [
      "state=BAKED",
      "state=",
      "pageSize=0",
      "pageSize=301",
      "pageSize=2.5",
      "pageSize=1&pageSize=2",
      "pageToken=!!",
      `pageToken=${Buffer.from("attempts/kitchen:1").toString("base64url")}`,
      `pageToken=${Buffer.from("relations/a/b").toString("base64url")}`,
      "colour=red",
      "__proto__=1",
    ]) {
      it(`are not listed for the query ${query}`, async () => {
        const response = await bed.ask("GET", `/api/relations?${query}`, { as: "viewer" });
        assert.equal(response.status, 400);
      });
    }

    it("have attempts, history and decisions, oldest first", async () => {
      const version = await bed.waiting("UNCERTAIN");
      await bed.bed.store.set(RELATION, {
        schema: 1,
        kitchen: "k/7",
        state: "PREPARATION",
        times: { PREPARATION: AT },
      });
      await bed.bed.store.memory.commit([
        linkEntry(ORDER, "shipment", "s/7", 2_000),
        linkEntry(ORDER, "kitchen", "k/7", 1_000),
      ]);
      const body = { reason: "the kitchen has nothing", version };
      await bed.ask("POST", "/api/relations/7f3c/kitchen/retry", { as: "operator", key: "1", body });
      const { body: shown } = await bed.ask("GET", "/api/relations/7f3c", { as: "viewer" });
      const { order, relation, attempts, history, audit } = shown as {
        order: string;
        relation: { kitchen: string };
        attempts: { state: string }[];
        history: { state: string }[];
        audit: { by: string; action: string }[];
      };
      assert.deepEqual([order, relation.kitchen], [ORDER, "k/7"]);
      assert.deepEqual(
        attempts.map(({ state }) => state),
        ["FAILED"],
      );
      assert.deepEqual(
        history.map(({ state }) => state),
        ["PREPARATION", "IN_FLIGHT"],
      );
      assert.deepEqual(
        audit.map(({ by, action }) => [by, action]),
        [["ana@example.com", "try again"]],
      );
    });

    it("are shown if there is only an attempt so far", async () => {
      await bed.waiting("UNCERTAIN");
      const { body } = await bed.ask("GET", "/api/relations/7f3c", { as: "viewer" });
      assert.equal((body as { relation: unknown }).relation, null);
    });

    it("are shown with the reason if they can't be read", async () => {
      await bed.bed.store.set(RELATION, { kitchen: 7 });
      const { status, body } = await bed.ask("GET", "/api/relations/7f3c", { as: "viewer" });
      assert.equal(status, 200);
      assert.equal((body as { unreadable: unknown[] }).unreadable.length, 1);
    });

    it("are shown with the readable entries, and the reason for each other one", async () => {
      await bed.waiting("UNCERTAIN");
      await bed.bed.store.memory.commit([
        linkEntry(ORDER, "kitchen", "k/7", 1_000),
        { kind: "create", path: "history/x", fields: { schema: 1, order: ORDER, state: "BAKED", at: AT } },
        { kind: "create", path: "audit/x", fields: { order: ORDER, by: 7 } },
      ]);
      const { body } = await bed.ask("GET", "/api/relations/7f3c", { as: "viewer" });
      const { history, audit, unreadable } = body as Record<"history" | "audit" | "unreadable", unknown[]>;
      assert.deepEqual([history.length, audit.length, unreadable.length], [1, 0, 2]);
    });

    it("get 404 for an unknown order, and 400 for an id that can't be one", async () => {
      assert.equal((await bed.ask("GET", "/api/relations/none", { as: "viewer" })).status, 404);
      for (const id of ["..", ".", "a%2Fb", "%00", "__x__", `${"x".repeat(1_500)}`, "%ff", "%"]) {
        assert.equal((await bed.ask("GET", `/api/relations/${id}`, { as: "viewer" })).status, 400, id);
      }
    });

    it("get 503 if the store is unavailable", async () => {
      bed.bed.store.hooks.once("query", "before", () => {
        throw new StoreError("no answer");
      });
      const response = await bed.ask("GET", "/api/relations", { as: "viewer" });
      assert.deepEqual([response.status, response.headers["Retry-After"]], [503, "5"]);
    });
  });

  describe("the search of the API", () => {
    const CLOSED = { schema: 1, kitchen: "kitchenorders/k7", shipment: "shipments/s7", customerId: "krithik" };
    const found = ({ body }: ApiResponse) => (body as { orders: { id: string; state: string | null }[] }).orders;
    const search = (query: string) => bed.ask("GET", `/api/orders?${query}`, { as: "viewer" });

    beforeEach(async () => {
      const { store, clock } = bed.bed;
      const times = { DELIVERED: new Date(clock.now()) };
      await store.set(RELATION, { ...CLOSED, state: "DELIVERED", times });
      await store.memory.commit([
        linkEntry(ORDER, "kitchen", "kitchenorders/k7", 0),
        linkEntry(ORDER, "shipment", "shipments/s7", 0),
        closingEntry(ORDER, "DELIVERED", clock.now()),
      ]);
    });

    for (const q of ["7f3c", ORDER, "kitchenorders/k7", "k7", "shipments/s7", "s7", "krithik", " krithik "]) {
      it(`finds an order by ${JSON.stringify(q)}`, async () => {
        const [order, ...others] = found(await search(`q=${encodeURIComponent(q)}`));
        assert.deepEqual([order?.id, order?.state, others.length], ["7f3c", "DELIVERED", 0]);
      });
    }

    it("finds orders that have only an attempt so far", async () => {
      await bed.bed.store.set("attempts/kitchen:new", attemptLeftIn("PARKED", "orders/new"));
      assert.deepEqual(found(await search("q=new")), [
        {
          id: "new",
          state: null,
          attention: "kitchen",
          placedAt: null,
          since: null,
          customer: null,
          kitchen: null,
          shipment: null,
        },
      ]);
    });

    it("finds orders that completed on a day, by outcome", async () => {
      const day = new Date(bed.bed.clock.now()).toISOString().slice(0, 10);
      assert.equal(found(await search(`day=${day}`)).length, 1);
      assert.equal(found(await search(`day=${day}&outcome=DELIVERED`)).length, 1);
      assert.equal(found(await search(`day=${day}&outcome=REJECTED`)).length, 0);
      assert.equal(found(await search("day=2020-02-02")).length, 0);
      assert.equal(found(await search(`q=krithik&day=${day}`)).length, 1);
      assert.equal(found(await search("q=krithik&day=2020-02-02")).length, 0);
    });

    it("pages through results, each once, in hours and beyond them", async () => {
      const { store, clock } = bed.bed;
      for (let index = 0; index < 120; index++) {
        const at = clock.now() - (index % 3) * 3_600_000;
        await store.set(`relations/p${index}`, { ...CLOSED, state: "REJECTED", times: { REJECTED: new Date(at) } });
        await store.memory.commit([closingEntry(`orders/p${index}`, "REJECTED", at)]);
      }
      for (const query of ["outcome=REJECTED", "q=krithik&outcome=REJECTED"]) {
        const seen: string[] = [];
        let token = "";
        do {
          const page = await search(`${query}${token && `&pageToken=${token}`}`);
          seen.push(...found(page).map(({ id }) => id));
          token = (page.body as { nextPageToken: string }).nextPageToken;
        } while (token !== "");
        assert.deepEqual([seen.length, new Set(seen).size], [120, 120], query);
      }
    });

    describe("for a customer", () => {
      const MINUTES = 60_000;
      const DELIVERED = { schema: 1, kitchen: "k/1", shipment: "s/1", state: "DELIVERED", customerId: "marguerite" };
      /** Stores orders that were placed this long ago; undefined for one that does not say. */
      const placed = async (agos: { [id: string]: number | undefined }) => {
        const { store, clock } = bed.bed;
        for (const [id, ago] of Object.entries(agos)) {
          const placedAt = ago === undefined ? {} : { placedAt: new Date(clock.now() - ago * MINUTES) };
          await store.set(`relations/${id}`, { ...DELIVERED, ...placedAt });
        }
      };
      const pages = async (query: string) => {
        const ids: string[][] = [];
        for (let token: string | undefined; token !== ""; ) {
          const page = await search(`${query}${token ? `&pageToken=${token}` : ""}`);
          assert.equal(page.status, 200);
          ids.push(found(page).map(({ id }) => id));
          token = (page.body as { nextPageToken: string }).nextPageToken;
        }
        return ids;
      };

      it("returns the newest orders first, and those that don't say when they were placed last", async () => {
        await placed({ a: 3, b: undefined, c: 1, d: 2, e: undefined });
        assert.deepEqual(await pages("q=marguerite"), [["c", "d", "a", "b", "e"]]);
      });

      it("pages through orders of the same time and through those without a time, each once", async () => {
        const dated = Array.from({ length: 70 }, (_, index) => [`d${index}`, index % 3] as const);
        const undated = Array.from({ length: 380 }, (_, index) => [`u${index}`, undefined] as const);
        await placed(Object.fromEntries([...dated, ...undated]));
        const all = await pages("q=marguerite");
        const ids = all.flat();
        assert.deepEqual([ids.length, new Set(ids).size], [450, 450]);
        assert.ok(all.every((page) => page.length <= 50));
        const agos = ids.slice(0, 70).map((id) => Number(id.slice(1)) % 3);
        assert.deepEqual(agos, agos.toSorted(), "newest first");
      });

      it("finds an order without a time among hundreds that have one", async () => {
        await placed(Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`a${index}`, index])));
        await placed({ z: undefined });
        const ids = (await pages("q=marguerite")).flat();
        assert.deepEqual([ids.length, ids[0], ids.at(-1)], [401, "a0", "z"]);
      });

      it("finds an order by its id, and fails for a customer, while the index is being built", async () => {
        const building = () =>
          bed.bed.store.hooks.once("query", "before", () => {
            throw new StoreError("the query requires an index that is currently building");
          });
        building();
        assert.deepEqual(
          found(await search("q=7f3c")).map(({ id }) => id),
          ["7f3c"],
        );
        building();
        assert.equal((await search("q=marguerite")).status, 503);
      });

      for (const token of ["{}", '{"id":"../x"}', '{"id":"a","placedAt":1e300}', '{"id":"a","placedAt":"1"}', "null"]) {
        it(`rejects the page token ${token}`, async () => {
          const pageToken = Buffer.from(token).toString("base64url");
          assert.equal((await search(`q=marguerite&pageToken=${pageToken}`)).status, 400);
        });
      }
    });

    it("returns the orders of an hour that completed last first, whatever their ids", async () => {
      const { store, clock } = bed.bed;
      const began = Math.floor(clock.now() / 3_600_000) * 3_600_000 - 3_600_000;
      for (let second = 0; second < 70; second++) {
        const at = began + second * 1_000;
        await store.set(`relations/s${second}`, { ...CLOSED, state: "CANCELLED", times: { CANCELLED: new Date(at) } });
        await store.memory.commit([closingEntry(`orders/s${second}`, "CANCELLED", at)]);
      }
      const first = await search("outcome=CANCELLED");
      const { nextPageToken } = first.body as { nextPageToken: string };
      const second = await search(`outcome=CANCELLED&pageToken=${nextPageToken}`);
      assert.deepEqual(
        [...found(first), ...found(second)].map(({ id }) => id),
        Array.from({ length: 70 }, (_, index) => `s${69 - index}`),
      );
    });

    it("returns an empty page if nothing matches, or only documents that can't be read", async () => {
      await bed.bed.store.set("relations/odd", { customerId: "odd", kitchen: 7 });
      for (const q of ["none", "odd", "__x__", "../x"]) assert.deepEqual(found(await search(`q=${q}`)), []);
    });

    for (const query of [
      "q=",
      "q=%00",
      "outcome=IN_FLIGHT",
      "day=yesterday",
      "day=2026-13-01",
      "pageToken=!!",
      "colour=red",
      "q=a&q=b",
    ]) {
      it(`rejects the query ${query}`, async () => {
        assert.equal((await search(query)).status, 400);
      });
    }
  });

  it("counts the hours that the sweep has not counted yet", async () => {
    const { store, clock } = bed.bed;
    await store.memory.commit([closingEntry(ORDER, "DELIVERED", clock.now())]);
    const { body } = await bed.ask("GET", "/api/statistics", { as: "viewer" });
    const { hours } = body as { hours: { at: string; DELIVERED: number }[] };
    assert.equal(hours.at(-1)?.DELIVERED, 1);
    assert.equal(hours.at(-1)?.at, new Date(Math.floor(clock.now() / 3_600_000) * 3_600_000).toISOString());
  });

  it("shows the time in each stage from the first completed order on, before a sweep has counted an hour", async () => {
    const { store, clock } = bed.bed;
    const ago = (seconds: number) => new Date(clock.now() - seconds * 1_000);
    const times = { PREPARATION: ago(50), IN_FLIGHT: ago(30), DELIVERED: ago(0) };
    const links = { kitchen: "k", shipment: "s" };
    await store.set(RELATION, { schema: 1, ...links, state: "DELIVERED", placedAt: ago(60), times });
    await store.memory.commit([closingEntry(ORDER, "DELIVERED", clock.now())]);
    const { body } = await bed.ask("GET", "/api/statistics", { as: "viewer" });
    const { day } = body as { day: { stages: Record<string, { samples: number; medianMs: number } | null> } };
    assert.deepEqual(
      Object.values(day.stages).map((stage) => stage?.samples),
      [1, 1, 1],
    );
    // A histogram's bins are wider than a second.
    assert.ok((day.stages.IN_FLIGHT?.medianMs ?? 0) > (day.stages.NEW?.medianMs ?? 0));
  });

  it("shows the documents of an order as they are stored, unreadable ones included", async () => {
    await bed.bed.store.set(RELATION, { kitchen: 7, placedAt: AT });
    const { body } = await bed.ask("GET", "/api/relations/7f3c/documents", { as: "viewer" });
    const [document] = (body as { documents: { path: string; fields: object }[] }).documents;
    assert.deepEqual([document?.path, document?.fields], [RELATION, { kitchen: 7, placedAt: AT.toISOString() }]);
    assert.equal((await bed.ask("GET", "/api/relations/%00/documents", { as: "viewer" })).status, 400);
  });

  describe("the food service's view in the API", () => {
    const now = () => bed.ask("GET", "/api/relations/7f3c/food-service", { as: "viewer" });

    it("shows the order and its linked resources, and the error of each failed lookup", async () => {
      const { food, store } = bed.bed;
      food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: "IN_FLIGHT" });
      food.kitchenOrders.set("k/7", { name: "k/7", status: "PACKAGED" });
      await store.set(RELATION, { kitchen: "k/7", shipment: "s/gone" });
      const { order, kitchenOrder, shipment } = (await now()).body as Record<
        string,
        { status?: string; problem?: object }
      >;
      assert.deepEqual([order?.status, kitchenOrder?.status], ["IN_FLIGHT", "PACKAGED"]);
      assert.deepEqual(shipment, { problem: { code: "NOT_FOUND", message: "there is no s/gone" } });
    });

    it("shows the order even if its relation is missing or unreadable", async () => {
      bed.bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: "NEW", placedAt: AT });
      assert.deepEqual(((await now()).body as { order: object }).order, { status: "NEW", placedAt: AT.toISOString() });
      await bed.bed.store.set(RELATION, { kitchen: 7 });
      assert.equal((await now()).status, 200);
    });

    it("is 404 for an order that the food service doesn't know", async () => {
      assert.equal((await now()).status, 404);
      assert.equal((await bed.ask("GET", "/api/relations/%00/food-service", { as: "viewer" })).status, 400);
    });
  });

  describe("decisions about many attempts", () => {
    const send = (attempts: object[], more: Sent = {}) => {
      const body = { action: "retry", reason: "the kitchen is back", attempts };
      return bed.ask("POST", "/api/decisions", { as: "operator", key: "1", body, ...more });
    };
    const attemptOf = (id: string, claim = "a") => ({ id, stage: "kitchen", claim });
    const park = async (id: string, state: AttemptState = "PARKED") => {
      await bed.bed.store.set(`attempts/kitchen:${id}`, attemptLeftIn(state, `orders/${id}`));
    };
    const results = ({ body }: ApiResponse) =>
      (body as { results: { id: string; problem?: { status: number } }[] }).results;

    it("write one audit entry for each", async () => {
      for (let id = 0; id < 12; id++) await park(String(id));
      const response = await send(Array.from({ length: 12 }, (_, id) => attemptOf(String(id))));
      assert.ok(results(response).every(({ problem }) => problem === undefined));
      const audits = await bed.audits();
      assert.equal(new Set(audits.map(({ order }) => order)).size, 12);
      assert.deepEqual(
        [...new Set(audits.map(({ reason, by }) => `${by} ${reason}`))],
        ["ana@example.com the kitchen is back"],
      );
    });

    it("say why an attempt can't be retried, and retry the others", async () => {
      await park("good");
      await park("sending", "SENDING");
      await park("other");
      const response = await send([
        attemptOf("good"),
        attemptOf("sending"),
        attemptOf("none"),
        attemptOf("other", "b"),
        attemptOf(".."),
      ]);
      assert.deepEqual(
        results(response).map(({ problem }) => problem?.status),
        [undefined, 409, 404, 409, 400],
      );
      assert.equal((await bed.audits()).length, 1);
    });

    it("dismiss each permanently", async () => {
      for (const id of ["1", "2"]) await park(id);
      const body = { action: "dismiss", reason: "settled", attempts: [attemptOf("1"), attemptOf("2")] };
      const response = await send([], { body });
      assert.ok(results(response).every(({ problem }) => problem === undefined));
      const stored = bed.bed.store.memory.all("attempts").map(({ fields }) => [fields.state, fields.isDismissed]);
      assert.deepEqual(stored, [
        ["CLOSED", true],
        ["CLOSED", true],
      ]);
      assert.deepEqual(
        (await bed.audits()).map(({ action, reason }) => `${action} ${reason}`),
        Array(2).fill("dismiss settled"),
      );
      const retry = results(await send([attemptOf("1")], { key: "2" }));
      assert.deepEqual(
        retry.map(({ problem }) => problem?.status),
        [409],
      );
    });

    it("are applied once when the same request is sent again", async () => {
      for (const id of ["1", "2"]) await park(id);
      const attempts = [attemptOf("1"), attemptOf("2")];
      const first = await send(attempts);
      assert.deepEqual(await send(attempts), first);
      assert.equal((await bed.audits()).length, 2);
    });

    it("need an operator, a key, a reason and at most 50 attempts", async () => {
      assert.equal((await send([attemptOf("1")], { as: "viewer" })).status, 403);
      assert.equal((await send([attemptOf("1")], { key: "a b" })).status, 400);
      assert.equal((await send([])).status, 400);
      assert.equal((await send(Array.from({ length: 51 }, (_, id) => attemptOf(String(id))))).status, 400);
      assert.equal((await send([attemptOf("1")], { body: { action: "link", reason: "x", attempts: [] } })).status, 400);
      assert.equal(
        (await send([], { raw: Buffer.alloc(20_000), headers: { "content-type": "application/json" } })).status,
        413,
      );
      assert.equal((await send([], { raw: Buffer.from("{}"), headers: { "content-type": "text/plain" } })).status, 415);
    });
  });

  describe("customers in the API", () => {
    it("are resolved through the user orchestrators", async () => {
      const { body } = await bed.ask("GET", "/api/customers/krithik", { as: "viewer" });
      assert.deepEqual(body, { name: "krithik", class: "7", roll: 70 });
    });

    it("get 404 if the user does not exist, and 503 if the lookup fails", async () => {
      for (const [code, status] of [
        ["INVALID_ARGUMENT", 404],
        ["UNAVAILABLE", 503],
        ["UNKNOWN", 503],
      ] as const) {
        bed.bed.customers.once("userByName", "before", () => {
          throw callError(code, '"abc" is shorter than 6 bytes', true);
        });
        const response = await bed.ask("GET", "/api/customers/abc", { as: "viewer" });
        assert.equal(response.status, status);
        if (status === 404) assert.match(detailOf(response), /"abc" is shorter/);
      }
      assert.equal((await bed.ask("GET", "/api/customers/%0a", { as: "viewer" })).status, 400);
    });
  });

  describe("a decision through the API", () => {
    const link = "/api/relations/7f3c/kitchen/link";
    const retry = "/api/relations/7f3c/kitchen/retry";
    const dismiss = "/api/relations/7f3c/kitchen/dismiss";
    const decide = (address: string, version: string, more: Sent & { name?: string; reason?: string } = {}) => {
      const { name, reason = "asked the kitchen", ...sent } = more;
      const body = { reason, version, ...(name !== undefined && { name }) };
      return bed.ask("POST", address, { as: "operator", key: "1", body, ...sent });
    };

    beforeEach(() =>
      bed.bed.food.kitchenOrders.set("kitchenorders/found", { name: "kitchenorders/found", status: "NEW" }),
    );

    it("links the found resource, with its audit entry in the same commit", async () => {
      const version = await bed.waiting("UNCERTAIN");
      const { status, body } = await decide(link, version, { name: "kitchenorders/found" });
      assert.deepEqual([status, (body as { state: string }).state], [200, "LINKED"]);
      assert.equal(await bed.bed.store.field(RELATION, "kitchen"), "kitchenorders/found");
      const collections = bed.bed.store.commits.at(-1)?.map(({ path }) => path.split("/")[0]);
      assert.deepEqual(collections?.sort(), ["attempts", "audit", "history", "relations"]);
      const [entry] = await bed.audits();
      assert.deepEqual([entry?.by, entry?.reason, entry?.action], ["ana@example.com", "asked the kitchen", "link"]);
    });

    it("retries uncertain and parked attempts", async () => {
      for (const [index, state] of (["UNCERTAIN", "PARKED"] as const).entries()) {
        const version = await bed.waiting(state);
        assert.equal((await decide(retry, version, { key: String(index) })).status, 200);
        assert.equal(await bed.bed.store.field(ATTEMPT, "state"), "FAILED");
      }
    });

    it("dismisses an attempt: closes it permanently and sends nothing", async () => {
      for (const [index, state] of (["UNCERTAIN", "PARKED"] as const).entries()) {
        const version = await bed.waiting(state);
        const response = await decide(dismiss, version, { key: String(index) });
        assert.deepEqual([response.status, (response.body as { state: string }).state], [200, "CLOSED"]);
        assert.deepEqual(
          [await bed.bed.store.field(ATTEMPT, "state"), await bed.bed.store.field(ATTEMPT, "isDismissed")],
          ["CLOSED", true],
        );
        await decide(dismiss, version, { key: String(index) });
        assert.equal((await bed.audits()).filter(({ action }) => action === "dismiss").length, index + 1);
      }
      assert.equal((await decide(retry, "1", { key: "9" })).status, 409);
    });

    it("does not dismiss under the key of a retry, nor an attempt that does not exist", async () => {
      assert.equal((await decide(dismiss, "1")).status, 404);
      const version = await bed.waiting("UNCERTAIN");
      await decide(retry, version);
      assert.equal((await decide(dismiss, version)).status, 422);
      assert.equal((await decide(dismiss, version, { key: "2" })).status, 409);
    });

    it("accepts a reason of 500 characters, in any script", async () => {
      const version = await bed.waiting("UNCERTAIN");
      assert.equal((await decide(retry, version, { reason: "\u53a8".repeat(500) })).status, 200);
    });

    it("is applied once if the request is sent again, with the same reply", async () => {
      const version = await bed.waiting("UNCERTAIN");
      const first = await decide(retry, version);
      bed.bed.clock.advance(60_000);
      const again = await decide(retry, version);
      assert.deepEqual(again, first);
      assert.equal((await bed.audits()).length, 1);
    });

    it("is applied once if the request is sent twice at the same moment", async () => {
      const version = await bed.waiting("UNCERTAIN");
      const both = await Promise.all([decide(retry, version), decide(retry, version)]);
      assert.deepEqual(
        both.map(({ status }) => status),
        [200, 200],
      );
      assert.equal((await bed.audits()).length, 1);
    });

    it("is applied once if the reply was lost and the request is sent again with the same key", async () => {
      const version = await bed.waiting("UNCERTAIN");
      bed.bed.store.hooks.once("commit", "after", () => {
        throw new StoreError("no answer");
      });
      assert.equal((await decide(retry, version)).status, 503);
      assert.equal((await decide(retry, version)).status, 200);
      assert.equal((await bed.audits()).length, 1);
    });

    it("recognizes its own commit if that was answered with a conflict", async () => {
      const version = await bed.waiting("UNCERTAIN");
      bed.bed.store.hooks.once("commit", "after", () => {
        throw new ConflictError("exists already");
      });
      assert.equal((await decide(retry, version)).status, 200);
    });

    it("is rejected under the key of another decision", async () => {
      const version = await bed.waiting("UNCERTAIN");
      await decide(retry, version);
      const other = await bed.waiting("UNCERTAIN");
      assert.equal((await decide(retry, other)).status, 422);
      assert.equal(await bed.bed.store.field(ATTEMPT, "state"), "UNCERTAIN");
      assert.equal((await decide(retry, other, { key: "2" })).status, 200);
    });

    it("is rejected if the attempt has changed since it was read", async () => {
      const version = await bed.waiting("UNCERTAIN");
      await bed.waiting("UNCERTAIN", { tries: 2 });
      const refused = await decide(retry, version);
      assert.equal(refused.status, 409);
      assert.match(detailOf(refused), /changed since you loaded it/);
    });

    it("is rejected if the attempt changes concurrently", async () => {
      const version = await bed.waiting("UNCERTAIN");
      bed.bed.store.hooks.once("commit", "before", () => bed.waiting("UNCERTAIN", { tries: 2 }));
      assert.equal((await decide(retry, version)).status, 409);
      assert.deepEqual(await bed.audits(), []);
    });

    it("is rejected for an attempt that needs no decision, or that does not exist", async () => {
      assert.equal((await decide(retry, "1")).status, 404);
      assert.equal((await decide(link, "1", { name: "kitchenorders/found" })).status, 404);
      const version = await bed.waiting("SENDING");
      assert.equal((await decide(retry, version)).status, 409);
    });

    it("is rejected if it would retry what another program created, or replace a link", async () => {
      const stranded = await bed.waiting("PARKED", {
        reason: { code: "STRANDED", message: "no kitchen order is linked" },
      });
      assert.equal((await decide(retry, stranded)).status, 409);
      await bed.bed.store.set(RELATION, { kitchen: "kitchenorders/other" });
      assert.equal((await decide(link, stranded, { name: "kitchenorders/found" })).status, 409);
    });

    it("is rejected after the link is saved, and the reply names the link", async () => {
      await bed.bed.store.set(RELATION, { kitchen: "kitchenorders/other" });
      for (const late of [await decide(retry, "1"), await decide(link, "1", { name: "kitchenorders/found" })]) {
        assert.equal(late.status, 409);
        assert.match(detailOf(late), /linked to kitchenorders\/other/);
      }
    });

    it("is rejected for a name that another order has, that is unknown, or that is implausible", async () => {
      const version = await bed.waiting("UNCERTAIN");
      await bed.bed.store.memory.commit([linkEntry("orders/other", "kitchen", "kitchenorders/found", 0)]);
      assert.equal((await decide(link, version, { name: "kitchenorders/found", key: "1" })).status, 409);
      assert.equal((await decide(link, version, { name: "kitchenorders/none", key: "2" })).status, 422);
      assert.equal((await decide(link, version, { name: "shipments/1", key: "3" })).status, 400);
      assert.deepEqual(await bed.audits(), []);
    });

    it("is rejected without a key, a reason or a version, or with more fields", async () => {
      const version = await bed.waiting("UNCERTAIN");
      const body = { reason: "x", version };
      for (const [sent, status] of [
        [{ body }, 400],
        [{ body, key: "a b" }, 400],
        [{ body, key: "x".repeat(201) }, 400],
        [{ body: { version }, key: "1" }, 400],
        [{ body: { reason: " ", version }, key: "1" }, 400],
        [{ body: { reason: "x".repeat(501), version }, key: "1" }, 400],
        [{ body: { reason: "x" }, key: "1" }, 400],
        [{ body: { ...body, name: "k/1", colour: "red" }, key: "1" }, 400],
        [{ body: [body], key: "1" }, 400],
        [{ body: null, key: "1" }, 400],
        [{ raw: Buffer.from("{"), headers: { "content-type": "application/json" }, key: "1" }, 400],
        [{ raw: Buffer.from([0x22, 0xff, 0x22]), headers: { "content-type": "application/json" }, key: "1" }, 400],
        [
          { raw: Buffer.from("reason=x"), headers: { "content-type": "application/x-www-form-urlencoded" }, key: "1" },
          415,
        ],
        [{ raw: Buffer.from("{}"), key: "1" }, 415],
        [{ body: { ...body, reason: "x".repeat(20_000) }, key: "1" }, 413],
      ] as [Sent, number][]) {
        for (const address of [retry, link, dismiss]) {
          const response = await bed.ask("POST", address, { as: "operator", ...sent });
          assert.equal(response.status, status, `${address} ${JSON.stringify(sent).slice(0, 100)}`);
        }
      }
      assert.deepEqual(await bed.audits(), []);
    });

    it("is possible for the stages that create something, and no other", async () => {
      const version = await bed.waiting("UNCERTAIN");
      assert.equal((await decide("/api/relations/7f3c/completion/retry", version)).status, 404);
    });
  });

  describe("the endpoints of the API", () => {
    it("answer 404 with a pointer to the document if there is no endpoint", async () => {
      for (const path of [
        "/",
        "/api",
        "/api/",
        "/api/relations/",
        "/api/relations/a/b",
        "/api/nothing",
        "//api/health",
      ]) {
        const response = await bed.ask("GET", path, { as: "operator" });
        assert.equal(response.status, 404, path);
      }
    });

    it("answer 405 with the allowed methods", async () => {
      const response = await bed.ask("DELETE", "/api/relations", { as: "operator" });
      assert.deepEqual([response.status, response.headers.Allow], [405, "GET, HEAD"]);
      const other = await bed.ask("GET", "/api/relations/1/kitchen/link", { as: "operator" });
      assert.deepEqual([other.status, other.headers.Allow], [405, "POST"]);
      assert.equal((await bed.ask("HEAD", "/api/health")).status, 200);
    });

    it("are exactly those of its OpenAPI document", () => {
      const described = Object.entries(OPENAPI.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
      );
      assert.deepEqual(
        [...ROUTES, { method: "GET", path: "/api/openapi.json" }].map(({ method, path }) => `${method} ${path}`).sort(),
        described.sort(),
      );
    });
  });

  after("has answered everything that it promises", () => {
    const promised = Object.entries(PATHS).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { responses }]) =>
        Object.keys(responses).map((status) => `${method} ${path} ${status}`),
      ),
    );
    // Limits and failures behind it are the same for every address: one of them stands for all.
    const shared = /(429|503)$/;
    const missing = promised.filter((one) => !answered.has(one) && !shared.test(one));
    assert.deepEqual(missing, []);
  });
});
