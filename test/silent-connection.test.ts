/** Connections that go silent without ending: the clients leave them, and nothing is sent twice. */
import assert from "node:assert/strict";
import dns from "node:dns";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { FirestoreStore, openFirestore } from "../functions/src/adapters/firebase/firestore-store.js";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { PubSubBus } from "../functions/src/adapters/firebase/pubsub-bus.js";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import { parseTrust } from "../functions/src/credentials.js";
import { BusError, isCallError } from "../functions/src/domain/errors.js";
import {
  type KitchenOrder,
  KitchenServiceService,
  type Order,
  OrderServiceService,
} from "../functions/src/generated/food/v1/food.js";
import { MockUserDataServiceService } from "../functions/src/generated/user/user.js";
import { TEST_SETTINGS } from "../functions/src/testing/test-bed.js";
import { withEnvironment } from "../harness/env.js";
import { SilentProxy } from "../harness/silent-proxy.js";
import { identityIn } from "../services/food-service/certificate.js";
import { listen } from "../services/server.js";
import { startUserData } from "../services/users/data.js";
import { ask, connect } from "../services/users/downstream.js";
import { NO_LOG } from "../services/users/testing.js";
import { EMULATOR_START_TIMEOUT_MS, emulators } from "./emulators.js";
import { RunningTime } from "./running-time.js";

const DEADLINE_SECONDS = 2;
const DEADLINE_MS = DEADLINE_SECONDS * 1_000;

/** What a new connection and a call may take. */
const SLACK_MS = 4_000;

type Security = "tls" | "plaintext";

const portOf = (address: string) => Number(address.split(":").at(-1));

