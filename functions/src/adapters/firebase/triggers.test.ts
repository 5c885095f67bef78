import assert from "node:assert/strict";
import { deleteApp, getApps } from "firebase-admin/app";
import functionsTest from "firebase-functions-test";
import type * as Deployed from "../../index.js";
import type { Field, Fields } from "../../ports.js";

/** What a deployment gives to its functions. Nothing answers at these addresses, and nothing here may need them. */
const ENVIRONMENT = {
  FOOD_SERVICE_ADDRESS: "localhost:1",
  FOOD_SERVICE_SECURITY: "tls",
  FOOD_SERVICE_CA: "system",
  USERS_ADDRESS: "localhost:1",
  USERS_SECURITY: "tls",
  CALL_DEADLINE_SECONDS: "1",
  POLL_PASSES: "1",
  POLL_PAGE_SIZE: "500",
  CREATE_POLICY: "park",
  CREATE_LEASE_SECONDS: "60",
  CREATE_TRIES: "8",
  MISSING_AFTER_MINUTES: "60",
};

const HOUR_MS = 3_600_000;
const ORDER = { order: "orders/1", status: "NEW" };
const CONTINUATION = { holder: "a", step: 0, statuses: ["NEW"], pageToken: "" };
/** A document that is refused after it was unpacked, and before anything else is asked. */
const UNREADABLE = { kitchen: "k/1", schema: 2 };

const TOPICS = {
  continuePoll: { topic: "poll-continuations", payload: CONTINUATION },
  sendToKitchen: { topic: "orders-new", payload: ORDER },
  dispatchShipment: { topic: "orders-preparation", payload: ORDER },
  completeOrder: { topic: "orders-in-flight", payload: ORDER },
} as const;
type TopicFunction = keyof typeof TOPICS;

/** What a function looks like to the platform: called with an event, described by its endpoint. */
interface Raw {
  (event: object): Promise<unknown>;
  __endpoint: {
    platform: string;
    concurrency?: number;
    maxInstances?: unknown;
    secretEnvironmentVariables?: { key: string }[];
    eventTrigger?: { eventType: string; eventFilters?: Fields; eventFilterPathPatterns?: Fields; retry: boolean };
    scheduleTrigger?: { schedule: string; retryConfig: { retryCount?: number } };
  };
}

/** Runs the work and gives the structured lines that it logged. */
async function linesOf(work: () => Promise<unknown>): Promise<Fields[]> {
  const written: string[] = [];
  const streams = [process.stdout, process.stderr].map((stream) => ({ stream, write: stream.write }));
  for (const { stream } of streams) {
    stream.write = (chunk: string | Uint8Array) => {
      written.push(String(chunk));
      return true;
    };
  }
  try {
    await work();
  } finally {
    for (const { stream, write } of streams) stream.write = write;
  }
  const text = written.join("").split("\n");
  return text.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Fields);
}

/** A value as Firestore's JSON writes it. */
function firestoreJsonOf(field: Field): object {
  if (field === null) return { nullValue: null };
  if (typeof field === "string") return { stringValue: field };
  if (typeof field === "number") return { integerValue: String(field) };
  if (field instanceof Date) return { timestampValue: field.toISOString() };
  if (Array.isArray(field)) return { arrayValue: { values: field.map(firestoreJsonOf) } };
  const fields = Object.entries(field as Fields).map(([name, value]) => [name, firestoreJsonOf(value)]);
  return { mapValue: { fields: Object.fromEntries(fields) } };
}

/** The outcome in each line of ours; firebase-functions logs lines without one. */
const outcomesOf = async (work: () => Promise<unknown>) =>
  (await linesOf(work)).flatMap(({ outcome }) => outcome ?? []);
const ago = (milliseconds: number) => new Date(Date.now() - milliseconds).toISOString();
const base64 = (text: string) => Buffer.from(text).toString("base64");

/** A number, or the default of the param that decides it. */
function numberOf(option: unknown): number {
  return Number((option as { options?: { default?: unknown } }).options?.default ?? option);
}

