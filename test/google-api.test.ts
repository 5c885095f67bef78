/** Calls to Google's services: against a server of our own, which shows what is sent and fails as we choose. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { GrpcStore } from "../functions/src/adapters/firebase/grpc-store.js";
import { PubSubBus } from "../functions/src/adapters/firebase/pubsub-bus.js";
import { BusError, ConflictError, StoreError, ValidationError } from "../functions/src/domain/errors.js";
import {
  type BatchGetDocumentsRequest,
  type BatchGetDocumentsResponse,
  type CommitRequest,
  type CommitResponse,
  FirestoreService,
} from "../functions/src/generated/cloud/google/firestore/v1/firestore.js";
import {
  PublisherService,
  type PublishRequest,
  type PublishResponse,
} from "../functions/src/generated/cloud/google/pubsub/v1/pubsub.js";
import { identityIn } from "../services/food-service/certificate.js";
import { listen } from "../services/server.js";

const TIME = { seconds: "1700000000", nanos: 123_456_000 };
const CREATE = { kind: "create", path: "things/1", fields: { a: 1 } } as const;

describe("a call to a Google service", () => {
  const cleanUp: (() => unknown)[] = [];
  let environment: NodeJS.ProcessEnv;

  beforeEach(() => {
    environment = { ...process.env };
    process.env.GCLOUD_PROJECT = "demo-google";
  });

  afterEach(async () => {
    for (const step of cleanUp.splice(0).reverse()) await step();
    for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
    Object.assign(process.env, environment);
  });

  /** Firestore and Pub/Sub in one: each call takes the next of `failures`, and succeeds when there is none. */
  async function startGoogle(credentials = ServerCredentials.createInsecure()) {
    const seen: { method: string; metadata: Metadata }[] = [];
    const google = { seen, failures: [] as number[], unanswered: false };
    const failure = (method: string, metadata: Metadata) => {
      seen.push({ method, metadata });
      const code = google.failures.shift();
      return code === undefined ? undefined : { code, details: "as the test demands" };
    };
    const server = new Server({ "grpc.enable_channelz": 0 });
    server.addService(FirestoreService, {
      batchGetDocuments(stream: ServerWritableStream<BatchGetDocumentsRequest, BatchGetDocumentsResponse>) {
        const error = failure("read", stream.metadata);
        if (error) return void stream.emit("error", error);
        const [missing] = stream.request.documents;
        const transaction = Buffer.alloc(0);
        if (!google.unanswered && missing) {
          stream.write({ result: { $case: "missing", missing }, transaction, readTime: TIME });
        }
        stream.end();
      },
      commit(call: ServerUnaryCall<CommitRequest, CommitResponse>, reply: sendUnaryData<CommitResponse>) {
        const error = failure("commit", call.metadata);
        if (error) return reply(error);
        reply(null, { writeResults: [{ updateTime: TIME, transformResults: [] }], commitTime: TIME });
      },
      runQuery: () => undefined,
      runAggregationQuery: () => undefined,
    });
    server.addService(PublisherService, {
      publish(call: ServerUnaryCall<PublishRequest, PublishResponse>, reply: sendUnaryData<PublishResponse>) {
        const error = failure(`publish ${call.request.messages.length}`, call.metadata);
        if (error) return reply(error);
        reply(null, { messageIds: call.request.messages.map((_, index) => String(index)) });
      },
    });
    const address = await listen(server, "localhost:0", credentials);
    cleanUp.push(() => server.forceShutdown());
    return Object.assign(google, { address });
  }

  async function startAsEmulator() {
    const google = await startGoogle();
    process.env.FIRESTORE_EMULATOR_HOST = google.address;
    process.env.PUBSUB_EMULATOR_HOST = google.address;
    const store = new GrpcStore();
    const bus = new PubSubBus();
    cleanUp.push(() => store.close());
    cleanUp.push(() => bus.close());
    return { google, store, bus };
  }

  const methods = (google: { seen: { method: string }[] }) => google.seen.map(({ method }) => method);

  for (const code of ["UNAVAILABLE", "RESOURCE_EXHAUSTED"] as const) {
    it(`is retried after ${code}: a read, a commit and a publish`, async () => {
      const { google, store, bus } = await startAsEmulator();
      google.failures.push(status[code]);
      assert.deepEqual(await store.read("things/1"), [undefined]);
      google.failures.push(status[code]);
      assert.deepEqual(await store.commit([CREATE]), ["1700000000.123456000"]);
      google.failures.push(status[code]);
      await bus.publishOrders("kitchen", [{ order: "orders/1", status: "NEW" }]);
      assert.deepEqual(methods(google), ["read", "read", "commit", "commit", "publish 1", "publish 1"]);
    });
  }

  it("is retried after a commit that conflicted with another", async () => {
    const { google, store } = await startAsEmulator();
    google.failures.push(status.ABORTED);
    await store.commit([CREATE]);
    assert.deepEqual(methods(google), ["commit", "commit"]);
  });

  it("ends after five attempts", async () => {
    const { google, store } = await startAsEmulator();
    google.failures.push(...Array.from({ length: 9 }, () => status.UNAVAILABLE));
    await assert.rejects(store.commit([CREATE]), StoreError);
    assert.equal(google.seen.length, 5);
  });

  for (const [code, type] of [
    ["INVALID_ARGUMENT", ValidationError],
    ["NOT_FOUND", ConflictError],
    ["ALREADY_EXISTS", ConflictError],
    ["FAILED_PRECONDITION", ConflictError],
    ["PERMISSION_DENIED", StoreError],
    ["DEADLINE_EXCEEDED", StoreError],
  ] as const) {
    it(`fails immediately with a ${type.name} if Firestore answers ${code}`, async () => {
      const { google, store } = await startAsEmulator();
      google.failures.push(status[code]);
      await assert.rejects(store.commit([CREATE]), type);
      assert.deepEqual(methods(google), ["commit"]);
    });
  }

  it("fails if Firestore's reply lacks a requested document", async () => {
    const { google, store } = await startAsEmulator();
    google.unanswered = true;
    await assert.rejects(store.read("things/1"), StoreError);
  });

  it("fails with a BusError if Pub/Sub rejects the messages", async () => {
    const { google, bus } = await startAsEmulator();
    google.failures.push(status.NOT_FOUND);
    await assert.rejects(bus.publishOrders("kitchen", [{ order: "orders/1", status: "NEW" }]), BusError);
  });

  it("publishes a thousand messages at a time", async () => {
    const { google, bus } = await startAsEmulator();
    const messages = Array.from({ length: 2_001 }, (_, index) => ({
      order: `orders/${index}`,
      status: "NEW" as const,
    }));
    await bus.publishOrders("kitchen", messages);
    assert.deepEqual(methods(google), ["publish 1000", "publish 1000", "publish 1"]);
  });

  it("authenticates as an administrator on an emulator", async () => {
    const { google, store } = await startAsEmulator();
    await store.read("things/1");
    assert.deepEqual(google.seen[0]?.metadata.get("authorization"), ["Bearer owner"]);
  });

  it("carries the token of the function's account over TLS, and names the database", async () => {
    const folder = mkdtempSync(join(tmpdir(), "diet-google-"));
    cleanUp.push(() => rmSync(folder, { recursive: true }));
    const { key, certificate } = await identityIn(folder);
    const tls = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]);
    const google = await startGoogle(tls);
    const requests = await startMetadataServer(folder);
    delete process.env.FIRESTORE_EMULATOR_HOST;
    const store = new GrpcStore({ server: { address: google.address, roots: certificate } });
    cleanUp.push(() => store.close());

    await store.read("things/1");
    await store.commit([CREATE]);

    for (const { metadata } of google.seen) {
      assert.deepEqual(metadata.get("authorization"), ["Bearer token-of-the-account"]);
      assert.deepEqual(metadata.get("google-cloud-resource-prefix"), ["projects/demo-google/databases/(default)"]);
    }
    assert.equal(requests.filter((path) => path.endsWith("/token")).length, 1, "the token is used until it expires");
  });

  it("is not sent without a token", async () => {
    const folder = mkdtempSync(join(tmpdir(), "diet-google-"));
    cleanUp.push(() => rmSync(folder, { recursive: true }));
    const { key, certificate } = await identityIn(folder);
    const tls = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]);
    const google = await startGoogle(tls);
    Object.assign(process.env, { METADATA_SERVER_DETECTION: "none", HOME: folder });
    delete process.env.FIRESTORE_EMULATOR_HOST;
    const store = new GrpcStore({ server: { address: google.address, roots: certificate } });
    cleanUp.push(() => store.close());
    await assert.rejects(store.commit([CREATE]), StoreError);
    assert.deepEqual(google.seen, []);
  });

  /** Gives access tokens as the cloud's does; resolves with the paths that it is asked for. */
  async function startMetadataServer(home: string): Promise<string[]> {
    const requests: string[] = [];
    const server: HttpServer = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://metadata");
      requests.push(pathname);
      response.setHeader("Metadata-Flavor", "Google");
      response.setHeader("Content-Type", "application/json");
      const token = { access_token: "token-of-the-account", expires_in: 3_600, token_type: "Bearer" };
      if (pathname.endsWith("/token")) response.end(JSON.stringify(token));
      else response.writeHead(404).end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanUp.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    Object.assign(process.env, { GCE_METADATA_HOST: host, METADATA_SERVER_DETECTION: "assume-present", HOME: home });
    return requests;
  }
});
