/** Every deployed function with the events that the cloud delivers, on the official emulators and a food service over TLS. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { STAGES, type Stage } from "../functions/src/domain/order-lifecycle.js";
import { CONTINUATION_TOPIC } from "../functions/src/pipeline/messages.js";
import { closingEntry, linkEntry } from "../functions/src/relations/history.js";
import { documentChanged, messageEvent as message } from "../harness/cloud-events.js";
import { PubSubTopics } from "../harness/emulators/pubsub-rest.js";
import { type RunningFoodService, startFoodService } from "../services/food-service/server.js";
import { type InProcess, startInProcess } from "../services/users/in-process.js";
import { lineLog } from "../services/users/log.js";
import { EMULATOR_START_TIMEOUT_MS, emulators } from "./emulators.js";
import { Instance } from "./instance.js";

const PROJECT = "demo-deployed";

/** An order's 25 minutes in about half a second. */
const SPEED = 3_000;

/** How long an order may take to its end here, in milliseconds. */
const PATIENCE = 300_000;

/** A document as Firestore's REST interface and its events have it. */
interface WireDocument {
  name: string;
  fields: Record<string, { stringValue?: string; mapValue?: unknown }>;
  createTime: string;
  updateTime: string;
}

describe("the deployed functions, on emulators", () => {
  let instance: Instance;
  let food: RunningFoodService;
  let users: InProcess;
  let topics: PubSubTopics;
  let documents: string;
  let directory: string;

  before(async function () {
    this.timeout(EMULATOR_START_TIMEOUT_MS);
    const { firestore, pubsub } = await emulators();
    documents = `http://${firestore}/v1/projects/${PROJECT}/databases/(default)/documents`;
    topics = new PubSubTopics(pubsub, PROJECT);
    for (const { topic } of Object.values(STAGES)) await topics.make(topic);
    await topics.make(CONTINUATION_TOPIC);
    directory = mkdtempSync(join(tmpdir(), "diet-deployed-"));
    food = await startFoodService({ address: "localhost:0", certificates: directory, speed: SPEED, seed: "1" });
    users = await startInProcess((server) => lineLog(server, () => {}));
    instance = await Instance.start({
      GCLOUD_PROJECT: PROJECT,
      FUNCTIONS_EMULATOR: "true",
      FIRESTORE_EMULATOR_HOST: firestore,
      PUBSUB_EMULATOR_HOST: pubsub,
      FOOD_SERVICE_ADDRESS: food.address,
      FOOD_SERVICE_SECURITY: "tls",
      FOOD_SERVICE_CA: food.certificate,
      USERS_ADDRESS: users.orchestrator1.address,
      USERS_SECURITY: "plaintext",
      CALL_DEADLINE_SECONDS: "10",
      POLL_PASSES: "1",
      POLL_PAGE_SIZE: "2",
      CREATE_POLICY: "park",
      CREATE_LEASE_SECONDS: "60",
      CREATE_TRIES: "8",
      MISSING_AFTER_MINUTES: "60",
    });
  });

  after(async () => {
    await instance?.stop();
    await food?.stop();
    await users?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const call = (name: string, event: object) => instance.call(name, event);
  const succeeds = (name: string, event: object) => instance.succeeds(name, event);

  const scheduled = () => ({ jobName: "test", scheduleTime: new Date().toISOString() });

  const relationEvent = (id: string, kind: "written" | "created", value?: WireDocument, oldValue?: WireDocument) =>
    documentChanged(PROJECT, `relations/${id}`, { value, oldValue }, kind);
  const messageEvent = (payload: unknown) => message("orders", payload);

  async function documentAt(path: string): Promise<WireDocument | undefined> {
    const answer = await fetch(`${documents}/${path}`);
    return answer.status === 404 ? undefined : ((await answer.json()) as WireDocument);
  }

  async function put(path: string, fields: object): Promise<void> {
    const answer = await fetch(`${documents}/${path}`, { method: "PATCH", body: JSON.stringify({ fields }) });
    assert.ok(answer.ok, await answer.text());
  }

  async function remove(path: string): Promise<void> {
    await fetch(`${documents}/${path}`, { method: "DELETE" });
  }

  /** Delivers every published message to the function of its stage, and resolves with how many there were. */
  async function deliverMessages(): Promise<number> {
    let count = 0;
    for (const [stage, { topic }] of Object.entries(STAGES)) {
      for (const payload of await topics.take(topic)) {
        count++;
        await succeeds(STAGES[stage as Stage].function, messageEvent(payload));
      }
    }
    return count;
  }

  /** Delivers the changes of a relation since the last call to the functions that react. */
  async function react(id: string, seen: Map<string, WireDocument>): Promise<void> {
    const [now, before] = [await documentAt(`relations/${id}`), seen.get(id)];
    if (!now || now.updateTime === before?.updateTime) return;
    seen.set(id, now);
    await succeeds("onRelationWritten", relationEvent(id, "written", now, before));
    if (!before) await succeeds("onRelationCreated", relationEvent(id, "created", now));
  }

  const placed = () => {
    const { name } = food.model.placeOrder("krithik");
    return { name, id: name.slice("orders/".length) };
  };
  const statusOf = async (name: string) => (await food.model.getOrder(name)).status;
  const lineOf = (outcome: string, more: (line: Record<string, unknown>) => boolean = () => true) =>
    instance.lines.some((line) => line.outcome === outcome && more(line));

  it("carry each order from the first poll to its end once, and record its history and customer", async function () {
    this.timeout(PATIENCE + 5_000);
    const orders = Array.from({ length: 5 }, placed);
    const seen = new Map<string, WireDocument>();
    const deadline = Date.now() + PATIENCE;
    const open = async () => {
      const statuses = await Promise.all(orders.map(({ name }) => statusOf(name)));
      return statuses.some((now) => now !== "DELIVERED" && now !== "REJECTED");
    };
    while (await open()) {
      assert.ok(Date.now() < deadline, "not all orders have ended");
      await succeeds("pollOrders", scheduled());
      await deliverMessages();
      for (const { id } of orders) await react(id, seen);
      await sleep(50);
    }
    const { kitchenOrders, shipments, orders: truth } = food.model.truth();
    assert.deepEqual([kitchenOrders.length, shipments.length], [5, 5]);
    for (const { name, id } of orders) {
      const relation = await documentAt(`relations/${id}`);
      assert.equal(relation?.fields.state?.stringValue, "DELIVERED");
      assert.ok(relation?.fields.customer?.mapValue, "the customer was looked up");
      const links = [relation.fields.kitchen?.stringValue ?? "", relation.fields.shipment?.stringValue ?? ""] as const;
      const entries = [linkEntry(name, "kitchen", links[0], 0), linkEntry(name, "shipment", links[1], 0)];
      for (const { path } of [...entries, closingEntry(name, "DELIVERED", 0)]) {
        assert.equal((await documentAt(path))?.fields.order?.stringValue, name, `${path} is in the history`);
      }
      const changes = truth.find((order) => order.name === name)?.changes.map(({ status }) => status);
      assert.deepEqual(changes, ["NEW", "PREPARATION", "IN_FLIGHT", "DELIVERED"]);
      assert.ok(
        lineOf("advanced", (line) => line.order === name && line.component === "shipment"),
        "the log tells of it",
      );
    }
  });

  it("create once when a message is delivered many times concurrently", async () => {
    const { name, id } = placed();
    const before = food.model.truth().kitchenOrders.length;
    const event = messageEvent({ order: name, status: "NEW" });
    await Promise.all(Array.from({ length: 10 }, () => succeeds("sendToKitchen", event)));
    assert.equal(food.model.truth().kitchenOrders.length, before + 1);
    assert.equal(await documentAt(`attempts/kitchen:${id}`), undefined, "an attempt that is settled");
  });

  it("adopt a document that an older scheduler wrote", async () => {
    const { name, id } = placed();
    const kitchen = food.model.makeKitchenOrder(null).name;
    await put(`relations/${id}`, { kitchen: { stringValue: kitchen } });
    const before = food.model.truth().kitchenOrders.length;
    await succeeds("sendToKitchen", messageEvent({ order: name, status: "NEW" }));
    assert.equal(food.model.truth().kitchenOrders.length, before);
    assert.equal(await statusOf(name), "PREPARATION");
  });

  it("ignore a document with a newer schema, and drop its events", async () => {
    const { name, id } = placed();
    await put(`relations/${id}`, { kitchen: { stringValue: "k/1" }, schema: { integerValue: "2" } });
    const document = await documentAt(`relations/${id}`);
    await succeeds("sendToKitchen", messageEvent({ order: name, status: "NEW" }));
    await succeeds("onRelationWritten", relationEvent(id, "written", document));
    await succeeds("onRelationCreated", relationEvent(id, "created", document));
    assert.deepEqual(await documentAt(`relations/${id}`), document);
    assert.equal(await statusOf(name), "NEW");
    assert.equal(instance.lines.filter((line) => line.outcome === "quarantined" && line.order === name).length, 3);
  });

  it("report nothing for a deleted relation", async () => {
    const { name, id } = placed();
    await put(`relations/${id}`, { kitchen: { stringValue: "k/1" } });
    const document = await documentAt(`relations/${id}`);
    await remove(`relations/${id}`);
    await succeeds("onRelationWritten", relationEvent(id, "written", undefined, document));
    assert.equal(await statusOf(name), "NEW");
  });

  it("continue a poll from the page where it stopped to the last one", async () => {
    const orders = Array.from({ length: 5 }, placed);
    await succeeds("pollOrders", scheduled());
    for (const { topic } of Object.values(STAGES)) await topics.take(topic);
    const until = { timestampValue: new Date(Date.now() + 60_000).toISOString() };
    await put("leases/poll", { holder: { stringValue: "a" }, step: { integerValue: "4" }, until });
    const rest = { holder: "a", step: 4, statuses: ["NEW"], pageToken: "" };
    await succeeds("continuePoll", messageEvent(rest));
    const published = (await topics.take("orders-new")).map((message) => (message as { order: string }).order);
    for (const { name } of orders) assert.ok(published.includes(name));
    await succeeds("continuePoll", messageEvent(rest));
    assert.deepEqual(await topics.take("orders-new"), [], "a doubled continuation does nothing");
  });

  it("close the relation of a cancelled order in the sweep", async () => {
    const { name, id } = placed();
    await succeeds("sendToKitchen", messageEvent({ order: name, status: "NEW" }));
    food.model.cancelOrder(name);
    await succeeds("sweep", scheduled());
    assert.equal((await documentAt(`relations/${id}`))?.fields.state?.stringValue, "CANCELLED");
  });

  it("drop a message that is not JSON, and one that is too old", async () => {
    const { name } = placed();
    const event = messageEvent({ order: name, status: "NEW" });
    const message = { messageId: "1", data: Buffer.from("{").toString("base64") };
    await succeeds("sendToKitchen", { ...event, data: { message, subscription: "s" } });
    await succeeds("sendToKitchen", { ...event, time: new Date(Date.now() - 2 * 3_600_000).toISOString() });
    assert.equal(await statusOf(name), "NEW");
    assert.ok(lineOf("dropped") && lineOf("quarantined"));
  });

  it("fail and leave no claim if the food service is unavailable, so the event is redelivered", async function () {
    this.timeout(40_000);
    const { name, id } = placed();
    await food.stop();
    const failure = await call("sendToKitchen", messageEvent({ order: name, status: "NEW" }));
    assert.match(String(failure), /^CallFailedError/);
    assert.equal(await documentAt(`attempts/kitchen:${id}`), undefined);
    assert.ok(lineOf("retry", (line) => line.order === name));
    await succeeds("pollOrders", scheduled());
    assert.ok(lineOf("failed"), "a poll that can't list says so and leaves it to the next tick");
  });
});
