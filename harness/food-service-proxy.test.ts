import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { Order_Status, OrderServiceService } from "../functions/src/generated/food/v1/food.js";
import { call } from "../services/call.js";
import { identityIn } from "../services/food-service/certificate.js";
import { startFoodService } from "../services/food-service/server.js";
import { FoodServiceProxy, type ProxyOptions } from "./food-service-proxy.js";

describe("the proxy in front of the food service", () => {
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "proxy-"));
  });

  after(() => rmSync(directory, { recursive: true }));

  /** A proxy in front of the food service on this port, with the key and certificate of this test. */
  async function proxyOf(port: number, options: Partial<ProxyOptions> = {}): Promise<FoodServiceProxy> {
    const { certificate } = await identityIn(directory);
    const key = readFileSync(join(directory, "localhost.key"), "utf8");
    const foodService = { port, key, certificate: certificate.toString() };
    return new FoodServiceProxy({ foodService, onMoment: () => undefined, ...options });
  }

  it("ends a caller's connection if it is closed while the food service accepts the connection", async () => {
    let onConnection = () => {};
    const foodService = createServer((socket) => {
      socket.on("error", () => undefined);
      onConnection();
    }).listen(0, "localhost");
    await once(foodService, "listening");
    try {
      const proxy = await proxyOf((foodService.address() as AddressInfo).port);
      for (let process = 0; process < 20; process++) {
        const port = await proxy.open(process);
        onConnection = () => proxy.close(process);
        const caller = connect(port, "127.0.0.1");
        caller.on("error", () => undefined);
        await once(caller, "close");
      }
      assert.deepEqual(proxy.calls, []);
    } finally {
      foodService.close();
    }
  });

  describe("with a food service behind it", () => {
    const toClose: (() => unknown)[] = [];

    afterEach(async () => {
      for (const close of toClose.splice(0).reverse()) await close();
    });

    /** A food service, the proxy in front of it, and a client of the proxy that places one order. */
    async function placeOne(replaceReply: ProxyOptions["replaceReply"]) {
      const foodService = await startFoodService({ address: "localhost:0", certificates: directory });
      toClose.push(() => foodService.stop());
      const port = Number(foodService.address.split(":").at(-1));
      const proxy = await proxyOf(port, replaceReply && { replaceReply });
      toClose.push(() => proxy.closeAll());
      const trust = credentials.createSsl(Buffer.from(foodService.certificate));
      const client = new Client(`localhost:${await proxy.open(0)}`, trust);
      toClose.push(() => client.close());
      const order = { name: "", customerId: "krithik", status: Order_Status.UNKNOWN, createTime: "", updateTime: "" };
      const answer = await call(client, OrderServiceService.createOrder, { order }).catch(
        (error: ServiceError) => error,
      );
      return { answer, proxy, orders: foodService.model.truth().orders };
    }

    it("passes the food service's reply on and records it", async () => {
      const { answer, proxy, orders } = await placeOne(undefined);
      assert.equal(orders.length, 1);
      assert.equal("name" in answer && answer.name, orders[0]?.name);
      assert.deepEqual([proxy.calls[0]?.method, proxy.calls[0]?.status], ["createOrder", 0]);
    });

    it("gives the caller another message in place of the food service's, and records that", async () => {
      const { answer, proxy, orders } = await placeOne((_, { response }) => ({
        status: 0,
        response: { ...(response as object), name: "orders/another" },
      }));
      assert.equal(orders.length, 1);
      assert.equal("name" in answer && answer.name, "orders/another");
      assert.deepEqual(proxy.calls[0]?.response, { ...answer });
    });

    it("gives the caller an error in place of the food service's success", async () => {
      const { answer, proxy, orders } = await placeOne(() => ({ status: status.NOT_FOUND, response: undefined }));
      assert.equal(orders.length, 1);
      assert.equal("code" in answer && answer.code, status.NOT_FOUND);
      assert.deepEqual([proxy.calls[0]?.status, proxy.calls[0]?.response], [status.NOT_FOUND, undefined]);
    });
  });
});
