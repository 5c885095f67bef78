import assert from "node:assert/strict";
import type { CloudEvent, CloudFunction } from "firebase-functions/v2";
import functionsTest from "firebase-functions-test";
import type * as Deployed from "../index.js";
import type { Fields } from "../ports.js";

/** What a deployment gives to its functions. Nothing answers at these addresses, and nothing here may need them. */
const ENVIRONMENT = {
  GCLOUD_PROJECT: "demo-triggers",
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
};

const HOUR = 3_600_000;
const ORDER = { order: "orders/1", status: "NEW" };
const CONTINUATION = { holder: "a", step: 0, statuses: ["NEW"], pageToken: "" };

const TOPICS = {
  continuePoll: "poll-continuations",
  sendToKitchen: "orders-new",
  dispatchShipment: "orders-preparation",
  completeOrder: "orders-in-flight",
} as const;
type TopicFunction = keyof typeof TOPICS;

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

const outcomesOf = async (work: () => Promise<unknown>) => (await linesOf(work)).map(({ outcome }) => outcome);

const ago = (milliseconds: number) => new Date(Date.now() - milliseconds).toISOString();

describe("the deployed functions", () => {
  const before = { ...process.env };
  let library: ReturnType<typeof functionsTest>;
  let deployed: typeof Deployed;

  before_(async () => {
    delete process.env.FUNCTIONS_EMULATOR;
    Object.assign(process.env, ENVIRONMENT);
    library = functionsTest({ projectId: ENVIRONMENT.GCLOUD_PROJECT });
    deployed = await import("../index.js");
  });

  after(() => {
    library.cleanup();
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  });
});
