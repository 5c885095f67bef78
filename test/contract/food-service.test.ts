/** What the food service's port promises, checked on the model in memory and over gRPC with TLS on the simulated service. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect as connectTo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { GrpcFoodService } from "../../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../../functions/src/adapters/firebase/system-clock.js";
import { ManualClock } from "../../functions/src/adapters/memory/clock.js";
import { seededRandomness } from "../../functions/src/adapters/memory/random.js";
import { parseTrust } from "../../functions/src/credentials.js";
import { isCallError, TerminalError } from "../../functions/src/domain/errors.js";
import { ACTIVE_STATUSES, type ActiveStatus } from "../../functions/src/domain/order-lifecycle.js";
import {
  DroneServiceService,
  KitchenServiceService,
  OrderServiceService,
} from "../../functions/src/generated/food/v1/food.js";
import type { FoodService } from "../../functions/src/ports.js";
import type { Settings } from "../../functions/src/settings.js";
import { identityIn } from "../../services/food-service/certificate.js";
import { FoodServiceModel } from "../../services/food-service/model/food-service-model.js";
import { startFoodService } from "../../services/food-service/server.js";
import { listen } from "../../services/server.js";

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1);

interface Opened {
  food: FoodService;
  model: FoodServiceModel;
  /** The model's clock; a call's own deadline is by the machine's. */
  clock: ManualClock;
  close(): Promise<void>;
}
type Options = { honoursKeys?: boolean; rejected?: number };

let certificates: string;
before(() => {
  certificates = mkdtempSync(join(tmpdir(), "diet-certificates-"));
});
after(() => rmSync(certificates, { recursive: true, force: true }));

function connect(settings: {
  address: string;
  ca: string;
  security?: Settings["FOOD_SERVICE_SECURITY"];
  seconds?: number;
}) {
  return new GrpcFoodService(
    {
      FOOD_SERVICE_ADDRESS: settings.address,
      FOOD_SERVICE_SECURITY: settings.security ?? "tls",
      FOOD_SERVICE_CA: parseTrust(settings.ca),
      CALL_DEADLINE_SECONDS: settings.seconds ?? 5,
    },
    systemClock,
  );
}

async function openInMemory({ honoursKeys = false, rejected = 0 }: Options): Promise<Opened> {
  const clock = new ManualClock(START);
  const random = seededRandomness(1);
  const model = new FoodServiceModel({ clock, random, rejected, honoursIdempotencyKey: honoursKeys });
  return { food: model, model, clock, close: async () => {} };
}

async function openOverGrpc(options: Options): Promise<Opened> {
  const clock = new ManualClock(START);
  const running = await startFoodService({ address: "localhost:0", certificates, seed: "1", clock, ...options });
  const food = connect({ address: running.address, ca: running.certificate });
  const close = async () => {
    food.close();
    await running.stop();
  };
  return { food, model: running.model, clock, close };
}

/** The failure as the protocol judges it. */
async function failureOf(call: Promise<unknown>): Promise<{ code: string; sent: boolean; refused: boolean }> {
  const error: unknown = await call.then(
    () => assert.fail("it succeeded"),
    (reason: unknown) => reason,
  );
  assert.ok(isCallError(error), String(error));
  return { code: error.code, sent: error.sent, refused: error instanceof TerminalError };
}

const refusal = (code: string) => ({ code, sent: true, refused: true });
const inTime = (idempotencyKey: string) => ({ idempotencyKey, deadline: Date.now() + 60_000 });

