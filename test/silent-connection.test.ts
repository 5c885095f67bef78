/** Connections that go silent without ending: the clients leave them, and nothing is sent twice. */
import assert from "node:assert/strict";
import diagnostics from "node:diagnostics_channel";
import dns from "node:dns";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { FirestoreStore, openFirestore } from "../functions/src/adapters/firebase/firestore-store.js";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { GrpcStore } from "../functions/src/adapters/firebase/grpc-store.js";
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

/** A silent connection costs at most two calls their deadline; a machine on which all tests run at once, two more. */
const MAX_TIMEOUTS = 2 + 2;

/** A new address is followed within a second, on a busy machine within this time. gRPC alone takes 30 s. */
const FOLLOWED_WITHIN_MS = 10_000;

type Security = "tls" | "plaintext";

const portOf = (address: string) => Number(address.split(":").at(-1));

describe("a connection that goes silent", function () {
  this.timeout(120_000);

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

  /** Calls until one is answered: how many ran into their deadline, and how long it took, in milliseconds. */
  async function untilAnswered(call: () => Promise<unknown>): Promise<{ timeouts: number; elapsed: number }> {
    const time = new RunningTime();
    try {
      for (let timeouts = 0; ; await sleep(20)) {
        const calledAt = performance.now();
        const isAnswered = await call().then(
          () => true,
          () => false,
        );
        const elapsed = time.milliseconds;
        if (isAnswered) return { timeouts, elapsed };
        if (performance.now() - calledAt > DEADLINE_MS / 2) timeouts++;
        assert.ok(elapsed < 60_000, "no call is answered any more");
      }
    } finally {
      time.stop();
    }
  }

  /** A client of the user data service at this address. */
  function userDataAt(address: string): () => Promise<unknown> {
    const downstream = connect("The data service", address);
    cleanUp.push(() => downstream.connection.close());
    const method = MockUserDataServiceService.getMockUserData;
    return () => ask(downstream, method, { name: "krithik" }, { trace: "t", deadline: Date.now() + DEADLINE_MS });
  }

  for (const security of ["tls", "plaintext"] as const) {
    for (const silent of ["both", "answers"] as const) {
      it(`is replaced within two deadlines, with ${silent === "both" ? "requests and replies" : "replies"} lost, over ${security}`, async () => {
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
        const { timeouts, elapsed } = await untilAnswered(() => food.getOrder("orders/1"));
        assert.ok(timeouts <= MAX_TIMEOUTS, `${timeouts} calls in ${elapsed} ms`);
        assert.equal(await create, true, "its outcome is unknown");
        await food.ready();
        assert.equal(created.length, silent === "both" ? 0 : 1);
        // On a busy machine, a new connection may take longer than a deadline and be replaced too.
        assert.ok(proxy.connections >= 2);
      });
    }

    it(`does not count as ready over ${security} if it never opens, and is replaced when other connections respond`, async () => {
      const { port, certificate } = await startServer(security);
      const proxy = await startProxy(port);
      proxy.answersNew = false;
      const food = foodAt(proxy.port, security, certificate);
      await assert.rejects(food.ready(), (error) => isCallError(error) && !error.sent);
      await assert.rejects(food.getOrder("orders/1"), (error) => isCallError(error) && !error.sent);
      proxy.answersNew = true;
      const { timeouts, elapsed } = await untilAnswered(() => food.ready());
      assert.ok(timeouts <= MAX_TIMEOUTS, `${timeouts} calls in ${elapsed} ms`);
      await food.getOrder("orders/1");
    });
  }

  for (const security of ["tls", "plaintext"] as const) {
    it(`leaves no socket open if its peer never closes it, over ${security}`, async () => {
      const { port, certificate } = await startServer(security);
      const proxy = await startProxy(port);
      const sockets = new Set<Socket>();
      const remember = (message: unknown) => {
        const { socket } = message as { socket: Socket };
        socket.once("connect", () => socket.remotePort === proxy.port && sockets.add(socket));
      };
      diagnostics.subscribe("net.client.socket", remember);
      cleanUp.push(() => diagnostics.unsubscribe("net.client.socket", remember));
      const food = foodAt(proxy.port, security, certificate);
      await food.getOrder("orders/1");
      proxy.silence("both");
      proxy.answersNew = false;
      await assert.rejects(food.getOrder("orders/1"));
      for (let tries = 0; tries < 2; tries++) await assert.rejects(food.ready());
      food.close();
      const open = () => [...sockets].filter((socket) => !socket.destroyed);
      for (const started = Date.now(); open().length > 0; await sleep(50)) {
        assert.ok(Date.now() - started < 120_000, `${open().length} of ${sockets.size} sockets are open`);
      }
      assert.ok(sockets.size >= 3, `${sockets.size} connections`);
    }).timeout(180_000);
  }

  it("does not count as ready for long if no other connection responds either", async () => {
    const { port, certificate } = await startServer("tls");
    const proxy = await startProxy(port);
    const food = foodAt(proxy.port, "tls", certificate);
    await food.getOrder("orders/1");
    proxy.silence("both");
    proxy.answersNew = false;
    await assert.rejects(food.getOrder("orders/1"));
    await assert.rejects(food.ready(), (error) => isCallError(error) && !error.sent);
  });

  it("fails concurrent calls once, and no later call", async () => {
    const { port, certificate } = await startServer("tls");
    const proxy = await startProxy(port);
    const food = foodAt(proxy.port, "tls", certificate);
    await food.getOrder("orders/1");
    proxy.silence("both");
    await Promise.allSettled(Array.from({ length: 20 }, () => food.getOrder("orders/1")));
    await Promise.all(Array.from({ length: 20 }, () => food.getOrder("orders/1")));
  });

  it("keeps its calls in progress when a new connection replaces it", async () => {
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

  it("is replaced within two deadlines in the user chain", async () => {
    const data = await startUserData({ address: "127.0.0.1:0", log: NO_LOG });
    cleanUp.push(() => data.stop());
    const proxy = await startProxy(portOf(data.address));
    const call = userDataAt(`127.0.0.1:${proxy.port}`);
    await call();
    proxy.silence("both");
    const { timeouts, elapsed } = await untilAnswered(call);
    assert.ok(timeouts <= MAX_TIMEOUTS, `${timeouts} calls in ${elapsed} ms`);
  });

  describe("to Google's services", () => {
    it("is replaced by the Firestore client when its ping is not answered, and the read succeeds", async function () {
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

    it("is replaced by the store when its ping is not answered, and the read succeeds", async function () {
      this.timeout(EMULATOR_START_TIMEOUT_MS);
      const { firestore: host } = await emulators();
      const proxy = await startProxy(portOf(host));
      const environment = { FIRESTORE_EMULATOR_HOST: `127.0.0.1:${proxy.port}` };
      const store = withEnvironment(environment, () => new GrpcStore({ project: "demo-silent", pingAfterMs: 1_000 }));
      cleanUp.push(() => store.close());
      await store.read("things/1");
      proxy.silence("both");
      const started = performance.now();
      assert.deepEqual(await store.read("things/1"), [undefined]);
      const elapsed = performance.now() - started;
      assert.ok(elapsed < 20_000, `${elapsed} ms`);
    });

    it("is replaced by the bus after a publish that timed out", async function () {
      this.timeout(EMULATOR_START_TIMEOUT_MS);
      const { pubsub: host } = await emulators();
      await fetch(`http://${host}/v1/projects/demo-silent/topics/orders-new`, { method: "PUT" });
      const proxy = await startProxy(portOf(host));
      const environment = { PUBSUB_EMULATOR_HOST: `127.0.0.1:${proxy.port}` };
      const bus = withEnvironment(environment, () => new PubSubBus("demo-silent"));
      cleanUp.push(() => bus.close());
      const message = { order: "orders/1", status: "NEW" } as const;
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

    it("is replaced by one to the server's new address within a second when it ends", async () => {
      const { port: target, certificate } = await startServer("tls");
      const { old, next, port } = await twoWaysTo(target);
      const food = foodAt(port, "tls", certificate);
      await food.getOrder("orders/1");
      address = "127.0.0.2";
      await old.stop();
      const { elapsed } = await untilAnswered(() => food.getOrder("orders/1"));
      assert.ok(elapsed < FOLLOWED_WITHIN_MS, `${elapsed} ms`);
      assert.equal(next.connections, 1);
    });

    it("is replaced by one to the server's new address within two deadlines when it goes silent", async () => {
      const { port: target, certificate } = await startServer("tls");
      const { old, next, port } = await twoWaysTo(target);
      const food = foodAt(port, "tls", certificate);
      await food.getOrder("orders/1");
      address = "127.0.0.2";
      old.silence("both");
      old.answersNew = false;
      const { timeouts, elapsed } = await untilAnswered(() => food.getOrder("orders/1"));
      assert.ok(timeouts <= MAX_TIMEOUTS, `${timeouts} calls in ${elapsed} ms`);
      // A call that times out may give up a connection that is still being set up.
      assert.ok(next.connections <= 1 + timeouts, `${next.connections} connections for ${timeouts} timeouts`);
    });

    it("is replaced by one to the new address within a second in the user chain", async () => {
      const data = await startUserData({ address: "127.0.0.1:0", log: NO_LOG });
      cleanUp.push(() => data.stop());
      const { old, next, port } = await twoWaysTo(portOf(data.address));
      const call = userDataAt(`localhost:${port}`);
      await call();
      address = "127.0.0.2";
      await old.stop();
      const { elapsed } = await untilAnswered(call);
      assert.ok(elapsed < FOLLOWED_WITHIN_MS, `${elapsed} ms`);
      assert.equal(next.connections, 1);
    });
  });
});
