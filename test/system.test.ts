/** The whole system on real components: the Emulator Suite with the built functions, the simulated food service over TLS. */
import assert from "node:assert/strict";
import { type Evidence, judge, whyNotEnded } from "../cli/verify-run.js";
import { HISTORY } from "../functions/src/relations/history.js";
import { parseRelation, RELATIONS, type Relation } from "../functions/src/relations/relation.js";
import { addPerson, signIn } from "../harness/emulators/test-accounts.js";
import { type System, startSystem } from "../local/system.js";
import { connectionTo } from "../services/food-service/connection-options.js";
import { placeOrders } from "../services/food-service/place-orders.js";
import { cook, seedAttempt, suiteOf } from "./browser/console-fixture.js";
import { run, until } from "./program.js";

const MINUTE = 60_000;

describe("the whole system in the Emulator Suite", function () {
  this.timeout(5 * MINUTE);
  let system: System;
  let placed: string[];

  before(async () => {
    const simulated = { speed: 120, rejected: 0.2, cancelled: 0, seed: "7" };
    const params = { CREATE_POLICY: "idempotency-key" };
    const foodService = { simulated: { ...simulated, honoursKeys: true } };
    system = await startSystem({
      portsFrom: "auto",
      embedded: false,
      foodService,
      intervals: { pollOrders: 1, sweep: 1 },
      params,
    });
    placed = [];
  });

  after(() => system?.stop());

  const food = () => {
    assert.ok(system.foodServer);
    return system.foodServer;
  };

  const place = async (customer: string, count: number) => {
    const { address: server, certificate } = food();
    const placing = { connection: connectionTo(server, certificate), customer, count };
    for await (const name of placeOrders(placing)) placed.push(name);
  };

  const relations = async (): Promise<Map<string, Relation>> => {
    const found = (await system.documents(RELATIONS)).map(({ path, fields }) => parseRelation(path, fields));
    return new Map(found.map((relation) => [relation.order, relation]));
  };

  const evidence = async (): Promise<Evidence> => ({ placed, truth: food().truth(), relations: await relations() });

  const allEnded = async () => {
    const { truth, relations } = await evidence();
    const known = new Map(truth.orders.map((order) => [order.name, order]));
    return placed.every((name) => whyNotEnded(known.get(name), relations.get(name)) === undefined);
  };

  const OPERATOR = "operator@example.com";
  const VIEWER = "viewer@example.com";

  /** Calls the API as a user who has just signed in, or without a token. */
  const ask = async (who: string | undefined, path: string, init: RequestInit = {}) => {
    const { hosting, auth } = suiteOf(system);
    const token = who && { Authorization: `Bearer ${await signIn(auth, who)}` };
    const response = await fetch(`${hosting}${path}`, { ...init, headers: { ...init.headers, ...token } });
    const text = await response.text();
    assert.doesNotMatch(text, /\n\s+at |node_modules/, "a stack");
    return { status: response.status, type: response.headers.get("content-type") ?? "", text };
  };
  const get = async <T>(path: string): Promise<T> => {
    const { status, text } = await ask(OPERATOR, path);
    assert.equal(status, 200, text);
    return JSON.parse(text) as T;
  };
  const decide = (who: string, path: string, key: string, body: object) =>
    ask(who, path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify(body),
    });

  interface Shown {
    relation: { kitchen?: string; customer?: object } | null;
    attempts: { stage: string; state: string; version: string }[];
    history: { state: string }[];
    audit: { by: string; action: string }[];
  }

  it("links an uncertain order to an operator's resource once, through Hosting", async () => {
    await place("amelie", 1);
    const id = placed.at(-1)?.slice("orders/".length) ?? "";
    await seedAttempt(system, id, "UNCERTAIN", { code: "UNAVAILABLE", message: "the answer was lost" });
    const name = await cook(system, id);
    const [waiting] = (await get<Shown>(`/api/relations/${id}`)).attempts;
    const body = { name, reason: "found on the kitchen's screen", version: waiting?.version };
    const link = `/api/relations/${id}/kitchen/link`;
    assert.equal((await decide(VIEWER, link, "a", body)).status, 403);
    const first = await decide(OPERATOR, link, "a", body);
    assert.equal(first.status, 200, first.text);
    assert.deepEqual(await decide(OPERATOR, link, "a", body), first, "the same key is answered alike");
    assert.equal((await decide(OPERATOR, link, "b", body)).status, 409, "another comes too late");
    const { relation, audit } = await get<Shown>(`/api/relations/${id}`);
    assert.equal(relation?.kitchen, name);
    assert.deepEqual(
      audit.map(({ by, action }) => [by, action]),
      [[OPERATOR, "link"]],
    );
  });

  it("loses and duplicates nothing if the food service is killed during a run and restarted", async () => {
    await place("krithik", 8);
    system.scheduler.start();
    await until("an order is active", async () => (await relations()).size > 0, MINUTE);
    await food().kill();
    await place("krithik", 1).then(
      () => assert.fail("a food service that was killed took an order"),
      () => undefined,
    );
    await food().restart();
    await place("ana", 2);
    await until("every order has ended", allEnded, 4 * MINUTE);
    const { summary, problems } = judge(await evidence());
    assert.deepEqual(problems, []);
    assert.deepEqual(
      { orders: summary.orders, duplicates: summary.duplicates, lost: summary.lost },
      { orders: 11, duplicates: 0, lost: 0 },
    );
  });

  it("stores the customer or the reason why there is none, without delaying an order", async () => {
    await until(
      "every customer is asked for",
      async () => [...(await relations()).values()].every(({ customer }) => customer !== undefined),
      MINUTE,
    );
    const customers = [...(await relations()).values()].map(({ customerId, customer }) => ({ customerId, customer }));
    const known = customers.filter(({ customerId }) => customerId === "krithik");
    assert.equal(known.length, 8);
    for (const { customer } of known) assert.deepEqual(customer, { name: "krithik", class: "7", roll: 70 });
    for (const { customer } of customers.filter(({ customerId }) => customerId === "ana")) {
      assert.ok(customer && "reason" in customer);
      assert.equal(customer.reason.code, "INVALID_ARGUMENT");
      assert.match(customer.reason.message, /"ana" is shorter than 6/);
    }
  });

  it("records the history of every order", async () => {
    const [name = ""] = placed;
    const history = await system.documents(HISTORY);
    const states = history.filter(({ fields }) => fields.order === name).map(({ fields }) => String(fields.state));
    states.sort();
    assert.equal(states.length, 3);
    assert.deepEqual(states.slice(-2), states.includes("DELIVERED") ? ["IN_FLIGHT", "PREPARATION"] : states.slice(-2));
  });

  describe("the API, through Hosting,", () => {
    it("lists every order, page by page, and shows one with its history", async () => {
      const listed: string[] = [];
      let pageToken = "";
      do {
        const query = `?state=DELIVERED&state=REJECTED&pageSize=4&pageToken=${pageToken}`;
        const page = await get<{ relations: { order: string }[]; nextPageToken: string }>(`/api/relations${query}`);
        listed.push(...page.relations.map(({ order }) => order));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      assert.deepEqual(listed.sort(), [...placed].sort());
      const { relation, attempts, history } = await get<Shown>(`/api/relations/${listed[0]?.slice("orders/".length)}`);
      assert.ok(relation?.customer);
      assert.deepEqual(attempts, [], "all are settled");
      assert.equal(history.length, 3);
    });

    it("shows customers from the user orchestrators", async () => {
      assert.deepEqual(await get("/api/customers/krithik"), { name: "krithik", class: "7", roll: 70 });
      const unknown = await ask(VIEWER, "/api/customers/ana");
      assert.equal(unknown.status, 404);
      assert.match(unknown.text, /shorter than 6/);
    });

    it("explains why it rejects a request, and never shows a stack", async () => {
      const largeBody = JSON.stringify({ reason: "x".repeat(20_000) });
      const json = { "Content-Type": "application/json", "Idempotency-Key": "x" };
      for (const [path, init, status] of [
        ["/api/relations/%00", {}, 400],
        ["/api/relations/a%2Fb", {}, 400],
        ["/api/relations?pageSize=0", {}, 400],
        ["/api/nothing", {}, 404],
        ["/api/relations/none", {}, 404],
        ["/api/relations", { method: "DELETE" }, 405],
        ["/api/relations/none/kitchen/retry", { method: "POST", headers: json, body: "{" }, 400],
        ["/api/relations/none/kitchen/retry", { method: "POST", body: "x" }, 415],
        ["/api/relations/none/kitchen/retry", { method: "POST", headers: json, body: largeBody }, 413],
      ] as [string, RequestInit, number][]) {
        const answer = await ask(OPERATOR, path, init);
        assert.equal(answer.status, status, `${path}: ${answer.text}`);
      }
      const anonymous = await ask(undefined, "/api/relations");
      assert.equal(anonymous.status, 401);
      assert.match(anonymous.type, /^application\/problem\+json/);
    });

    it("enforces roles, which a command grants and revokes, from the next sign-in on", async () => {
      const { auth, project } = suiteOf(system);
      const newcomer = "newcomer@example.com";
      await addPerson(auth, project, newcomer, "{}");
      const roles = (...args: string[]) => run("cli/roles.ts", "--emulator", auth, "--project", project, ...args);
      const status = async () =>
        (await decide(newcomer, "/api/relations/none/kitchen/retry", "x", { reason: "x", version: "1" })).status;
      assert.equal(await status(), 403);

      assert.match((await roles("grant", newcomer, "viewer")).stdout, /newcomer@example.com is viewer now/);
      assert.equal((await ask(newcomer, "/api/relations?pageSize=1")).status, 200);
      assert.equal(await status(), 403);
      await roles("grant", newcomer, "operator");
      assert.equal(await status(), 404, "let in, and there is no such order");
      assert.match((await roles("list")).stdout, /newcomer@example.com +operator/);

      assert.equal((await roles("revoke", newcomer)).status, 0);
      assert.equal((await ask(newcomer, "/api/relations?pageSize=1")).status, 403);
      for (const wrong of [
        ["grant", "unknown@example.com", "viewer"],
        ["grant", newcomer, "king"],
      ]) {
        const { status, stderr } = await roles(...wrong);
        assert.equal(status, 1);
        assert.match(stderr, /No account has this address|There is no role king/);
      }
    });
  });
});