describe("the deployed functions", () => {
  const environment = { ...process.env };
  let deployed: typeof Deployed;

  const raw = (name: keyof typeof Deployed) => deployed[name] as unknown as Raw;
  // Documents stay raw events: the library makes snapshots with an interface that firebase-admin 14 no longer has.
  const library = functionsTest({ projectId: "demo-triggers" });
  const wrapped = (name: TopicFunction) => library.wrap(deployed[name]);

  /** An event as Eventarc brings it over HTTP, with this text in its message. */
  const pubSubEvent = (name: TopicFunction, data: string, time = ago(0)) => ({
    specversion: "1.0",
    id: "event-1",
    source: `//pubsub.googleapis.com/projects/demo-triggers/topics/${TOPICS[name].topic}`,
    type: "google.cloud.pubsub.topic.v1.messagePublished",
    time,
    data: { message: { messageId: "1", data: base64(data), publishTime: time }, subscription: "s" },
  });

  /** A version of the relation, as an event has it; none for a document that does not exist. */
  const versionOf = (fields: Fields | undefined) =>
    fields && {
      name: "projects/demo-triggers/databases/(default)/documents/relations/1",
      fields: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, firestoreJsonOf(field)])),
      createTime: ago(0),
      updateTime: ago(0),
    };

  /** An event as Eventarc brings it over HTTP. */
  const documentEvent = (
    kind: "written" | "created",
    before: Fields | undefined,
    after: Fields | undefined,
    time = ago(0),
  ) => ({
    specversion: "1.0",
    id: "event-1",
    source: "//firestore.googleapis.com/projects/demo-triggers/databases/(default)",
    type: `google.cloud.firestore.document.v1.${kind}`,
    time,
    datacontenttype: "application/json",
    database: "(default)",
    document: "relations/1",
    data: { ...(after && { value: versionOf(after) }), ...(before && { oldValue: versionOf(before) }) },
  });

  before(async () => {
    delete process.env.FUNCTIONS_EMULATOR;
    Object.assign(process.env, ENVIRONMENT, { GCLOUD_PROJECT: "demo-triggers" });
    deployed = await import("../../index.js");
  });

  after(async () => {
    library.cleanup();
    await Promise.all(getApps().map(deleteApp));
    for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
    Object.assign(process.env, environment);
  });

  it("fail to start if a setting is invalid, and name it with its allowed values", async () => {
    process.env.POLL_PASSES = "99";
    try {
      const wrong = { name: "ValidationError", message: /POLL_PASSES is 99.*12/ };
      await assert.rejects(raw("sendToKitchen")(pubSubEvent("sendToKitchen", "{")), wrong);
    } finally {
      process.env.POLL_PASSES = ENVIRONMENT.POLL_PASSES;
    }
  });

  it("exist under the documented names", () => {
    assert.deepEqual(Object.keys(deployed).sort(), [
      "api",
      "completeOrder",
      "continuePoll",
      "dispatchShipment",
      "onRelationCreated",
      "onRelationWritten",
      "pollOrders",
      "sendToKitchen",
      "sweep",
    ]);
  });

  it("declare the food service's certificates and a maximum of instances", () => {
    for (const name of Object.keys(deployed) as (keyof typeof Deployed)[]) {
      const endpoint = raw(name).__endpoint;
      assert.equal(endpoint.platform, "gcfv2");
      assert.deepEqual(
        endpoint.secretEnvironmentVariables?.map(({ key }) => key),
        ["FOOD_SERVICE_CA"],
        name,
      );
      assert.ok(numberOf(endpoint.maxInstances) > 0, name);
    }
  });

  it("get a failed event redelivered", () => {
    for (const [name, { topic }] of Object.entries(TOPICS)) {
      const trigger = raw(name as TopicFunction).__endpoint.eventTrigger;
      assert.deepEqual([trigger?.eventFilters, trigger?.retry], [{ topic }, true], name);
    }
    for (const [name, type] of [
      ["onRelationWritten", "written"],
      ["onRelationCreated", "created"],
    ] as const) {
      const trigger = raw(name).__endpoint.eventTrigger;
      assert.equal(trigger?.eventType, `google.cloud.firestore.document.v1.${type}`);
      assert.deepEqual([trigger?.eventFilterPathPatterns, trigger?.retry], [{ document: "relations/{id}" }, true]);
    }
  });

  it("run on a schedule from a param, one at a time, and without retries", () => {
    for (const [name, param] of [
      ["pollOrders", "POLL_SCHEDULE"],
      ["sweep", "SWEEP_SCHEDULE"],
    ] as const) {
      const { scheduleTrigger, maxInstances } = raw(name).__endpoint;
      assert.match(String(scheduleTrigger?.schedule), new RegExp(`params\\.${param}`));
      assert.deepEqual([maxInstances, scheduleTrigger?.retryConfig.retryCount], [1, 0], name);
    }
  });

  for (const name of Object.keys(TOPICS) as TopicFunction[]) {
    const dropped = name === "continuePoll" ? "dropped" : "quarantined";

    for (const [what, data] of [
      ["is no JSON", "{"],
      ["is empty", ""],
      ["is JSON of something else", '{"hello":"world"}'],
      ["is no UTF-8", "\ud800"],
      ["reaches for the prototype", '{"__proto__":{"order":"orders/1","status":"NEW"}}'],
    ] as const) {
      it(`${name} drops a message that ${what}, so it is not redelivered forever`, async () => {
        assert.deepEqual(await outcomesOf(() => raw(name)(pubSubEvent(name, data))), [dropped]);
      });
    }

    it(`${name} drops a message without data`, async () => {
      const event = pubSubEvent(name, "");
      const message = { messageId: "1", attributes: {} };
      const outcomes = await outcomesOf(() => raw(name)({ ...event, data: { ...event.data, message } }));
      assert.deepEqual(outcomes, [dropped]);
    });

    it(`${name} drops a message that names no valid order`, async () => {
      const wrap = wrapped(name);
      const outcomes = await outcomesOf(async () => wrap({ data: { message: { json: { order: "x", status: 1 } } } }));
      assert.deepEqual(outcomes, [dropped]);
    });

    it(`${name} drops a message that is older than an hour, since the poll has published its order again`, async () => {
      const data = JSON.stringify(TOPICS[name].payload);
      const lines = await linesOf(() => raw(name)(pubSubEvent(name, data, ago(HOUR_MS + 1_000))));
      assert.deepEqual(
        lines.map(({ outcome, severity }) => [outcome, severity]),
        [["dropped", "WARNING"]],
      );
      assert.match(String(lines[0]?.message), /too old/);
      const wrap = wrapped(name);
      const event = { time: ago(HOUR_MS + 1_000), data: { message: { json: TOPICS[name].payload } } };
      assert.deepEqual(await outcomesOf(async () => wrap(event)), ["dropped"]);
    });

    it(`${name} still handles a message that is nearly an hour old`, async () => {
      const lines = await linesOf(() => raw(name)(pubSubEvent(name, "{", ago(HOUR_MS - 60_000))));
      assert.doesNotMatch(String(lines[0]?.message), /too old/);
    });
  }

  it("log component, order and outcome as structured fields", async () => {
    const event = documentEvent("written", undefined, UNREADABLE);
    const [line] = await linesOf(() => raw("onRelationWritten")(event));
    assert.deepEqual(
      [line?.severity, line?.component, line?.order, line?.outcome],
      ["ERROR", "report", "orders/1", "quarantined"],
    );
  });

  it("log under the trace of the event that caused the work", async () => {
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const event = { ...pubSubEvent("sendToKitchen", "{"), traceparent: `00-${trace}-00f067aa0ba902b7-01` };
    const [line] = await linesOf(() => raw("sendToKitchen")(event));
    assert.equal(line?.["logging.googleapis.com/trace"], `projects/demo-triggers/traces/${trace}`);
  });

  describe("for changes of relations", () => {
    const written = (fields: { before?: Fields; after?: Fields }, time?: string) =>
      raw("onRelationWritten")(documentEvent("written", fields.before, fields.after, time));
    const created = (fields: Fields, time?: string) =>
      raw("onRelationCreated")(documentEvent("created", undefined, fields, time));

    it("report nothing for a deleted relation", async () => {
      assert.deepEqual(await outcomesOf(() => written({ before: { kitchen: "k/1" } })), []);
    });

    it("report nothing if the state is unchanged, even with times and types of other programs", async () => {
      const times = { PREPARATION: new Date() };
      const fields = { kitchen: "k/1", state: "PREPARATION", times, schema: 1, notes: ["a", { b: null }] };
      const outcomes = await outcomesOf(() => written({ before: fields, after: { ...fields, note: "x" } }));
      assert.deepEqual(outcomes, []);
    });

    it("ignore a document with a newer schema", async () => {
      assert.deepEqual(await outcomesOf(() => written({ after: UNREADABLE })), ["quarantined"]);
      assert.deepEqual(await outcomesOf(() => created(UNREADABLE)), ["quarantined"]);
    });

    it("don't resolve a customer that is already resolved", async () => {
      const customer = { name: "krithik", class: "7", roll: 70 };
      assert.deepEqual(await outcomesOf(() => created({ kitchen: "k/1", customer })), []);
    });

    it("drop a write that is older than an hour, and a new relation that is older than a day", async () => {
      const after = { kitchen: "k/1" };
      assert.deepEqual(await outcomesOf(() => written({ after }, ago(HOUR_MS + 1_000))), ["dropped"]);
      assert.deepEqual(await outcomesOf(() => created(after, ago(24 * HOUR_MS + 1_000))), ["dropped"]);
      assert.deepEqual(await outcomesOf(() => created(UNREADABLE, ago(23 * HOUR_MS))), ["quarantined"]);
    });
  });
});
