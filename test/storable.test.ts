/**
 * What a food service, a user service or a person says never stops a commit that must not fail: over gRPC, from a server
 * that says odd things, and on the official Firestore emulator.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerErrorResponse,
  status,
} from "@grpc/grpc-js";
import { FirestoreStore, openFirestore } from "../functions/src/adapters/firebase/firestore-store.js";
import { GrpcCustomers } from "../functions/src/adapters/firebase/grpc-customers.js";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import { withCheckedReplies } from "../functions/src/adapters/firebase/verified-replies.js";
import { resolveAttempt } from "../functions/src/attempts/resolve-attempt.js";
import {
  type GetKitchenOrderRequest,
  type GetOrderRequest,
  type KitchenOrder,
  KitchenServiceService,
  type Order,
  OrderServiceService,
} from "../functions/src/generated/food/v1/food.js";
import { Orchestrator1ServiceService, type User } from "../functions/src/generated/user/user.js";
import { resolveCustomer } from "../functions/src/pipeline/resolve-customer.js";
import { sendToKitchen } from "../functions/src/pipeline/send-to-kitchen.js";
import type { Fields, Ports } from "../functions/src/ports.js";
import { TEST_SETTINGS, testBed } from "../functions/src/testing/test-bed.js";
import { withEnvironment } from "../harness/env.js";
import { listen } from "../services/server.js";
import { EMULATOR_START_TIMEOUT_MS, emulators } from "./emulators.js";

type Failure = Partial<ServerErrorResponse>;

/** What the server says next. */
interface Script {
  createTime: string;
  customerId: string;
  /** Of the kitchen order that a create makes, or why it makes none. */
  kitchenOrder: string | Failure;
  user: User | Failure;
}

const ODD_TEXTS = ["x".repeat(1_500), "x".repeat(200_000), "a\0b", "\ufeff\u202e", "größe 😀"];

const UNIMPLEMENTED: Failure = { code: status.UNIMPLEMENTED };

function unary<Q, R extends object>(answer: (request: Q) => R | Failure): handleUnaryCall<Q, R> {
  return ({ request }, callback) => {
    const reply = answer(request);
    if ("code" in reply) callback(reply);
    else callback(null, reply as R);
  };
}

