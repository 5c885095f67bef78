import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials, type MethodDefinition, status } from "@grpc/grpc-js";
import { service as health } from "grpc-health-check";
import {
  DroneServiceService,
  KitchenOrder_Status,
  KitchenServiceService,
  type Order,
  Order_Status,
  OrderServiceService,
  Shipment_Status,
} from "../../functions/src/generated/food/v1/food.js";
import { call } from "../call.js";
import { StartError } from "../server.js";
import { connectionTo } from "./connection-options.js";
import { placeOrders } from "./place-orders.js";
import { type FoodServiceOptions, type RunningFoodService, startFoodService } from "./server.js";

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const NO_TIMES = { createTime: "", updateTime: "" };
const HOUR = 3_600_000;

function order(fields: Partial<Order>): Order {
  return { name: "", customerId: "", status: Order_Status.UNKNOWN, ...NO_TIMES, ...fields };
}

const KITCHEN_ORDER = { kitchenorder: { name: "", status: KitchenOrder_Status.UNKNOWN, ...NO_TIMES } };
const SHIPMENT = { shipment: { name: "", status: Shipment_Status.UNKNOWN, ...NO_TIMES } };

const keyed = (key: string) => ({ metadata: { "idempotency-key": key } });

describe("the food service over TLS", function () {
  this.timeout(20_000);
  let directory: string;
  const running: RunningFoodService[] = [];
  const clients: Client[] = [];

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "food-service-"));
  });

  after(() => rmSync(directory, { recursive: true }));

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(running.splice(0).map((service) => service.stop()));
  });

  /** A service with a manual clock, and a client that trusts it. */
  async function start(options: Partial<FoodServiceOptions> = {}) {
    const clock = { time: Date.now(), now: () => clock.time };
    const usual = { address: "localhost:0", certificates: directory, seed: "7", clock };
    const service = await startFoodService({ ...usual, ...options });
    running.push(service);
    const client = new Client(service.address, credentials.createSsl(Buffer.from(service.certificate)));
    clients.push(client);
    return { service, client, clock };
  }

  it("carries an order through every method, with times in RFC 3339", async () => {
    const { client, clock } = await start({ rejected: 1 });
    const placed = await call(client, OrderServiceService.createOrder, { order: order({ customerId: "krithik" }) });
    assert.match(placed.name, /^orders\/[0-9a-f-]{36}$/);
    assert.match(placed.createTime, RFC3339);
    assert.deepEqual([placed.customerId, placed.status], ["krithik", Order_Status.NEW]);
    assert.deepEqual(await call(client, OrderServiceService.getOrder, { name: placed.name }), placed);

    const listing = { statusFilter: Order_Status.NEW, pageSize: 10, pageToken: "" };
    assert.deepEqual(await call(client, OrderServiceService.listOrders, listing), {
      orders: [placed],
      nextPageToken: "",
    });

    const kitchen = await call(client, KitchenServiceService.createKitchenOrder, KITCHEN_ORDER);
    assert.equal(kitchen.status, KitchenOrder_Status.NEW);
    const shipment = await call(client, DroneServiceService.createShipment, SHIPMENT);
    assert.equal(shipment.status, Shipment_Status.NEW);

    clock.time += HOUR;
    const { name } = placed;
    const updated = await call(client, OrderServiceService.updateOrder, {
      order: order({ name, status: Order_Status.IN_FLIGHT, customerId: "another customer" }),
      updateMask: ["status"],
    });
    assert.deepEqual(updated, {
      ...placed,
      status: Order_Status.IN_FLIGHT,
      updateTime: new Date(clock.time).toISOString(),
    });
    const cooked = await call(client, KitchenServiceService.getKitchenOrder, { name: kitchen.name });
    assert.equal(cooked.status, KitchenOrder_Status.PACKAGED);
    assert.match(cooked.updateTime, RFC3339);
    const flown = await call(client, DroneServiceService.getShipment, { name: shipment.name });
    assert.equal(flown.status, Shipment_Status.REJECTED);
    assert.ok(flown.updateTime > flown.createTime);
  });

  it("lists every status for an empty filter, page by page", async () => {
    const { service, client } = await start();
    const names = Array.from({ length: 5 }, () => service.model.placeOrder("krithik").name);
    service.model.changeOrder(names[1] ?? "", "DELIVERED", ["status"]);
    const seen: string[] = [];
    let pageToken = "";
    do {
      const listing = { statusFilter: Order_Status.UNKNOWN, pageSize: 2, pageToken };
      const page = await call(client, OrderServiceService.listOrders, listing);
      seen.push(...page.orders.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    assert.deepEqual(seen, names);
  });

  it("answers hostile input with INVALID_ARGUMENT and keeps serving", async () => {
    const { service, client } = await start();
    const { name } = service.model.placeOrder("krithik");
    const huge = "x".repeat(1_000_000);
    const delivered = order({ name, status: Order_Status.DELIVERED });
    const listing = { statusFilter: 0, pageSize: 0, pageToken: "" };
    const refuses = (answer: Promise<unknown>, details: RegExp) => {
      return assert.rejects(answer, { code: status.INVALID_ARGUMENT, details });
    };
    const { createOrder, getOrder, listOrders, updateOrder } = OrderServiceService;
    await refuses(call(client, createOrder, { order: undefined }), /order is missing/);
    await refuses(call(client, createOrder, { order: order({}) }), /customer_id/);
    await refuses(call(client, createOrder, { order: order({ customerId: huge }) }), /customer_id/);
    await refuses(call(client, getOrder, { name: "" }), /name/);
    await refuses(call(client, getOrder, { name: huge }), /name/);
    await refuses(call(client, listOrders, { ...listing, pageSize: -1 }), /page_size is -1/);
    await refuses(call(client, listOrders, { ...listing, statusFilter: 99 as Order_Status }), /status_filter is 99/);
    await refuses(call(client, listOrders, { ...listing, pageToken: huge }), /page_token/);
    await refuses(call(client, updateOrder, { order: delivered, updateMask: undefined }), /update_mask/);
    await refuses(call(client, updateOrder, { order: delivered, updateMask: ["name"] }), /update_mask/);
    await refuses(call(client, updateOrder, { order: undefined, updateMask: ["status"] }), /order is missing/);
    const foreign = order({ name, status: -7 as Order_Status });
    await refuses(call(client, updateOrder, { order: foreign, updateMask: ["status"] }), /status is -7/);
    const none = order({ name, status: Order_Status.UNKNOWN });
    await refuses(call(client, updateOrder, { order: none, updateMask: ["status"] }), /status/);
    const { createKitchenOrder, getKitchenOrder } = KitchenServiceService;
    await refuses(call(client, createKitchenOrder, { kitchenorder: undefined }), /kitchenorder is missing/);
    await refuses(call(client, getKitchenOrder, { name: huge }), /name/);
    const { createShipment, getShipment } = DroneServiceService;
    await refuses(call(client, createShipment, { shipment: undefined }), /shipment is missing/);
    await refuses(call(client, getShipment, { name: huge }), /name/);

    const raw = (request: Buffer): MethodDefinition<null, Order> => {
      return { ...getOrder, requestSerialize: () => request, requestDeserialize: () => null };
    };
    await assert.rejects(call(client, raw(Buffer.from([0xff, 0xff, 0xff])), null), { code: status.INTERNAL });
    const unknownField = Buffer.from([0xfa, 0x3f, 0x01, 0x78]);
    const request = Buffer.concat([getOrder.requestSerialize({ name }), unknownField]);
    assert.equal((await call(client, raw(request), null)).name, name);
    assert.deepEqual(
      service.model.truth().orders.map((placed) => placed.status),
      ["NEW"],
    );
  });

  it("returns NOT_FOUND with the name", async () => {
    const { client } = await start();
    const name = "orders/00000000-0000-4000-8000-000000000000";
    const details = new RegExp(name);
    await assert.rejects(call(client, OrderServiceService.getOrder, { name }), { code: status.NOT_FOUND, details });
    const changed = { order: order({ name, status: Order_Status.DELIVERED }), updateMask: ["status"] };
    await assert.rejects(call(client, OrderServiceService.updateOrder, changed), { code: status.NOT_FOUND, details });
    await assert.rejects(call(client, KitchenServiceService.getKitchenOrder, { name }), {
      code: status.NOT_FOUND,
      details,
    });
    await assert.rejects(call(client, DroneServiceService.getShipment, { name }), { code: status.NOT_FOUND, details });
  });

  it("recognizes a repeated create by its key when it honours keys, and records the key in the ground truth when it does not", async () => {
    for (const honoursKeys of [true, false]) {
      const { service, client } = await start({ honoursKeys });
      const create = () => call(client, KitchenServiceService.createKitchenOrder, KITCHEN_ORDER, keyed("a"));
      const names = [(await create()).name, (await create()).name];
      assert.equal(names[0] === names[1], honoursKeys);
      const { kitchenOrders } = service.model.truth();
      assert.deepEqual(
        kitchenOrders.map((made) => made.idempotencyKey),
        honoursKeys ? ["a"] : ["a", "a"],
      );
      await call(client, DroneServiceService.createShipment, SHIPMENT, keyed("a"));
      assert.equal(service.model.truth().shipments[0]?.idempotencyKey, "a");
    }
  });

  it("applies no failed call and every call whose reply is lost, with the same error for both", async () => {
    const failures: string[] = [];
    for (const faults of [{ failures: 1 }, { lostAnswers: 1 }]) {
      const { service, client } = await start(faults);
      const { name } = service.model.placeOrder("krithik");
      const changed = { order: order({ name, status: Order_Status.PREPARATION }), updateMask: ["status"] };
      for (const answer of [
        call(client, KitchenServiceService.createKitchenOrder, KITCHEN_ORDER, keyed("a")),
        call(client, DroneServiceService.createShipment, SHIPMENT),
        call(client, OrderServiceService.updateOrder, changed),
        call(client, OrderServiceService.getOrder, { name }),
      ]) {
        await assert.rejects(answer, (error: { code: number; details: string }) => {
          failures.push(`${error.code} ${error.details}`);
          return error.code === status.UNAVAILABLE;
        });
      }
      const truth = service.model.truth();
      const applied = "lostAnswers" in faults ? 1 : 0;
      assert.deepEqual([truth.kitchenOrders.length, truth.shipments.length], [applied, applied]);
      assert.equal(truth.orders[0]?.status, applied ? "PREPARATION" : "NEW");
    }
    assert.equal(new Set(failures).size, 1);
  });

  it("fails the same calls for the same seed, and never fails placing an order", async () => {
    const outcomes: string[] = [];
    for (const seed of ["7", "7", "8"]) {
      const { client } = await start({ seed, failures: 0.5 });
      const { name } = await call(client, OrderServiceService.createOrder, { order: order({ customerId: "krithik" }) });
      const gets: string[] = [];
      for (let i = 0; i < 30; i++) {
        gets.push(
          await call(client, OrderServiceService.getOrder, { name }).then(
            () => "ok",
            () => "failed",
          ),
        );
      }
      outcomes.push(`${name} ${gets.join()}`);
    }
    assert.equal(outcomes[0], outcomes[1]);
    assert.notEqual(outcomes[0], outcomes[2]);
    assert.match(outcomes[0] ?? "", /ok.*failed|failed.*ok/);
  });

  it("finishes a delayed call that is in progress when it stops", async () => {
    const { service, client } = await start({ delay: 300 });
    const { name } = service.model.placeOrder("krithik");
    await call(client, OrderServiceService.getOrder, { name });
    const answer = call(client, KitchenServiceService.createKitchenOrder, KITCHEN_ORDER);
    while (service.model.truth().kitchenOrders.length === 0) await sleep(5);
    running.splice(running.indexOf(service), 1);
    await Promise.all([service.stop(), answer]);
  });

  it("handles as many concurrent calls per connection as it has streams, each with the configured duration", async () => {
    const { service, client } = await start({ callTime: 200, maxStreams: 2 });
    const { name } = service.model.placeOrder("krithik");
    await call(client, OrderServiceService.getOrder, { name });
    const started = performance.now();
    await Promise.all(Array.from({ length: 6 }, () => call(client, OrderServiceService.getOrder, { name })));
    assert.ok(performance.now() - started >= 590);
  });

  it("starts at most the configured number of calls a second", async () => {
    const { service, client } = await start({ callsPerSecond: 20 });
    const { name } = service.model.placeOrder("krithik");
    const started = performance.now();
    await Promise.all(Array.from({ length: 11 }, () => call(client, OrderServiceService.getOrder, { name })));
    assert.ok(performance.now() - started >= 490);
  });

  it("preserves its state across restarts, and assigns no name twice under the same seed", async () => {
    const state = join(directory, "lives.jsonl");
    const { service, client } = await start({ state, honoursKeys: true, cancelled: 1 });
    await call(client, OrderServiceService.createOrder, { order: order({ customerId: "krithik" }) });
    const { name } = await call(client, DroneServiceService.createShipment, SHIPMENT, keyed("a"));
    const truth = service.model.truth();
    running.splice(running.indexOf(service), 1);
    await service.stop();

    const again = await start({ state, honoursKeys: true, clock: { now: () => 0 } });
    assert.deepEqual(again.service.model.truth(), truth);
    assert.equal((await call(again.client, DroneServiceService.createShipment, SHIPMENT, keyed("a"))).name, name);
    assert.notEqual((await call(again.client, DroneServiceService.createShipment, SHIPMENT, keyed("b"))).name, name);
  });

  it("answers INTERNAL, changes nothing and logs why when the state can't be stored", async () => {
    const state = join(directory, "shared.jsonl");
    const lines: string[] = [];
    const { service, client } = await start({ state, log: (line) => lines.push(line) });
    writeFileSync(state, "{}\n");
    const create = call(client, DroneServiceService.createShipment, SHIPMENT);
    await assert.rejects(create, { code: status.INTERNAL });
    assert.match(lines.join(), /another program has written to the state file/);
    assert.deepEqual(service.model.truth().shipments, []);
  });

  it("does not start on a damaged state file, and names the line", async () => {
    const state = join(directory, "damaged.jsonl");
    writeFileSync(
      state,
      '{"kind":"order","name":"orders/a","at":1,"customerId":"k","cancelAt":null}\n{"kind":"pizza"}\n',
    );
    await assert.rejects(start({ state }), (error) => error instanceof StartError && /in line 2/.test(error.message));
  });

  it("does not start on an address that is taken, and does not disturb the other server", async () => {
    const { service, client } = await start();
    const { name } = service.model.placeOrder("krithik");
    await assert.rejects(start({ address: service.address }), (error) => {
      return error instanceof StartError && error.message.includes(`${service.address} is taken`);
    });
    assert.equal((await call(client, OrderServiceService.getOrder, { name })).name, name);
  });

  it("reuses its certificate, and says what to do about one that is broken, expired or without its key", async () => {
    const { service } = await start();
    const again = await start();
    assert.equal(again.service.certificate, service.certificate);
    const certificate = new X509Certificate(service.certificate);
    const hosts = [certificate.checkHost("localhost"), certificate.checkIP("127.0.0.1"), certificate.checkIP("::1")];
    assert.deepEqual(hosts, ["localhost", "127.0.0.1", "::1"]);
    const clearly = (error: Error) => {
      return (
        error instanceof StartError && /localhost\.crt can't be used: .+\. Remove .+localhost\.key/.test(error.message)
      );
    };
    const broken = mkdtempSync(join(directory, "broken-"));
    writeFileSync(join(broken, "localhost.crt"), "nonsense");
    await assert.rejects(start({ certificates: broken }), clearly);
    writeFileSync(join(broken, "localhost.key"), "nonsense");
    await assert.rejects(start({ certificates: broken }), clearly);
    writeFileSync(join(broken, "localhost.crt"), service.certificate);
    await assert.rejects(start({ certificates: broken }), clearly);
    const other = mkdtempSync(join(directory, "other-"));
    await start({ certificates: other });
    writeFileSync(join(broken, "localhost.key"), readFileSync(join(other, "localhost.key")));
    await assert.rejects(start({ certificates: broken }), clearly);
  });

  it("reports its health, and supports reflection", async () => {
    const { client } = await start();
    const check = health.Check as MethodDefinition<object, { status: string }>;
    assert.equal((await call(client, check, { service: "" })).status, "SERVING");
    assert.deepEqual(await servicesOf(client), [
      "food.v1.DroneService",
      "food.v1.KitchenService",
      "food.v1.OrderService",
    ]);
  });

  it("accepts orders from a customer's client, which reports why an order failed", async () => {
    const { service } = await start();
    const place = async (placing: object) => {
      const names: string[] = [];
      const connection = connectionTo(service.address, service.certificate);
      const usual = { connection, customer: "krithik", count: 1 };
      for await (const name of placeOrders({ ...usual, ...placing })) names.push(name);
      return names;
    };
    const names = await place({ count: 3 });
    assert.deepEqual(
      service.model.truth().orders.map(({ name }) => name),
      names,
    );

    const fails = (placing: object, message: RegExp) => {
      return assert.rejects(place(placing), { name: "NotPlacedError", message });
    };
    const other = await start({ certificates: mkdtempSync(join(directory, "other-")) });
    const wrong = connectionTo(service.address, other.service.certificate);
    await fails({ connection: wrong }, /the certificate of the food service .* another key.* --certificate/);
    await fails({ customer: "" }, /INVALID_ARGUMENT order.customer_id/);
    running.splice(running.indexOf(other.service), 1);
    await other.service.stop();
    const gone = connectionTo(other.service.address, other.service.certificate);
    await fails({ connection: gone }, /can't be reached: connect ECONNREFUSED/);
  });
});

/** The food services that reflection names. */
function servicesOf(client: Client): Promise<string[]> {
  // list_services is field 7 of the request; the answer has each name as text between other bytes.
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    (request) => request,
    (response) => response,
    { deadline: Date.now() + 10_000 },
  );
  return new Promise((resolve, reject) => {
    call.once("data", (response: Buffer) => {
      call.end();
      resolve((response.toString("latin1").match(/food\.v1\.\w+/g) ?? []).toSorted());
    });
    call.once("error", reject);
    call.write(Buffer.from([0x3a, 0x00]));
  });
}
