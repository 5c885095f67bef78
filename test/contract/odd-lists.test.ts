/** Food services that list orders in odd ways, over gRPC: every order is published all the same, and every listing ends. */
import assert from "node:assert/strict";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { GrpcFoodService } from "../../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../../functions/src/adapters/firebase/system-clock.js";
import { ORDER_STATUSES, type OrderStatus } from "../../functions/src/domain/order-lifecycle.js";
import {
  type ListOrdersRequest,
  type ListOrdersResponse,
  type Order,
  OrderServiceService,
} from "../../functions/src/generated/food/v1/food.js";
import { pollOrders } from "../../functions/src/pipeline/poll-orders.js";
import { sweep } from "../../functions/src/relations/sweep.js";
import { TEST_SETTINGS, type TestBed, testBed } from "../../functions/src/testing/test-bed.js";
import { listen } from "../../services/server.js";

const KIB = 1024;

describe("a food service with unusual listings", function () {
  this.timeout(120_000);
  let server: Server;
  let food: GrpcFoodService;
  let bed: TestBed;
  let orders: Order[];
  let lists = 0;
  let list: (request: ListOrdersRequest) => ListOrdersResponse;

  const order = (id: string, status: OrderStatus, bytes = 8): Order => ({
    name: `orders/${id}`,
    customerId: "c".repeat(bytes),
    status: ORDER_STATUSES[status].code,
    createTime: "2026-01-01T00:00:00Z",
    updateTime: "2026-01-01T00:00:00Z",
  });
  const matching = ({ statusFilter }: ListOrdersRequest) => orders.filter(({ status }) => status === statusFilter);
  const paged = (request: ListOrdersRequest) => {
    const from = Number(request.pageToken || "0");
    const all = matching(request);
    const to = from + request.pageSize;
    return { orders: all.slice(from, to), nextPageToken: to < all.length ? String(to) : "" };
  };

  before(async () => {
    server = new Server({ "grpc.max_send_message_length": -1 });
    server.addService(OrderServiceService, {
      listOrders: ({ request }: { request: ListOrdersRequest }, callback: (e: null, r: ListOrdersResponse) => void) => {
        lists++;
        callback(null, list(request));
      },
      getOrder: ({ request }: { request: { name: string } }, callback: (e: object | null, r?: Order) => void) => {
        const found = orders.find(({ name }) => name === request.name);
        if (found) callback(null, found);
        else callback({ code: 5, details: "no such order" });
      },
      createOrder: (_call: object, callback: (e: object) => void) => callback({ code: 12 }),
      updateOrder: (_call: object, callback: (e: object) => void) => callback({ code: 12 }),
    });
    const address = await listen(server, "localhost:0", ServerCredentials.createInsecure());
    const connection = {
      ...TEST_SETTINGS,
      FOOD_SERVICE_ADDRESS: address,
      FOOD_SERVICE_SECURITY: "plaintext" as const,
    };
    food = new GrpcFoodService(connection, systemClock);
  });

  after(() => {
    food?.close();
    server?.forceShutdown();
  });

  beforeEach(() => {
    bed = testBed();
    bed.ports.food = food;
    orders = [];
    lists = 0;
    list = paged;
  });

  const published = () => new Set(bed.published.map(({ message }) => message.order)).size;

  it("polls all orders from one reply of 12 MiB, whatever the page size", async () => {
    orders = Array.from({ length: 12 }, (_, count) => order(`${count}`, "NEW", 1024 * KIB));
    list = (request) => ({ orders: matching(request), nextPageToken: "" });
    const result = await pollOrders(bed.ports);
    assert.deepEqual([result.published, result.failedPages], [12, 0]);
  });

  it("requests smaller pages if one is larger than a message can be", async () => {
    orders = Array.from({ length: 60 }, (_, count) => order(`${count}`, "PREPARATION", 1024 * KIB));
    const result = await pollOrders(bed.ports);
    assert.deepEqual([result.published, result.failedPages], [60, 0]);
    assert.match(bed.lines.map(({ message }) => message).join("\n"), /lower POLL_PAGE_SIZE/);
  });

  it("publishes the other statuses if page tokens never end, in less than 1,000 lists", async () => {
    orders = [order("1", "PREPARATION"), order("2", "IN_FLIGHT")];
    const { statusFilter } = { statusFilter: ORDER_STATUSES.NEW.code };
    list = (request) =>
      request.statusFilter === statusFilter ? { orders: [], nextPageToken: `${lists}` } : paged(request);
    const result = await pollOrders(bed.ports);
    assert.deepEqual([result.outcome, result.published, result.failedPages], ["completed", 2, 1]);
    assert.ok(lists < 1_000, `${lists} lists`);
  });

  it("publishes each order once if the filter is ignored, and the sweep closes the ended ones", async () => {
    orders = [order("1", "NEW"), order("2", "PREPARATION"), order("3", "CANCELLED"), order("4", "DELIVERED")];
    list = () => ({ orders, nextPageToken: "" });
    await pollOrders(bed.ports);
    assert.deepEqual([bed.published.length, published()], [2, 2]);
    assert.equal(bed.lines.filter(({ level }) => level === "warn").length, 1);
    for (const id of ["2", "3"]) {
      await bed.store.set(`relations/${id}`, { schema: 1, state: "PREPARATION", kitchen: `kitchenorders/${id}` });
    }
    await sweep(bed.ports);
    assert.equal(await bed.store.field("relations/2", "state"), "PREPARATION");
    assert.equal(await bed.store.field("relations/3", "state"), "CANCELLED");
  });

  it("closes nothing if an empty replica answers for 7 seconds", async () => {
    const ids = Array.from({ length: 20 }, (_, count) => String(count));
    for (const id of ids) {
      await bed.store.set(`relations/${id}`, { schema: 1, state: "PREPARATION", kitchen: `kitchenorders/${id}` });
    }
    for (let second = 0; second < 7; second++) {
      await sweep(bed.ports);
      bed.clock.advance(1_000);
    }
    orders = ids.map((id) => order(id, "PREPARATION"));
    await sweep(bed.ports);
    for (const id of ids) assert.equal(await bed.store.field(`relations/${id}`, "state"), "PREPARATION");
    await pollOrders(bed.ports);
    assert.equal(published(), 20);
  });
});
