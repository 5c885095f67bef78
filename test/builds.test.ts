/** The old build and the new one side by side, as in every deploy: two real builds on the same documents of the official emulator. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { messageEvent } from "../harness/cloud-events.js";
import { writeDocuments } from "../harness/emulators/firestore-rest.js";
import { type RunningFoodService, startFoodService } from "../services/food-service/server.js";
import { EMULATOR_START_TIMEOUT_MS, emulators } from "./emulators.js";
import { firstBuild } from "./first-build/documents.js";
import { Instance } from "./instance.js";

const PROJECT = "demo-builds";

/** Where the sources say which schema they write, and the newest that they read. */
const SCHEMAS = ["relations/relation.ts", "attempts/attempt.ts"];

/** A meal is packaged about as soon as it is asked for. */
const SPEED = 3_000_000;

describe("two builds side by side", function () {
  this.timeout(60_000);
  let directory: string;
  let documents: string;
  let firestore: string;
  let food: RunningFoodService;
  let older: Instance;
  let newer: Instance;

  before(async function () {
    this.timeout(EMULATOR_START_TIMEOUT_MS);
    const started = await emulators();
    const { pubsub } = started;
    firestore = started.firestore;
    documents = `http://${firestore}/v1/projects/${PROJECT}/databases/(default)/documents`;
    directory = mkdtempSync(join(tmpdir(), "diet-builds-"));
    food = await startFoodService({ address: "localhost:0", certificates: directory, speed: SPEED, seed: "1" });
    const env = {
      GCLOUD_PROJECT: PROJECT,
      FUNCTIONS_EMULATOR: "true",
      FIRESTORE_EMULATOR_HOST: firestore,
      PUBSUB_EMULATOR_HOST: pubsub,
      FOOD_SERVICE_ADDRESS: food.address,
      FOOD_SERVICE_CA: food.certificate,
      CALL_DEADLINE_SECONDS: "5",
    };
    older = await Instance.start(env, await build("older", (source) => source));
    newer = await Instance.start(
      env,
      await build("newer", (source) => source.replace(/^(const \w+_SCHEMA) = 1;$/m, "$1 = 2;")),
    );
  });

  after(async () => {
    await Promise.all([older?.stop(), newer?.stop(), food?.stop()]);
    rmSync(directory, { recursive: true, force: true });
  });

  /** Builds the functions as a deploy does, with these changes to the sources that know the schema. */
  async function build(name: string, change: (source: string) => string): Promise<string> {
    const folder = join(directory, name);
    for (const part of ["src", "build.mjs", "package.json"])
      cpSync(join("functions", part), join(folder, part), { recursive: true });
    symlinkSync(resolve("functions/node_modules"), join(folder, "node_modules"), "dir");
    for (const file of SCHEMAS) {
      const path = join(folder, "src", file);
      const source = readFileSync(path, "utf8");
      writeFileSync(path, change(source));
      if (name === "newer") assert.notEqual(change(source), source, `${file} does not say its schema any more`);
    }
    await promisify(execFile)("npm", ["run", "--silent", "build"], { cwd: folder });
    return folder;
  }

  async function fieldsOf(path: string): Promise<Record<string, unknown> | undefined> {
    const answer = await fetch(`${documents}/${path}`);
    if (answer.status === 404) return undefined;
    const { fields, updateTime } = (await answer.json()) as { fields: Record<string, object>; updateTime: string };
    const plain = Object.entries(fields).map(([name, value]) => [name, Object.values(value)[0]]);
    return { ...Object.fromEntries(plain), updateTime };
  }

  const placed = () => {
    const { name } = food.model.placeOrder("krithik");
    return { name, id: name.slice("orders/".length) };
  };
  const isNew = (name: string) => messageEvent("orders", { order: name, status: "NEW" });
  const isInPreparation = (name: string) => messageEvent("orders", { order: name, status: "PREPARATION" });
  const count = () => {
    const { kitchenOrders, shipments } = food.model.truth();
    return [kitchenOrders.length, shipments.length];
  };

  /** Has the food service show the order in preparation, its meal packaged. */
  async function packaged(name: string, kitchen: unknown): Promise<void> {
    await food.model.updateOrder(name, "PREPARATION");
    const deadline = Date.now() + 300_000;
    while ((await food.model.getKitchenOrder(String(kitchen))).status !== "PACKAGED") {
      assert.ok(Date.now() < deadline, "the meal is never packaged");
    }
  }

  it("the old build ignores what the new build wrote and creates nothing for it, and the new build continues", async () => {
    const { name, id } = placed();
    await newer.succeeds("sendToKitchen", isNew(name));
    const written = await fieldsOf(`relations/${id}`);
    assert.equal(written?.schema, "2");
    await packaged(name, written.kitchen);
    const before = count();

    await older.succeeds("sendToKitchen", isNew(name));
    await older.succeeds("dispatchShipment", isInPreparation(name));
    await older.succeeds("completeOrder", messageEvent("orders", { order: name, status: "IN_FLIGHT" }));
    assert.deepEqual(count(), before, "nothing was created a second time");
    assert.deepEqual(await fieldsOf(`relations/${id}`), written, "nothing was written over");
    assert.equal(await fieldsOf(`attempts/shipment:${id}`), undefined);
    const refused = older.lines.filter(({ order, outcome }) => order === name && outcome === "quarantined");
    assert.equal(refused.length, 3, "and the log says so");

    await newer.succeeds("dispatchShipment", isInPreparation(name));
    assert.deepEqual(count(), [before[0], (before[1] ?? 0) + 1]);
    assert.ok((await fieldsOf(`relations/${id}`))?.shipment);
  });

  it("the new build continues what the old build wrote", async () => {
    const { name, id } = placed();
    await older.succeeds("sendToKitchen", isNew(name));
    const written = await fieldsOf(`relations/${id}`);
    assert.equal(written?.schema, "1");
    await packaged(name, written.kitchen);
    const before = count();

    await newer.succeeds("sendToKitchen", isNew(name));
    assert.deepEqual(count(), before, "its kitchen order is known");
    await newer.succeeds("dispatchShipment", isInPreparation(name));
    assert.deepEqual(count(), [before[0], (before[1] ?? 0) + 1]);
    const after = await fieldsOf(`relations/${id}`);
    assert.deepEqual([after?.schema, after?.kitchen], ["2", written.kitchen]);

    await older.succeeds("dispatchShipment", isInPreparation(name));
    assert.deepEqual(await fieldsOf(`relations/${id}`), after);
  });

  it("neither build creates while the other holds the claim, whichever build that is", async () => {
    const orders = [placed(), placed()];
    const before = count();
    await Promise.all(
      orders.flatMap(({ name }) =>
        [older, newer].flatMap((one) => [1, 2, 3].map(() => one.call("sendToKitchen", isNew(name)))),
      ),
    );
    assert.deepEqual(count(), [(before[0] ?? 0) + 2, before[1]]);
  });

  it("the new build continues an attempt that the old build left, but the old build does not continue one of the new build", async () => {
    const attempt = (schema: number, order: string) => ({
      schema: { integerValue: schema },
      order: { stringValue: order },
      stage: { stringValue: "kitchen" },
      id: { stringValue: "a" },
      state: { stringValue: "FAILED" },
      policy: { stringValue: "park" },
      tries: { integerValue: 1 },
      nextTryAt: { timestampValue: new Date(0).toISOString() },
    });
    const [mine, yours] = [placed(), placed()];
    for (const [{ name, id }, schema] of [
      [mine, 1],
      [yours, 2],
    ] as const) {
      const body = JSON.stringify({ fields: attempt(schema, name) });
      const answer = await fetch(`${documents}/attempts/kitchen:${id}`, { method: "PATCH", body });
      assert.ok(answer.ok, await answer.text());
    }
    const before = count();
    await older.succeeds("sendToKitchen", isNew(yours.name));
    assert.deepEqual(count(), before);
    assert.equal((await fieldsOf(`attempts/kitchen:${yours.id}`))?.state, "FAILED");
    await newer.succeeds("sendToKitchen", isNew(mine.name));
    await newer.succeeds("sendToKitchen", isNew(yours.name));
    assert.deepEqual(count(), [(before[0] ?? 0) + 2, before[1]]);
  });

  it("both builds continue what commit 3bc4941 wrote, and create nothing twice", async () => {
    const first = firstBuild();
    for (const { name, customerId } of first.orders) {
      food.model.replay({ kind: "order", name, at: 0, customerId, cancelAt: null });
    }
    for (const { name } of first.kitchenOrders.filter(({ name }) => name.startsWith("kitchenorders/"))) {
      food.model.replay({ kind: "kitchenOrder", name, at: 0, key: null, preparationAt: 1, packagedAt: 2 });
    }
    for (const { name, status } of first.orders.filter(({ status }) => status !== "NEW")) {
      food.model.changeOrder(name, status, ["status"]);
    }
    await writeDocuments(firestore, PROJECT, first.documents);
    const before = count();

    await older.succeeds("dispatchShipment", isInPreparation("orders/prepared"));
    await newer.succeeds("dispatchShipment", isInPreparation("orders/linked-by-operator"));
    await newer.succeeds("dispatchShipment", isInPreparation("orders/adopted"));
    assert.deepEqual(count(), [before[0], (before[1] ?? 0) + 3]);
    for (const id of ["prepared", "linked-by-operator", "adopted"]) {
      const written = first.documents.find(({ path }) => path === `relations/${id}`)?.fields;
      const relation = await fieldsOf(`relations/${id}`);
      assert.equal(relation?.kitchen, written?.kitchen);
      assert.ok(relation?.shipment, id);
    }

    await older.succeeds("sendToKitchen", isNew("orders/rejected-once"));
    await newer.succeeds("sendToKitchen", isNew("orders/retried-by-operator"));
    assert.deepEqual(count(), [(before[0] ?? 0) + 2, (before[1] ?? 0) + 3]);

    for (const build of [older, newer]) {
      for (const id of ["prepared", "cancelled", "parked", "uncertain"]) {
        await build.succeeds("sendToKitchen", isNew(`orders/${id}`));
      }
      for (const id of ["uncertain-shipment", "stranded"]) {
        await build.succeeds("dispatchShipment", isInPreparation(`orders/${id}`));
      }
    }
    assert.deepEqual(count(), [(before[0] ?? 0) + 2, (before[1] ?? 0) + 3]);
  });
});