for (const [where, open] of Object.entries({ "in memory": openInMemory, "over gRPC": openOverGrpc })) {
  describe(`the food service ${where}`, () => {
    let opened: Opened | undefined;
    const start = async (options: Options = {}) => {
      opened = await open(options);
      return opened;
    };
    // The machine's clock is ahead of the model's, which takes every deadline of now for one to come.
    afterEach(async () => {
      await opened?.close();
      opened = undefined;
    });

    it("is ready", async () => {
      const { food } = await start();
      await food.ready();
    });

    it("returns an order with its fields", async () => {
      const { food, model } = await start();
      const { name } = model.placeOrder("größe 😀");
      const { name: shown, customerId, status: now } = await food.getOrder(name);
      assert.deepEqual({ shown, customerId, now }, { shown: name, customerId: "größe 😀", now: "NEW" });
    });

    it("replies with a terminal error for an unknown name", async () => {
      const { food } = await start();
      assert.deepEqual(await failureOf(food.getOrder("orders/none")), refusal("NOT_FOUND"));
      assert.deepEqual(await failureOf(food.getKitchenOrder("kitchenorders/none")), refusal("NOT_FOUND"));
      assert.deepEqual(await failureOf(food.getShipment("shipments/none")), refusal("NOT_FOUND"));
      assert.deepEqual(await failureOf(food.updateOrder("orders/none", "PREPARATION")), refusal("NOT_FOUND"));
    });

    it("does not find a kitchen order under an order's name", async () => {
      const { food, model } = await start();
      assert.deepEqual(await failureOf(food.getKitchenOrder(model.placeOrder("krithik").name)), refusal("NOT_FOUND"));
    });

    it("rejects invalid names", async () => {
      const { food } = await start();
      for (const name of ["", "orders/\n", `orders/${"x".repeat(1_400)}`]) {
        assert.deepEqual(await failureOf(food.getOrder(name)), refusal("INVALID_ARGUMENT"), name.slice(0, 20));
        assert.deepEqual(await failureOf(food.getShipment(name)), refusal("INVALID_ARGUMENT"), name.slice(0, 20));
      }
    });

    it("changes an order's status and no other field", async () => {
      const { food, model } = await start();
      const { name } = model.placeOrder("krithik");
      for (const next of ["PREPARATION", "IN_FLIGHT", "DELIVERED"] as const) {
        assert.equal(await food.updateOrder(name, next), undefined);
        const { customerId, status: now } = await food.getOrder(name);
        assert.deepEqual([customerId, now], ["krithik", next]);
      }
      assert.equal(model.truth().orders[0]?.changes.length, 4);
    });

    it("lists the orders of one status page by page, each once, and none of another", async () => {
      const { food, model } = await start();
      const expected: Record<string, string[]> = { NEW: [], PREPARATION: [], IN_FLIGHT: [] };
      for (let count = 0; count < 21; count++) {
        const { name } = model.placeOrder("krithik");
        const to: ActiveStatus = ACTIVE_STATUSES[count % 3] ?? "NEW";
        if (to !== "NEW") await food.updateOrder(name, to);
        expected[to]?.push(name);
      }
      model.cancelOrder(model.placeOrder("krithik").name);
      for (const each of ACTIVE_STATUSES) {
        const names: string[] = [];
        const tokens: string[] = [];
        let pageToken = "";
        do {
          const page = await food.listOrders({ status: each, pageSize: 3, pageToken });
          assert.ok(page.orders.length <= 3);
          for (const order of page.orders) assert.equal(order.status, each);
          names.push(...page.orders.map(({ name }) => name));
          pageToken = page.nextPageToken;
          assert.ok(!tokens.includes(pageToken), "a page token twice");
          tokens.push(pageToken);
        } while (pageToken !== "");
        assert.deepEqual(names.sort(), expected[each]?.sort(), each);
      }
    });

    it("returns one empty page when there is nothing to list", async () => {
      const { food } = await start();
      const page = await food.listOrders({ status: "NEW", pageSize: 10, pageToken: "" });
      assert.deepEqual(page, { orders: [], nextPageToken: "" });
    });

    it("rejects an unknown page token, and an invalid page size", async () => {
      const { food, model } = await start();
      for (let count = 0; count < 3; count++) model.placeOrder("krithik");
      const { nextPageToken } = await food.listOrders({ status: "NEW", pageSize: 1, pageToken: "" });
      for (const request of [
        { status: "NEW", pageSize: 1, pageToken: "x" },
        { status: "IN_FLIGHT", pageSize: 1, pageToken: nextPageToken },
        { status: "NEW", pageSize: -1, pageToken: "" },
      ] as const) {
        assert.deepEqual(await failureOf(food.listOrders(request)), refusal("INVALID_ARGUMENT"));
      }
    });

    it("moves a kitchen order from NEW to PACKAGED over time", async () => {
      const { food, clock } = await start();
      const { name, status: first } = await food.createKitchenOrder(inTime("k"));
      assert.match(name, /^kitchenorders\/[0-9a-f-]{36}$/);
      const seen = [first];
      for (let minutes = 0; minutes < 60; minutes++) {
        const { name: shown, status: now } = await food.getKitchenOrder(name);
        assert.equal(shown, name);
        if (now !== seen.at(-1)) seen.push(now);
        clock.advance(60_000);
      }
      assert.deepEqual(seen, ["NEW", "PREPARATION", "PACKAGED"]);
    });

    for (const [rejected, outcome] of [
      [0, "DELIVERED"],
      [1, "REJECTED"],
    ] as const) {
      it(`moves a shipment from NEW to ${outcome} over time`, async () => {
        const { food, clock } = await start({ rejected });
        const { name, status: first } = await food.createShipment(inTime("k"));
        assert.match(name, /^shipments\/[0-9a-f-]{36}$/);
        assert.equal(first, "NEW");
        clock.advance(HOUR);
        assert.deepEqual((await food.getShipment(name)).status, outcome);
      });
    }

    it("creates a new resource at every create if it ignores keys", async () => {
      const { food, model } = await start();
      const names = [inTime("k"), inTime("k")].map(async (options) => (await food.createKitchenOrder(options)).name);
      assert.equal(new Set(await Promise.all(names)).size, 2);
      await food.createShipment(inTime("k"));
      await food.createShipment(inTime("k"));
      const { kitchenOrders, shipments } = model.truth();
      assert.deepEqual([kitchenOrders.length, shipments.length], [2, 2]);
      for (const { idempotencyKey } of [...kitchenOrders, ...shipments]) assert.equal(idempotencyKey, "k");
    });

    it("creates one kitchen order and one shipment per key if it honours keys", async () => {
      const { food, model } = await start({ honoursKeys: true });
      const first = await food.createKitchenOrder(inTime("k"));
      assert.equal((await food.createKitchenOrder(inTime("k"))).name, first.name);
      assert.notEqual((await food.createKitchenOrder(inTime("other"))).name, first.name);
      const shipment = await food.createShipment(inTime("k"));
      assert.equal((await food.createShipment(inTime("k"))).name, shipment.name);
      const { kitchenOrders, shipments } = model.truth();
      assert.deepEqual([kitchenOrders.length, shipments.length], [2, 1]);
    });

    it("never sends a create whose deadline has passed", async () => {
      const { food, model } = await start();
      const over = { idempotencyKey: "k", deadline: START - 1 };
      const expected = { code: "DEADLINE_EXCEEDED", sent: false, refused: false };
      assert.deepEqual(await failureOf(food.createKitchenOrder(over)), expected);
      assert.deepEqual(await failureOf(food.createShipment(over)), expected);
      const { kitchenOrders, shipments } = model.truth();
      assert.deepEqual([kitchenOrders, shipments], [[], []]);
    });
  });
}

