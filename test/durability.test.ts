/** A run against a separate food service, killed midway and started again, as real processes. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { judge, whyNotEnded } from "../cli/verify-run.js";
import { ATTEMPTS, attemptIn } from "../functions/src/attempts/attempt.js";
import { HISTORY } from "../functions/src/relations/history.js";
import { parseRelation, RELATIONS, relationPath } from "../functions/src/relations/relation.js";
import { readCollection, writeDocuments } from "../harness/emulators/firestore-rest.js";
import { PROJECT } from "../harness/emulators/suite.js";
import { addPerson, PEOPLE, signIn } from "../harness/emulators/test-accounts.js";
import { freePort } from "../harness/process/free-ports.js";
import { Program } from "../harness/process/program.js";
import { SqliteStore } from "../local/sqlite-store.js";
import { startSystem } from "../local/system.js";
import { connectionTo } from "../services/food-service/connection-options.js";
import { placeOrders } from "../services/food-service/place-orders.js";
import { startFoodService, truthIn } from "../services/food-service/server.js";
import { emulators } from "./emulators.js";

const MINUTE_MS = 60_000;

const OPERATOR = "ana@example.com";

/** The role in the claims of an ID token. */
function roleIn(token: string): unknown {
  const [, claims = ""] = token.split(".");
  return JSON.parse(Buffer.from(claims, "base64url").toString()).role;
}