describe("unusual external values, on Firestore", function () {
  this.timeout(60_000);

  let firestore: ReturnType<typeof openFirestore>;
  let store: FirestoreStore;
  let server: Server;
  let food: GrpcFoodService;
  let customers: GrpcCustomers;
  let ports: Ports;
  let script: Script;
  let creates = 0;

  before(async function () {
    this.timeout(EMULATOR_START_TIMEOUT_MS);
    const { firestore: host } = await emulators();
    const environment = { FIRESTORE_EMULATOR_HOST: host, GCLOUD_PROJECT: "demo-odd" };
    firestore = withEnvironment(environment, () => openFirestore("demo-odd"));
    store = new FirestoreStore(firestore);

    server = new Server({ "grpc.max_receive_message_length": -1 });
    const order = (name: string): Order => {
      return { name, createTime: script.createTime, updateTime: "", customerId: script.customerId, status: 1 };
    };
    const kitchenOrder = (name: string): KitchenOrder => {
      return { name, createTime: script.createTime, updateTime: "", status: 1 };
    };
    server.addService(OrderServiceService, {
      getOrder: unary<GetOrderRequest, Order>(({ name }) => order(name)),
      listOrders: unary(() => UNIMPLEMENTED),
      updateOrder: unary(() => UNIMPLEMENTED),
      createOrder: unary(() => UNIMPLEMENTED),
    });
    server.addService(KitchenServiceService, {
      createKitchenOrder: unary<unknown, KitchenOrder>(() => {
        creates++;
        const made = script.kitchenOrder;
        return typeof made === "string" ? kitchenOrder(made) : made;
      }),
      getKitchenOrder: unary<GetKitchenOrderRequest, KitchenOrder>(({ name }) => kitchenOrder(name)),
    });
    server.addService(Orchestrator1ServiceService, { getUserByName: unary<unknown, User>(() => script.user) });
    const address = await listen(server, "localhost:0", ServerCredentials.createInsecure());
    const settings = {
      ...TEST_SETTINGS,
      FOOD_SERVICE_ADDRESS: address,
      FOOD_SERVICE_SECURITY: "plaintext" as const,
      USERS_ADDRESS: address,
      USERS_SECURITY: "plaintext" as const,
    };
    food = new GrpcFoodService(settings, systemClock);
    customers = new GrpcCustomers(settings, systemClock);
    ports = { ...testBed().ports, clock: systemClock, store, food: withCheckedReplies(food), customers, settings };
  });
  after(async () => {
    food?.close();
    customers?.close();
    server?.forceShutdown();
    await firestore?.terminate();
  });
  beforeEach(() => {
    creates = 0;
    script = {
      createTime: "2026-01-01T00:00:00Z",
      customerId: "krithik",
      kitchenOrder: `kitchenorders/${randomUUID()}`,
      user: { name: "krithik", class: "7", roll: 70 },
    };
  });

  const newRef = () => {
    const id = randomUUID();
    return { id, name: `orders/${id}` };
  };
  const fieldsOf = async (path: string): Promise<Fields> =>
    (await store.read(path))[0]?.fields ?? assert.fail(`there is no ${path}`);

  const TIMES = [
    "0000-01-01T00:00:00Z",
    "0000-12-31T23:59:59.999999999Z",
    "0001-01-01T00:00:00+01:00",
    "-0001-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "+275760-09-13T00:00:00Z",
    "9999-12-31T23:59:59.999-23:59",
    "12345",
    "5",
    "yesterday",
    "2026-02-30T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "\0",
    "9".repeat(100_000),
  ];
  for (const createTime of TIMES) {
    const shown = JSON.stringify(createTime.slice(0, 40));
    it(`links a kitchen order whose order was created at ${shown}`, async () => {
      script.createTime = createTime;
      const ref = newRef();
      assert.deepEqual(await sendToKitchen(ref, ports), { outcome: "advanced", to: "PREPARATION" });
      assert.equal((await fieldsOf(`relations/${ref.id}`)).kitchen, script.kitchenOrder);
      assert.deepEqual(await store.read(`attempts/kitchen:${ref.id}`), [undefined]);
      assert.equal(creates, 1);
    });
  }

  it("applies an operator's link for an order that was created in the year 0", async () => {
    const ref = newRef();
    script.kitchenOrder = { code: status.UNAVAILABLE, details: "lost" };
    assert.equal((await sendToKitchen(ref, ports)).outcome, "blocked");
    script.createTime = "0000-01-01T00:00:00Z";
    const link = `kitchenorders/${randomUUID()}`;
    // From the command line, a decision may hold any text.
    const words = { by: `ana \ud800 ${"a".repeat(5_000)}`, reason: `${"x".repeat(1_200_000)}\udc00` };
    const result = await resolveAttempt({ order: ref.name, stage: "kitchen", link, ...words }, ports);
    assert.equal(result.outcome, "advanced");
    assert.equal((await fieldsOf(`relations/${ref.id}`)).kitchen, link);
  });

  for (const customerId of ["", ...ODD_TEXTS]) {
    it(`links a kitchen order whose customer is ${JSON.stringify(customerId.slice(0, 20))}, of ${customerId.length} characters`, async () => {
      script.customerId = customerId;
      const ref = newRef();
      assert.equal((await sendToKitchen(ref, ports)).outcome, "advanced");
      const [after] = await store.read(`relations/${ref.id}`);
      await resolveCustomer({ before: undefined, after }, ports);
      assert.ok((await fieldsOf(`relations/${ref.id}`)).customer);
    });
  }

  for (const text of ODD_TEXTS) {
    it(`stores a user with a name and class of ${text.length} characters like ${JSON.stringify(text.slice(0, 10))}`, async () => {
      const ref = newRef();
      await sendToKitchen(ref, ports);
      script.user = { name: text, class: text, roll: -(2 ** 53 - 1) };
      const [after] = await store.read(`relations/${ref.id}`);
      const outcome = await resolveCustomer({ before: undefined, after }, ports);
      assert.deepEqual(outcome, { outcome: "advanced", to: "customer known" });
    });
  }

  it("stores that a user can't be read if a number in the reply is too large", async () => {
    const ref = newRef();
    await sendToKitchen(ref, ports);
    script.user = { name: "krithik", class: "7", roll: 2 ** 62 };
    const [after] = await store.read(`relations/${ref.id}`);
    const outcome = await resolveCustomer({ before: undefined, after }, ports);
    assert.deepEqual(outcome, { outcome: "advanced", to: "customer unknown" });
  });

  for (const [code, state] of [
    [status.INVALID_ARGUMENT, "FAILED"],
    [status.INTERNAL, "UNCERTAIN"],
    [99 as status, "UNCERTAIN"],
  ] as const) {
    it(`records a create that failed with the code ${code} and a message of 6,000 bytes as ${state}`, async () => {
      script.kitchenOrder = { code, details: `größe \0 ${"😀".repeat(1_500)}`, metadata: new Metadata() };
      const ref = newRef();
      assert.equal((await sendToKitchen(ref, ports)).outcome, "blocked");
      const attempt = await fieldsOf(`attempts/kitchen:${ref.id}`);
      assert.equal(attempt.state, state);
      const { message } = attempt.reason as { message: string };
      assert.ok(Buffer.byteLength(message) <= 1_500, String(Buffer.byteLength(message)));
      assert.match(message, /größe/);
    });
  }

  for (const name of ["x".repeat(1_401), "\0", "", "kitchenorders/\u0085", "x".repeat(1_000_000)]) {
    it(`leaves a create uncertain that is answered with a name of ${name.length} characters`, async () => {
      script.kitchenOrder = name;
      const ref = newRef();
      assert.equal((await sendToKitchen(ref, ports)).outcome, "blocked");
      assert.equal((await fieldsOf(`attempts/kitchen:${ref.id}`)).state, "UNCERTAIN");
    });
  }

  it("creates nothing for a relation that has no room for a link, and parks its order", async () => {
    const ref = newRef();
    const path = `relations/${ref.id}`;
    await store.commit([{ kind: "create", path, fields: { note: "x".repeat(1_040_000) } }]);
    assert.equal((await sendToKitchen(ref, ports)).outcome, "blocked");
    assert.equal(creates, 0);
    const attempt = await fieldsOf(`attempts/kitchen:${ref.id}`);
    assert.equal(attempt.state, "PARKED");
    assert.equal((attempt.reason as { code: string }).code, "RELATION_TOO_LARGE");
  });
});