/** A way to a server that can be cut, as when its machine dies, and mended. */
async function startCable(address: string) {
  const sockets = new Set<Socket>();
  const port = Number(address.split(":").at(-1));
  const cable = createServer((near) => {
    const far = connectTo({ host: "localhost", port });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
  });
  const lay = (at: number) => new Promise<void>((resolve) => cable.listen({ host: "localhost", port: at }, resolve));
  await lay(0);
  const { port: bound } = cable.address() as AddressInfo;
  const cut = () => {
    cable.close();
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return { address: `localhost:${bound}`, cut, mend: () => lay(bound) };
}

type Method =
  | "createKitchenOrder"
  | "createShipment"
  | "getOrder"
  | "getKitchenOrder"
  | "getShipment"
  | "listOrders"
  | "updateOrder";
type Answer = (call: ServerUnaryCall<never, unknown>, answer: sendUnaryData<unknown>) => void;

/** A server that answers each method as configured, and counts the calls. */
async function startServer(answer: Answer) {
  const calls: Partial<Record<string, number>> = {};
  const server = new Server({ "grpc.enable_channelz": 0 });
  for (const service of [OrderServiceService, KitchenServiceService, DroneServiceService]) {
    const handlers = Object.keys(service).map((method) => [
      method,
      (call: ServerUnaryCall<never, unknown>, reply: sendUnaryData<unknown>) => {
        calls[method] = (calls[method] ?? 0) + 1;
        answer(call, reply);
      },
    ]);
    server.addService(service, Object.fromEntries(handlers));
  }
  const { key, certificate } = await identityIn(certificates);
  const secure = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]);
  const address = await listen(server, "localhost:0", secure);
  return { address, ca: certificate.toString(), server, calls };
}

