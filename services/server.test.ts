import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { Client, credentials, type handleUnaryCall, Server, ServerCredentials } from "@grpc/grpc-js";
import { type GetOrderRequest, type Order, OrderServiceService } from "../functions/src/generated/food/v1/food.js";
import { call } from "./call.js";
import { expectAddress, listen, StartError, stop } from "./server.js";

const ORDER = { name: "orders/a", createTime: "", updateTime: "", customerId: "krithik", status: 1 };
const insecure = ServerCredentials.createInsecure();

/** A server whose only call is answered on demand, and such a call that has arrived. */
async function withCallInProgress() {
  const server = new Server();
  const { getOrder } = OrderServiceService;
  let answer = () => {};
  const arrived = new Promise<void>((resolve) => {
    const handler: handleUnaryCall<GetOrderRequest, Order> = (_call, callback) => {
      answer = () => callback(null, ORDER);
      resolve();
    };
    server.addService({ getOrder }, { getOrder: handler });
  });
  const client = new Client(await listen(server, "127.0.0.1:0", insecure), credentials.createInsecure());
  const called = call(client, getOrder, { name: ORDER.name }).finally(() => client.close());
  called.catch(() => {});
  await Promise.race([arrived, called]);
  return { server, called, answer: () => answer() };
}

describe("expectAddress", () => {
  it("splits host and port, and strips an IPv6 host's brackets", () => {
    assert.deepEqual(expectAddress("localhost:50051"), { host: "localhost", port: 50051 });
    assert.deepEqual(expectAddress("[::1]:0"), { host: "::1", port: 0 });
  });

  it("rejects text that is not host:port, and says what is allowed", () => {
    for (const text of [
      "",
      "localhost",
      "localhost:",
      ":50051",
      "localhost:65536",
      "localhost:-1",
      "::1:50051",
      "a b:1",
    ]) {
      assert.throws(
        () => expectAddress(text),
        (error) => error instanceof StartError && /host:port/.test(error.message),
      );
    }
  });
});

describe("listen", () => {
  it("returns the port that the system chose", async () => {
    const server = new Server();
    const { port } = expectAddress(await listen(server, "localhost:0", insecure));
    assert.ok(port > 0);
    await stop(server);
  });

  it("names the address that is taken, even if only one of the host's IP addresses is", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    assert.ok(typeof address === "object" && address !== null);
    const taken = `localhost:${address.port}`;
    await assert.rejects(listen(new Server(), taken, insecure), (error) => {
      return error instanceof StartError && error.message.includes(`${taken} is taken`);
    });
    other.close();
  });

  it("reports an unknown host", async () => {
    await assert.rejects(
      listen(new Server(), "unknown.invalid:0", insecure),
      /the host unknown.invalid does not exist/,
    );
  });
});

describe("stop", () => {
  it("lets a call in progress finish", async () => {
    const { server, called, answer } = await withCallInProgress();
    const stopped = stop(server);
    answer();
    assert.deepEqual(await called, ORDER);
    assert.equal(await stopped, true);
  });

  it("aborts a call after the grace period", async () => {
    const { server, called } = await withCallInProgress();
    assert.equal(await stop(server, 50), false);
    await assert.rejects(called);
  });
});
