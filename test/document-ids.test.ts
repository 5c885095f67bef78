/** The ids of documents as triggers log them, through Firestore's own emulator and Google's functions-framework. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import type { OutgoingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DocumentEvents } from "../harness/document-events.js";
import { type Emulators, startEmulators } from "../harness/emulators/standalone.js";
import { FunctionInstance } from "../harness/function-instance.js";
import { ROOT } from "../harness/root.js";
import { type RunningFoodService, startFoodService } from "../services/food-service/server.js";

const PROJECT = "demo-ids";
const IDS = ["bestellung-ä", "注文-7", "заказ №9", "🍕", "100%25", "a b+c", "plain"];
const MINUTE = 60_000;
const PATIENCE_MS = 5 * MINUTE;

describe("a trigger", function () {
  this.timeout(4 * MINUTE);
  const events = new DocumentEvents();
  const lines: Record<string, unknown>[] = [];
  /** The event by which each document was adopted, by its id. The food service does not know the order, and its report is dropped. */
  const seen = new Map<string, { headers: OutgoingHttpHeaders; body: Buffer }>();
  let directory: string;
  let emulators: Emulators | undefined;
  let food: RunningFoodService;
  let instance: FunctionInstance;
  let firestore: string;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "ids-"));
    const onLine = () => undefined;
    const { signal } = new AbortController();
    emulators = await startEmulators({ directory, events: await events.listen(), onLine, signal });
    firestore = emulators.firestore;
    food = await startFoodService({ address: "localhost:0", certificates: directory });
    instance = await FunctionInstance.start({
      build: join(ROOT, "functions"),
      target: "onRelationWritten",
      takes: "events",
      env: {
        GCLOUD_PROJECT: PROJECT,
        FIREBASE_CONFIG: JSON.stringify({ projectId: PROJECT }),
        FIRESTORE_EMULATOR_HOST: firestore,
        METADATA_SERVER_DETECTION: "none",
        FOOD_SERVICE_ADDRESS: food.address,
        FOOD_SERVICE_CA: food.certificate,
        USERS_SECURITY: "tls",
      },
      onLine: (line) => {
        if (line.startsWith("{")) lines.push(JSON.parse(line) as Record<string, unknown>);
      },
    });
  });

  after(async () => {
    await instance?.stop();
    await emulators?.stop();
    await food?.stop();
    events.stop();
    rmSync(directory, { recursive: true });
  });

  async function expectLogged(ids: string[]): Promise<void> {
    const missing = () => ids.filter((id) => !lines.some(({ order }) => order === `orders/${id}`));
    for (const began = Date.now(); missing().length > 0; await sleep(50)) {
      if (Date.now() - began > PATIENCE_MS)
        assert.fail(`not logged: ${missing()}; logged: ${lines.map(({ order }) => order)}`);
    }
  }

  it("logs each document's id unchanged, from Firestore's events", async () => {
    await events.onWritten(firestore, PROJECT, "relations/{id}", async (headers, body) => {
      const id = IDS.find((one) => body.includes(`/relations/${one}`)) ?? "";
      if (body.includes("PREPARATION")) seen.set(id, { headers, body });
      await instance.forward(headers, body);
    });
    for (const id of IDS) {
      const path = `projects/${PROJECT}/databases/(default)/documents/relations?documentId=${encodeURIComponent(id)}`;
      const fields = { kitchen: { stringValue: `kitchenorders/${IDS.indexOf(id)}` } };
      const answer = await fetch(`http://${firestore}/v1/${path}`, {
        method: "POST",
        body: JSON.stringify({ fields }),
      });
      assert.equal(answer.status, 200, await answer.text());
    }
    await expectLogged(IDS);
    for (const began = Date.now(); seen.size < IDS.length; await sleep(50)) assert.ok(Date.now() - began < PATIENCE_MS);
  });

  for (const [how, encoded] of [
    ["percent-encoded, as CloudEvents demands", (id: string) => encodeURIComponent(id)],
    ["in bytes of UTF-8", (id: string) => Buffer.from(id).toString("latin1")],
  ] as const) {
    it(`logs each document's id unchanged if the event's header has it ${how}`, async () => {
      lines.length = 0;
      for (const [id, { headers, body }] of seen) {
        const document = `relations/${encoded(id)}`;
        await instance.forward({ ...headers, "ce-document": document, "ce-subject": `documents/${document}` }, body);
      }
      await expectLogged(IDS);
    });
  }
});
