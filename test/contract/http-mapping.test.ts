/** The HTTP mapping in the food service's contract, as a gateway's generator reads it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../../harness/root.js";

interface Image {
  file: { name: string; service?: { method: { name: string; options?: { "[google.api.http]"?: object } }[] }[] }[];
}

describe("the HTTP mapping of the food service", () => {
  it("has the paths, verbs and bodies of the contract", () => {
    const buf = join(ROOT, "node_modules/.bin/buf");
    const image = JSON.parse(execFileSync(buf, ["build", "proto", "-o", "-#format=json"], { cwd: ROOT }).toString());
    const food = (image as Image).file.find(({ name }) => name === "food/v1/food.proto");
    const methods = food?.service?.flatMap(({ method }) => method) ?? [];
    const mapping = Object.fromEntries(methods.map(({ name, options }) => [name, options?.["[google.api.http]"]]));
    assert.deepEqual(mapping, {
      CreateOrder: { post: "/v1/orders", body: "order" },
      GetOrder: { get: "/v1/{name=orders/*}" },
      ListOrders: { get: "/v1/orders" },
      UpdateOrder: { patch: "/v1/{order.name=orders/*}", body: "order" },
      CreateKitchenOrder: { post: "/v1/kitchenorders", body: "kitchenorder" },
      GetKitchenOrder: { get: "/v1/{name=kitchenorders/*}" },
      CreateShipment: { post: "/v1/shipments", body: "shipment" },
      GetShipment: { get: "/v1/{name=shipments/*}" },
    });
  });
});