describe("a run against a separate food service", function () {
  this.timeout(12 * MINUTE_MS);
  let folder: string;
  let state: string;
  let data: string;
  let certificate: string;
  let food: Program | undefined;
  let run: Program | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "diet-durable-"));
    state = join(folder, "food.jsonl");
    data = join(folder, "data");
    certificate = join(folder, "localhost.crt");
  });
  afterEach(async () => {
    await run?.kill();
    await food?.kill();
    run = food = undefined;
    rmSync(folder, { recursive: true });
  });

  /** Starts the food service and resolves with its address. */
  const startFood = async (...args: string[]): Promise<string> => {
    const files = ["--certificates", folder, "--state", state];
    // Started again, it needs the same port.
    const address = `localhost:${await freePort()}`;
    food = await Program.start("services/food-service/main.ts", ["--address", address, ...files, ...args]);
    return (await food.said(/ready on (localhost:\d+)/))[1] as string;
  };

  const startRun = (
    server: string,
    state: "--embedded" | "--emulators" | { firestore: string },
    ...args: string[]
  ): Promise<Program> => {
    const place = typeof state === "string" ? [state, "--data", data] : [];
    const options = ["--server", server, "--certificate", certificate, "--ports-from", "auto", "--interval", "1"];
    const FIRESTORE_EMULATOR_HOST = typeof state === "string" ? "" : state.firestore;
    const env = { CREATE_LEASE_SECONDS: "20", FIRESTORE_EMULATOR_HOST };
    return Program.start("cli/start.ts", [...options, ...place, ...args], env);
  };

  const place = async (server: string, count: number): Promise<string[]> => {
    const names: string[] = [];
    const connection = connectionTo(server, readFileSync(certificate, "utf8"));
    const placing = { connection, customer: "krithik", count };
    for await (const name of placeOrders(placing)) names.push(name);
    return names;
  };

  /** What is on the disk; no other process may use it. */
  const readDocuments = () => {
    const store = new SqliteStore(join(data, "documents.db"));
    const relations = store.all(RELATIONS).map(({ path, fields }) => parseRelation(path, fields));
    const attempts = store.all(ATTEMPTS).flatMap((found) => attemptIn(found) ?? []);
    const history = store.all(HISTORY).map(({ path }) => path);
    store.close();
    return { relations: new Map(relations.map((relation) => [relation.order, relation])), attempts, history };
  };

  /** Resolves once there are this many kitchen orders or shipments. */
  const untilMade = async (what: "kitchenOrders" | "shipments", count: number): Promise<void> => {
    for (const started = Date.now(); truthIn(state)[what].length < count; await sleep(20)) {
      if (Date.now() - started > 8 * MINUTE_MS) throw new Error(`there never were ${count} ${what}`);
    }
  };

  /** Kills the run, and returns the orders whose create was in flight. */
  const kill = async (): Promise<string[]> => {
    await run?.kill();
    return readDocuments().attempts.flatMap(({ order, state }) => (state === "SENDING" ? [order] : []));
  };

  /** The addresses of the run's emulators, as host:port. */
  const emulatorsOf = async (run: Program): Promise<{ auth: string; firestore: string }> => {
    const [, page] = await run.said(/Console\s+(http\S+)/);
    const found = await fetch(`${page}/emulators.json`);
    const { auth, firestore } = (await found.json()) as { auth: string; firestore: { host: string; port: number } };
    return { auth: new URL(auth).host, firestore: `${firestore.host}:${firestore.port}` };
  };

  /** The states of the relations in this run's emulator, and the paths of the history; every account can sign in. */
  const restoredIn = async (run: Program) => {
    const { auth, firestore } = await emulatorsOf(run);
    assert.equal(roleIn(await signIn(auth, OPERATOR)), "operator");
    await signIn(auth, PEOPLE[0]?.email ?? "");
    const relations = await readCollection(firestore, PROJECT, RELATIONS);
    const history = await readCollection(firestore, PROJECT, HISTORY);
    return {
      states: new Map(relations.map(({ path, fields }) => [path, fields.state])),
      history: new Set(history.map(({ path }) => path)),
    };
  };

  const RUNS = {
    "--embedded": {
      orders: 100,
      kills: [
        ["kitchenOrders", 20],
        ["kitchenOrders", 50],
        ["shipments", 30],
      ],
    },
    "--emulators": {
      orders: 20,
      kills: [["kitchenOrders", 10]],
    },
  } as const;
  for (const [mode, { orders, kills }] of Object.entries(RUNS) as [
    keyof typeof RUNS,
    (typeof RUNS)[keyof typeof RUNS],
  ][])
    it(`completes every order after kills (${mode}), cooks no meal twice, parks only creates that were in flight, and loses no account`, async () => {
      const server = await startFood("--speed", "200");
      const placed: string[] = [];
      const inFlight = new Set<string>();
      run = await startRun(server, mode);
      await run.said(/^Ready/);
      const placing = (async () => {
        for (let count = 0; count < orders / 5; count++) {
          placed.push(...(await place(server, 5)));
          await sleep(300);
        }
      })();
      for (const [what, count] of kills) {
        await untilMade(what, count);
        // The account is acknowledged just before the kill.
        if (mode === "--emulators")
          await addPerson((await emulatorsOf(run)).auth, PROJECT, OPERATOR, '{"role":"operator"}');
        for (const order of await kill()) inFlight.add(order);
        run = await startRun(server, mode);
        await run.said(/^Ready/);
        if (mode === "--emulators")
          assert.equal(roleIn(await signIn((await emulatorsOf(run)).auth, OPERATOR)), "operator");
      }
      await placing;

      const unfinished = () => {
        const { relations, attempts } = readDocuments();
        const waiting = new Set(attempts.flatMap(({ order, state }) => (state === "UNCERTAIN" ? [order] : [])));
        const orders = new Map(truthIn(state).orders.map((order) => [order.name, order]));
        return placed.filter(
          (name) => !waiting.has(name) && whyNotEnded(orders.get(name), relations.get(name)) !== undefined,
        );
      };
      for (const started = Date.now(); unfinished().length > 0; await sleep(1_000)) {
        if (Date.now() - started > 8 * MINUTE_MS) assert.fail(`unfinished: ${unfinished().join(", ")}`);
      }
      await run.stop();

      const { relations, attempts, history } = readDocuments();
      if (mode === "--emulators") {
        run = await startRun(server, mode);
        await run.said(/^Ready/);
        const { states, history: restored } = await restoredIn(run);
        for (const { order, state } of relations.values()) {
          const isEnded = state === "DELIVERED" || state === "REJECTED" || state === "CANCELLED";
          if (isEnded) assert.equal(states.get(relationPath(order.slice("orders/".length))), state, order);
        }
        assert.ok(history.length > 0);
        assert.deepEqual(
          history.filter((path) => !restored.has(path)),
          [],
        );
        await run.stop();
      }
      const { summary, problems } = judge({ placed, truth: truthIn(state), relations });
      const waiting = new Set(attempts.map(({ order }) => order));
      assert.equal(summary.duplicates, 0, "no meal is cooked and no drone flown twice");
      assert.deepEqual(
        [...waiting].filter((order) => !inFlight.has(order)),
        [],
        "parked although nothing was in flight",
      );
      assert.deepEqual(
        problems.filter((problem) => ![...waiting].some((order) => problem.includes(order))),
        [],
      );
      for (const relation of relations.values()) {
        assert.ok(relation.customer, `${relation.order} has no customer: a reaction was lost`);
      }
      console.log(`      ${placed.length} orders, ${inFlight.size} in flight at a kill, ${waiting.size} uncertain`);
    });

  it("waits for a food service that isn't up yet", async () => {
    const address = await startFood();
    await food?.kill();
    run = await startRun(address, "--embedded");
    await run.said(/Waiting for the food service/);
    food = await Program.start("services/food-service/main.ts", [
      ...["--address", address, "--certificates", folder, "--state", state],
    ]);
    await run.said(/^Ready/);
  });

  it("does not start without state while orders are past NEW, unless --fresh is given", async () => {
    const server = await startFood("--speed", "1");
    await place(server, 1);
    run = await startRun(server, "--embedded");
    await run.said(/1 in preparation/);
    await run.stop();
    rmSync(data, { recursive: true });
    run = await startRun(server, "--embedded");
    await run.said(/--fresh starts without it/);
    assert.match(await run.child.exited, /status 1/);
    run = await startRun(server, "--embedded", "--fresh");
    await run.said(/^Ready/);
  });

  it("attaches to a running Firestore, and adopts the relations of another program", async () => {
    const { firestore } = await emulators();
    const project = `demo-attached-${process.pid}`;
    const service = await startFoodService({ address: "localhost:0", certificates: folder, speed: 1_000 });
    try {
      const { name } = service.model.placeOrder("krithik");
      const kitchen = service.model.makeKitchenOrder(null).name;
      service.model.changeOrder(name, "PREPARATION", ["status"]);
      const path = relationPath(name.slice("orders/".length));
      await writeDocuments(firestore, project, [{ path, fields: { kitchen } }]);
      run = await startRun(service.address, { firestore }, "--project", project);
      await run.said(/1 delivered/);
      const { orders, kitchenOrders, shipments } = service.model.truth();
      assert.equal(orders[0]?.status, "DELIVERED");
      assert.deepEqual([kitchenOrders.length, shipments.length], [1, 1]);
      const [relation] = await readCollection(firestore, project, RELATIONS);
      assert.equal(relation?.fields.kitchen, kitchen);
      assert.equal(relation?.fields.state, "DELIVERED");
      await run.stop();
    } finally {
      await service.stop();
    }
  });

  it("persists documents and the simulated food service with --data", async () => {
    const simulated = { speed: 1_000, rejected: 0, cancelled: 0 };
    const options = {
      portsFrom: "auto",
      embedded: true,
      data,
      foodService: { simulated },
      intervals: { pollOrders: 1 },
    } as const;
    const first = await startSystem(options);
    try {
      const { address: server, certificate: pem } = first.foodServer ?? assert.fail();
      for await (const _ of placeOrders({ connection: connectionTo(server, pem), customer: "krithik", count: 2 }));
      first.scheduler.start();
      const delivered = async () =>
        (await first.documents(RELATIONS)).filter(({ fields }) => fields.state === "DELIVERED");
      for (const started = Date.now(); (await delivered()).length < 2; await sleep(500)) {
        if (Date.now() - started > 8 * MINUTE_MS) assert.fail("the orders were not delivered");
      }
    } finally {
      await first.stop();
    }
    const second = await startSystem({ ...options, intervals: undefined });
    try {
      const states = (await second.documents(RELATIONS)).map(({ fields }) => fields.state);
      assert.deepEqual(states, ["DELIVERED", "DELIVERED"]);
      assert.equal((await second.documents(HISTORY)).length, 6, "three states of each order");
      assert.equal(second.foodServer?.truth().orders.length, 2);
    } finally {
      await second.stop();
    }
  });

  it("rejects a folder that another run uses", async () => {
    const server = await startFood();
    run = await startRun(server, "--embedded");
    await run.said(/^Ready/);
    const second = await startRun(server, "--embedded");
    await second.said(/Another run uses/);
    assert.match(await second.child.exited, /status 1/);
  });
});
