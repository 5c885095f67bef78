import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identityIn } from "../services/food-service/certificate.js";
import { FoodServiceProxy } from "./food-service-proxy.js";

describe("the proxy in front of the food service", () => {
  it("ends a caller's connection if it is closed while the food service accepts the connection", async () => {
    const directory = mkdtempSync(join(tmpdir(), "proxy-"));
    const { certificate } = await identityIn(directory);
    let onConnection = () => {};
    const foodService = createServer((socket) => {
      socket.on("error", () => undefined);
      onConnection();
    }).listen(0, "localhost");
    await once(foodService, "listening");
    try {
      const proxy = new FoodServiceProxy({
        foodService: {
          key: readFileSync(join(directory, "localhost.key"), "utf8"),
          certificate: certificate.toString(),
          port: (foodService.address() as AddressInfo).port,
        },
        onMoment: () => undefined,
      });
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
      rmSync(directory, { recursive: true });
    }
  });
});