const CALLS: Record<Method, (food: FoodService) => Promise<unknown>> = {
  createKitchenOrder: (food) => food.createKitchenOrder(inTime("k")),
  createShipment: (food) => food.createShipment(inTime("k")),
  getOrder: (food) => food.getOrder("orders/1"),
  getKitchenOrder: (food) => food.getKitchenOrder("kitchenorders/1"),
  getShipment: (food) => food.getShipment("shipments/1"),
  listOrders: (food) => food.listOrders({ status: "NEW", pageSize: 1, pageToken: "" }),
  updateOrder: (food) => food.updateOrder("orders/1", "PREPARATION"),
};
const METHODS = Object.keys(CALLS) as Method[];
const CREATES: Method[] = ["createKitchenOrder", "createShipment"];
const EMPTY = { name: "", createTime: "", updateTime: "", customerId: "", status: 0, orders: [], nextPageToken: "" };

describe("the connection to the food service", () => {
  const open: (() => void)[] = [];
  afterEach(() => {
    for (const close of open.splice(0)) close();
  });

  async function serving(answer: Answer, seconds = 5) {
    const served = await startServer(answer);
    const food = connect({ ...served, seconds });
    open.push(() => {
      food.close();
      served.server.forceShutdown();
    });
    return { ...served, food };
  }

  /** As `serving`, over a cable. */
  async function cabled(answer: Answer) {
    const served = await serving(answer);
    const cable = await startCable(served.address);
    open.push(cable.cut);
    return { ...served, cable, food: connected({ address: cable.address, ca: served.ca }) };
  }

  function connected(settings: Parameters<typeof connect>[0]): GrpcFoodService {
    const food = connect(settings);
    open.push(() => food.close());
    return food;
  }

  /** An address at which nothing listens any more. */
  async function deadAddress(): Promise<string> {
    const { address, server } = await startServer(() => {});
    server.forceShutdown();
    return address;
  }

  it("reports that nothing listens, and that nothing was sent", async () => {
    const { certificate } = await identityIn(certificates);
    const food = connected({ address: await deadAddress(), ca: certificate.toString(), seconds: 1 });
    assert.deepEqual(await failureOf(food.ready()), { code: "UNAVAILABLE", sent: false, refused: false });
    const failures = await Promise.all(METHODS.map((method) => failureOf(CALLS[method](food))));
    for (const { sent, refused } of failures) assert.deepEqual([sent, refused], [false, false]);
  });

  it("fails before anything is sent when the certificate is not from the given authority", async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "diet-certificates-"));
    open.push(() => rmSync(elsewhere, { recursive: true, force: true }));
    const { certificate } = await identityIn(elsewhere);
    const { address, calls } = await serving((_, answer) => answer(null, EMPTY));
    for (const ca of [certificate.toString(), "system"]) {
      const food = connected({ address, ca, seconds: 1 });
      assert.deepEqual(await failureOf(food.ready()), { code: "UNAVAILABLE", sent: false, refused: false });
      for (const method of CREATES) assert.equal((await failureOf(CALLS[method](food))).sent, false);
    }
    assert.deepEqual(calls, {});
  });

  it("accepts a bundle of several certificates", async () => {
    const { address, ca } = await serving((_, answer) => answer(null, EMPTY));
    await connected({ address, ca: [...rootCertificates.slice(0, 2), ca].join("\n") }).ready();
  });

  it("sends nothing in plaintext to a service that speaks TLS", async () => {
    const { address, ca, calls } = await serving((_, answer) => answer(null, EMPTY));
    const food = connected({ address, ca, security: "plaintext", seconds: 1 });
    await failureOf(food.createKitchenOrder(inTime("k")));
    assert.deepEqual(calls, {});
  });

  for (const method of METHODS) {
    const repeats = !CREATES.includes(method);

    it(`${repeats ? "retries" : "never retries"} ${method} if the service answers UNAVAILABLE`, async () => {
      const { food, calls } = await serving((_, answer) => answer({ code: status.UNAVAILABLE, details: "busy" }));
      assert.deepEqual(await failureOf(CALLS[method](food)), { code: "UNAVAILABLE", sent: true, refused: false });
      assert.equal(calls[method], repeats ? 4 : 1);
    });

    it(`${repeats ? "fails" : "reports the call as sent"} when the service dies after it received ${method}`, async () => {
      const { cable, food, calls } = await cabled(() => cable.cut());
      const { code, sent, refused } = await failureOf(CALLS[method](food));
      assert.deepEqual([code, refused], ["UNAVAILABLE", false]);
      // The outcome of the last try says nothing about earlier ones, and no caller needs it: a repeated call is harmless.
      if (!repeats) assert.equal(sent, true);
      assert.equal(calls[method], 1);
    });
  }

  it("ends every call at its deadline, and reports it as sent", async () => {
    const { food, calls } = await serving(() => {}, 3);
    await food.ready();
    const soon = () => ({ idempotencyKey: "k", deadline: Date.now() + 3_000 });
    const creates = [food.createKitchenOrder(soon()), food.createShipment(soon())];
    const others = METHODS.filter((method) => !CREATES.includes(method)).map((method) => CALLS[method](food));
    for (const failure of await Promise.all([...creates, ...others].map(failureOf))) {
      assert.deepEqual(failure, { code: "DEADLINE_EXCEEDED", sent: true, refused: false });
    }
    assert.deepEqual(calls, Object.fromEntries(METHODS.map((method) => [method, 1])));
  });

  it("retries a read until it succeeds", async () => {
    let failures = 2;
    const { food, calls } = await serving((_, answer) =>
      failures-- > 0 ? answer({ code: status.UNAVAILABLE }) : answer(null, { ...EMPTY, name: "orders/1", status: 1 }),
    );
    assert.equal((await food.getOrder("orders/1")).status, "NEW");
    assert.equal(calls.getOrder, 3);
  });

  for (const code of [
    "UNKNOWN",
    "INTERNAL",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
    "ALREADY_EXISTS",
  ] as const) {
    it(`neither retries a read after ${code} nor treats it as a rejection`, async () => {
      const { food, calls } = await serving((_, answer) => answer({ code: status[code], details: "no" }));
      assert.deepEqual(await failureOf(food.getOrder("orders/1")), { code, sent: true, refused: false });
      assert.equal(calls.getOrder, 1);
    });
  }

  it("includes the method and the service's message in errors", async () => {
    const { food } = await serving((_, answer) =>
      answer({ code: status.INVALID_ARGUMENT, details: "no such customer" }),
    );
    await assert.rejects(food.createKitchenOrder(inTime("k")), /CreateKitchenOrder: no such customer/);
  });

  it("sends the idempotency key with creates only", async () => {
    const keys: Record<string, unknown[]> = {};
    const { food } = await serving((call, answer) => {
      keys[call.getPath()] = call.metadata.get("idempotency-key");
      answer(null, EMPTY);
    });
    for (const method of METHODS) await CALLS[method](food);
    for (const [path, found] of Object.entries(keys)) {
      assert.deepEqual(found, /Create/.test(path) ? ["k"] : [], path);
    }
    assert.equal(Object.keys(keys).length, METHODS.length);
  });

  it("requests an update of the status only", async () => {
    let request: unknown;
    const { food } = await serving((call, answer) => {
      request = call.request;
      answer(null, EMPTY);
    });
    await food.updateOrder("orders/1", "IN_FLIGHT");
    const { order, updateMask } = request as { order: { name: string; status: number }; updateMask: string[] };
    assert.deepEqual([order.name, order.status, updateMask], ["orders/1", 3, ["status"]]);
  });

  it("treats statuses that are not in the contract as UNKNOWN, in every reply", async () => {
    for (const code of [-(2 ** 31), -1, 0, 7, 99, 2 ** 31 - 1]) {
      const { food } = await serving((_, answer) =>
        answer(null, { ...EMPTY, name: "x", status: code, orders: [{ ...EMPTY, name: "y", status: code }] }),
      );
      assert.equal((await food.getOrder("x")).status, "UNKNOWN");
      assert.equal((await food.getKitchenOrder("x")).status, "UNKNOWN");
      assert.equal((await food.getShipment("x")).status, "UNKNOWN");
      assert.equal((await food.createKitchenOrder(inTime("k"))).status, "UNKNOWN");
      const { orders } = await food.listOrders({ status: "NEW", pageSize: 1, pageToken: "" });
      assert.deepEqual(
        orders.map(({ status: listed }) => listed),
        ["UNKNOWN"],
      );
    }
  });

  it("is reopened after the service was unavailable", async () => {
    const { cable, food } = await cabled((_, answer) => answer(null, { ...EMPTY, name: "kitchenorders/1" }));
    await food.ready();
    cable.cut();
    assert.equal((await failureOf(food.createKitchenOrder(inTime("k")))).code, "UNAVAILABLE");
    await cable.mend();
    await food.ready();
    assert.equal((await food.createKitchenOrder(inTime("k"))).name, "kitchenorders/1");
  });
});