describe("a connection that goes silent", function () {
  this.timeout(60_000);

  const cleanUp: (() => unknown)[] = [];
  afterEach(async () => {
    for (const step of cleanUp.splice(0).reverse()) await step();
  });

  /** A food service that counts creates, and answers each call after as many milliseconds as `delay` says for its request. */
  async function startServer(security: Security, delay: (method: string) => number = () => 0, host = "localhost") {
    const directory = mkdtempSync(join(tmpdir(), "diet-silent-"));
    const { key, certificate } = await identityIn(directory);
    const created: string[] = [];
    const server = new Server({ "grpc.enable_channelz": 0 });
    const order = (name: string): Order => ({ name, createTime: "", updateTime: "", customerId: "", status: 1 });
    server.addService(OrderServiceService, {
      getOrder: ({ request }: ServerUnaryCall<{ name: string }, Order>, reply: sendUnaryData<Order>) =>
        void setTimeout(() => reply(null, order(request.name)), delay("getOrder")).unref(),
      listOrders: () => undefined,
      updateOrder: () => undefined,
      createOrder: () => undefined,
    });
    server.addService(KitchenServiceService, {
      createKitchenOrder: (_: unknown, reply: sendUnaryData<KitchenOrder>) => {
        created.push(`kitchenorders/${created.length}`);
        const made = { name: created.at(-1) ?? "", createTime: "", updateTime: "", status: 1 };
        setTimeout(() => reply(null, made), delay("createKitchenOrder")).unref();
      },
      getKitchenOrder: () => undefined,
    });
    const tls = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]);
    const address = await listen(server, `${host}:0`, security === "tls" ? tls : ServerCredentials.createInsecure());
    cleanUp.push(() => {
      server.forceShutdown();
      rmSync(directory, { recursive: true });
    });
    return { port: portOf(address), certificate: certificate.toString(), created, server };
  }

  function foodAt(port: number, security: Security, certificate: string): GrpcFoodService {
    const settings = {
      ...TEST_SETTINGS,
      FOOD_SERVICE_ADDRESS: `localhost:${port}`,
      FOOD_SERVICE_SECURITY: security,
      FOOD_SERVICE_CA: parseTrust(certificate),
      CALL_DEADLINE_SECONDS: DEADLINE_SECONDS,
    };
    const food = new GrpcFoodService(settings, systemClock);
    cleanUp.push(() => food.close());
    return food;
  }

  async function startProxy(port: number): Promise<SilentProxy> {
    const proxy = await SilentProxy.start(port);
    cleanUp.push(() => proxy.stop());
    return proxy;
  }

  /**
   * Calls until one is answered; how long that took, in milliseconds. Client, proxy and server are in this process: time in which it
   * does not get to run is not counted.
   */
  async function timeUntilAnswered(call: () => Promise<unknown>): Promise<number> {
    const time = new RunningTime();
    try {
      for (;;) {
        const answered = await call().then(
          () => true,
          () => false,
        );
        if (answered) return time.milliseconds;
        assert.ok(time.milliseconds < 60_000, "no call is answered any more");
        await sleep(20);
      }
    } finally {
      time.stop();
    }
  }

  for (const security of ["tls", "plaintext"] as const) {
    for (const silent of ["both", "answers"] as const) {
      it(`is left within two deadlines, with ${silent === "both" ? "requests and answers" : "answers"} lost, over ${security}`, async () => {
        const { port, certificate, created } = await startServer(security);
        const proxy = await startProxy(port);
        const food = foodAt(proxy.port, security, certificate);
        await food.getOrder("orders/1");

        proxy.silence(silent);
        const options = { idempotencyKey: "k", deadline: Date.now() + DEADLINE_MS };
        const create = food.createKitchenOrder(options).then(
          () => assert.fail("it was answered"),
          (error: unknown) => isCallError(error) && error.sent,
        );
        const elapsed = await timeUntilAnswered(() => food.getOrder("orders/1"));
        assert.ok(elapsed < 2 * DEADLINE_MS + SLACK_MS, `${elapsed} ms`);
        assert.equal(await create, true, "its outcome is unknown");
        await food.ready();
        assert.equal(created.length, silent === "both" ? 0 : 1);
        assert.equal(proxy.connections, 2);
      });
    }

    it(`that never begins does not look ready, over ${security}, and is left when others are answered`, async () => {
      const { port, certificate } = await startServer(security);
      const proxy = await startProxy(port);
      proxy.answersNew = false;
      const food = foodAt(proxy.port, security, certificate);
      await assert.rejects(food.ready(), (error) => isCallError(error) && !error.sent);
      await assert.rejects(food.getOrder("orders/1"), (error) => isCallError(error) && !error.sent);
      proxy.answersNew = true;
      const elapsed = await timeUntilAnswered(() => food.ready());
      assert.ok(elapsed < DEADLINE_MS + SLACK_MS, `${elapsed} ms`);
      await food.getOrder("orders/1");
    });
  }

  it("does not look ready for long when no other is answered either", async () => {
    const { port, certificate } = await startServer("tls");
    const proxy = await startProxy(port);
    const food = foodAt(proxy.port, "tls", certificate);
    await food.getOrder("orders/1");
    proxy.silence("both");
    proxy.answersNew = false;
    await assert.rejects(food.getOrder("orders/1"));
    await assert.rejects(food.ready(), (error) => isCallError(error) && !error.sent);
  });

  it("fails calls that were made at the same time once, and none after", async () => {
    const { port, certificate } = await startServer("tls");
    const proxy = await startProxy(port);
    const food = foodAt(proxy.port, "tls", certificate);
    await food.getOrder("orders/1");
    proxy.silence("both");
    await Promise.allSettled(Array.from({ length: 20 }, () => food.getOrder("orders/1")));
    await Promise.all(Array.from({ length: 20 }, () => food.getOrder("orders/1")));
  });

  it("keeps the calls in progress when a new one takes its place", async () => {
    const delays: Record<string, number> = { getOrder: 60_000, createKitchenOrder: 1.5 * DEADLINE_MS };
    const { port, certificate, created } = await startServer("tls", (method) => delays[method] ?? 0);
    const proxy = await startProxy(port);
    const food = foodAt(proxy.port, "tls", certificate);
    const create = food.createKitchenOrder({ idempotencyKey: "k", deadline: Date.now() + 4 * DEADLINE_MS });
    await assert.rejects(food.getOrder("orders/1"));
    delays.getOrder = 0;
    await food.getOrder("orders/1");
    assert.equal(proxy.connections, 2);
    assert.equal((await create).name, "kitchenorders/0");
    assert.equal(created.length, 1);
  });

  it("of the user chain is left within two deadlines", async () => {
    const data = await startUserData({ address: "127.0.0.1:0", log: NO_LOG });
    cleanUp.push(() => data.stop());
    const proxy = await startProxy(portOf(data.address));
    const downstream = connect("The data service", `127.0.0.1:${proxy.port}`);
    cleanUp.push(() => downstream.connection.close());
    const call = () =>
      ask(
        downstream,
        MockUserDataServiceService.getMockUserData,
        { name: "krithik" },
        { trace: "t", deadline: Date.now() + DEADLINE_MS },
      );
    await call();
    proxy.silence("both");
    const elapsed = await timeUntilAnswered(call);
    assert.ok(elapsed < 2 * DEADLINE_MS + SLACK_MS, `${elapsed} ms`);
  });

  describe("to Google's services", () => {
    it("is left by the Firestore client when its ping is not answered, and the read is answered by another", async function () {
      this.timeout(EMULATOR_START_TIMEOUT_MS);
      const { firestore: host } = await emulators();
      const proxy = await startProxy(portOf(host));
      const environment = { FIRESTORE_EMULATOR_HOST: `127.0.0.1:${proxy.port}`, GCLOUD_PROJECT: "demo-silent" };
      const firestore = withEnvironment(environment, () => openFirestore("demo-silent", 1_000));
      cleanUp.push(() => firestore.terminate());
      const store = new FirestoreStore(firestore);
      await store.read("things/1");
      proxy.silence("both");
      const started = performance.now();
      assert.deepEqual(await store.read("things/1"), [undefined]);
      // Without pings, a read waits for its own deadline of a minute.
      const elapsed = performance.now() - started;
      assert.ok(elapsed < 50_000, `${elapsed} ms`);
    });

    it("is left by the Pub/Sub client after a publish that was not answered in time", async function () {
      this.timeout(EMULATOR_START_TIMEOUT_MS);
      const { pubsub: host } = await emulators();
      await fetch(`http://${host}/v1/projects/demo-silent/topics/orders-new`, { method: "PUT" });
      const proxy = await startProxy(portOf(host));
      const environment = { PUBSUB_EMULATOR_HOST: `127.0.0.1:${proxy.port}`, GCLOUD_PROJECT: "demo-silent" };
      const bus = new PubSubBus();
      const message = { order: "orders/1", status: "NEW" } as const;
      const before = Object.fromEntries(Object.keys(environment).map((name) => [name, process.env[name]]));
      Object.assign(process.env, environment);
      cleanUp.push(() => {
        for (const [name, value] of Object.entries(before)) {
          if (value === undefined) delete process.env[name];
          else process.env[name] = value;
        }
      });
      await bus.publishOrders("kitchen", [message]);
      proxy.silence("both");
      await assert.rejects(bus.publishOrders("kitchen", [message]), BusError);
      await bus.publishOrders("kitchen", [message]);
      assert.equal(proxy.connections, 2);
    });
  });

  describe("because its server moved", () => {
    const { lookup } = dns.promises;
    let address = "127.0.0.1";
    beforeEach(() => {
      address = "127.0.0.1";
      Object.assign(dns.promises, { lookup: async () => [{ address, family: 4 }] });
    });
    afterEach(() => void Object.assign(dns.promises, { lookup }));

    /** Two ways to one server, at one port of two addresses. */
    async function twoWaysTo(port: number) {
      const old = await startProxy(port);
      const next = await SilentProxy.start(port, "127.0.0.2", old.port);
      cleanUp.push(() => next.stop());
      return { old, next, port: old.port };
    }

    it("is left for the server's new address within a second, when the old one ends", async () => {
      const { port: target, certificate } = await startServer("tls");
      const { old, next, port } = await twoWaysTo(target);
      const food = foodAt(port, "tls", certificate);
      await food.getOrder("orders/1");
      address = "127.0.0.2";
      await old.stop();
      const elapsed = await timeUntilAnswered(() => food.getOrder("orders/1"));
      assert.ok(elapsed < 1_000 + SLACK_MS, `${elapsed} ms`);
      assert.equal(next.connections, 1);
    });

    it("is left for the server's new address within two deadlines, when the old one goes silent", async () => {
      const { port: target, certificate } = await startServer("tls");
      const { old, next, port } = await twoWaysTo(target);
      const food = foodAt(port, "tls", certificate);
      await food.getOrder("orders/1");
      address = "127.0.0.2";
      old.silence("both");
      old.answersNew = false;
      const elapsed = await timeUntilAnswered(() => food.getOrder("orders/1"));
      assert.ok(elapsed < 2 * DEADLINE_MS + SLACK_MS, `${elapsed} ms`);
      assert.equal(next.connections, 1);
    });

    it("is left for the new address by the user chain within a second", async () => {
      const data = await startUserData({ address: "127.0.0.1:0", log: NO_LOG });
      cleanUp.push(() => data.stop());
      const { old, next, port } = await twoWaysTo(portOf(data.address));
      const downstream = connect("The data service", `localhost:${port}`);
      cleanUp.push(() => downstream.connection.close());
      const call = () =>
        ask(
          downstream,
          MockUserDataServiceService.getMockUserData,
          { name: "krithik" },
          { trace: "t", deadline: Date.now() + DEADLINE_MS },
        );
      await call();
      address = "127.0.0.2";
      await old.stop();
      const elapsed = await timeUntilAnswered(call);
      assert.ok(elapsed < 1_000 + SLACK_MS, `${elapsed} ms`);
      assert.equal(next.connections, 1);
    });
  });
});
