/** What holds along the whole chain: answers, refusals, deadlines, cancellation, metadata, health, reflection, TLS. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { GrpcObject, ServerUnaryCall, ServiceClientConstructor, ServiceError } from "@grpc/grpc-js";
import { credentials, loadPackageDefinition, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import fc from "fast-check";
import { service as healthService } from "grpc-health-check";
import { generate } from "selfsigned";
import type { User, UserName } from "../../functions/src/generated/user/user.js";
import { MockUserDataServiceService } from "../../functions/src/generated/user/user.js";
import { askForUser } from "./client.js";
import { startUserData, userOf } from "./data.js";
import { ask, connect } from "./downstream.js";
import { startOrchestrator1 } from "./orchestrator1.js";
import { startOrchestrator2 } from "./orchestrator2.js";
import type { Context, ServeOptions } from "./serve.js";
import { serve } from "./serve.js";
import { ANY_PORT, NO_LOG, PlainClient, type RecordedChain, RecordedLog, startRecorded, until } from "./testing.js";

/** The gRPC error that a call ends with. */
const failure = (call: Promise<unknown>): Promise<ServiceError> =>
  call.then(
    (answer) => assert.fail(`answered ${JSON.stringify(answer)}`),
    (error: ServiceError) => error,
  );

type DataCall = { call: ServerUnaryCall<UserName, User>; context: Context; answer: () => void };

/** A data service that answers when the test says so. */
function heldData(arrived: DataCall[]) {
  const answers = {
    getMockUserData: (call: ServerUnaryCall<UserName, User>, context: Context) =>
      new Promise<User>((resolve) => {
        arrived.push({ call, context, answer: () => resolve(userOf(call.request.name)) });
      }),
  };
  const service = { name: "user.MockUserDataService", definition: MockUserDataServiceService };
  return (options: ServeOptions) => serve("user data", service, answers, options);
}

describe("the chain of user orchestrators", () => {
  let chain: RecordedChain;
  let client: PlainClient;

  before(async () => {
    chain = await startRecorded();
    client = new PlainClient(chain.orchestrator1.address);
  });
  after(async () => {
    client.close();
    await chain.stop();
  });

  it("returns the data service's reply", async () => {
    assert.deepEqual(await client.ask("krithik"), { name: "krithik", class: "7", roll: 70 });
  });

  it("returns a rejection with the code and the message of the data service", async () => {
    const { code, details } = await failure(client.ask("abc"));
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.equal(details, 'The name "abc" is shorter than 6 characters: it has 3, counted in UTF-8 bytes');
  });

  it("passes on a rejection unchanged, whatever the name contains", async () => {
    const short = fc.string({ unit: "grapheme", maxLength: 5 }).filter((name) => Buffer.byteLength(name) < 6);
    const property = fc.asyncProperty(short, async (name) => {
      let expected = "";
      try {
        userOf(name);
      } catch (error) {
        expected = (error as ServiceError).details;
      }
      assert.equal((await failure(client.ask(name))).details, expected);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it("rejects a missing name, and a message above gRPC's limit", async () => {
    assert.match((await failure(client.ask(""))).details, /name is missing/);
    const more = await failure(client.ask("x".repeat(5_000_000)));
    assert.equal(more.code, status.RESOURCE_EXHAUSTED);
    assert.match(more.details, /larger than max/);
    assert.equal((await client.ask("krithik")).roll, 70);
  });

  it("accepts names up to gRPC's message limit", async () => {
    // The answer is a little longer than the question, and the client has the same limit.
    for (const length of [1_025, 1_048_576, 4 * 1_024 * 1_024 - 64]) {
      const name = "x".repeat(length);
      assert.deepEqual(await client.ask(name), { name, class: `${length}`, roll: 10 * length });
    }
  });

  it("rejects every name that is not valid UTF-8", async () => {
    const broken = ["6b726974ff69", "c3286b726974", "eda0806b7269", "6b72697468f09f", "c0af6b726974"];
    for (const bytes of broken.map((hex) => Buffer.from(hex, "hex"))) {
      const message = Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes]);
      const { code, details } = await failure(sendRaw(message));
      assert.deepEqual([code, details], [status.INVALID_ARGUMENT, "The request contains text that is not valid UTF-8"]);
    }
  });

  it("preserves a name that contains the replacement character or a byte order mark", async () => {
    for (const name of ["\ufffd\ufffd", "\ufeffkrithik"]) assert.equal((await client.ask(name)).name, name);
  });

  function sendRaw(message: Buffer): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const path = "/user.Orchestrator1Service/GetUserByName";
      client.makeUnaryRequest(
        path,
        () => message,
        String,
        {},
        (error, answer) => (error ? reject(error) : resolve(answer)),
      );
    });
  }

  it("survives a malformed request", async () => {
    assert.equal((await failure(sendRaw(Buffer.from([0xff, 0xff, 0xff])))).code, status.INTERNAL);
    assert.equal((await client.ask("krithik")).roll, 70);
  });

  it("writes the client's trace id in every server's log", async () => {
    await client.ask("krithik", { metadata: { "x-trace-id": "trace-of-the-test" } });
    assert.deepEqual(chain.log.calls("trace-of-the-test"), ["user data OK", "orchestrator 2 OK", "orchestrator 1 OK"]);
  });

  it("uses the trace id of a W3C traceparent, and generates one for a client without", async () => {
    const id = "0af7651916cd43dd8448eb211c80319c";
    await client.ask("krithik", { metadata: { traceparent: `00-${id}-b7ad6b7169203331-01` } });
    assert.equal(chain.log.calls(id).length, 3);
    const before = chain.log.lines.length;
    await client.ask("krithik");
    const traces = new Set(chain.log.lines.slice(before).map(({ trace }) => trace));
    assert.equal(traces.size, 1);
    assert.match([...traces].join(), /^[0-9a-f-]{36}$/);
  });

  it("keeps names out of the log", async () => {
    await failure(client.ask("quux"));
    await client.ask("quuxquux");
    assert.doesNotMatch(JSON.stringify(chain.log.lines), /quux/);
  });

  it("leaks neither timers nor memory", async function () {
    this.timeout(60_000);
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const quiet = await startRecorded();
    const many = async (calls: number) => {
      const caller = new PlainClient(quiet.orchestrator1.address);
      let left = calls;
      const one = async () => {
        while (left-- > 0) await caller.ask("krithik", { deadline: Date.now() + 60_000 });
      };
      await Promise.all(Array.from({ length: 64 }, one));
      caller.close();
      quiet.log.lines.length = 0;
      collect();
      return process.memoryUsage().heapUsed;
    };
    await many(2_000);
    const before = await many(100);
    const growth = (await many(3_000)) - before;
    await quiet.stop();
    // One forgotten call is several kilobytes.
    assert.ok(growth < 3_000 * 500, `the heap grew by ${growth} bytes`);
    assert.equal(process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length <= 2, true);
  });
});

describe("deadlines, cancellation and metadata", () => {
  let chain: RecordedChain;
  let client: PlainClient;
  let arrived: DataCall[];

  beforeEach(async () => {
    arrived = [];
    chain = await startRecorded({ deadlineMilliseconds: 1_500 }, heldData(arrived));
    client = new PlainClient(chain.orchestrator1.address);
  });
  afterEach(async () => {
    for (const { answer } of arrived) answer();
    client.close();
    await chain.stop();
  });

  it("a client that cancels stops the work in every server behind it", async () => {
    let cancel = () => {};
    const asked = failure(
      client.ask("krithik", {
        deadline: Date.now() + 60_000,
        metadata: { "x-trace-id": "given-up" },
        started: (call) => {
          cancel = () => call.cancel();
        },
      }),
    );
    await until("the call has reached the data service", () => arrived.length === 1);
    const stopped = new Promise((resolve) => arrived[0]?.call.once("cancelled", resolve));
    cancel();
    assert.equal((await asked).code, status.CANCELLED);
    await stopped;
    await until("every server has logged it", () => chain.log.calls("given-up").length === 3);
    for (const call of chain.log.calls("given-up")) assert.match(call, /CANCELLED$/);
  });

  it("the data service gets the client's deadline, not the servers' default", async () => {
    const deadline = Date.now() + 120_000;
    const asked = client.ask("krithik", { deadline });
    await until("the call has reached the data service", () => arrived.length === 1);
    const left = (arrived[0]?.context.deadline ?? 0) - deadline;
    // Time in transit lengthens it, on a busy machine by much. The server's own would be a minute and more away.
    assert.ok(Math.abs(left) < 60_000, `${left} ms apart`);
    arrived[0]?.answer();
    assert.equal((await asked).roll, 70);
  });

  it("a deadline that passes ends the call in every server", async () => {
    const asked = failure(client.ask("krithik", { deadline: Date.now() + 1_000, metadata: { "x-trace-id": "late" } }));
    assert.equal((await asked).code, status.DEADLINE_EXCEEDED);
    await until("every server has logged it", () => chain.log.calls("late").length === 3);
    for (const call of chain.log.calls("late")) assert.match(call, /DEADLINE_EXCEEDED|CANCELLED/);
  });

  it("a call without a deadline gets one", async () => {
    const { code } = await failure(client.ask("krithik"));
    assert.equal(code, status.DEADLINE_EXCEEDED);
  });

  it("a call to the data service without a deadline gets one, and its work stops then", async () => {
    const log = new RecordedLog();
    const options = { address: ANY_PORT, deadlineMilliseconds: 300, log: log.of("user data") };
    const data = await startUserData({ ...options, delayMilliseconds: 60_000 });
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = timers();
    const client = new PlainClient(data.address);
    const { path, requestSerialize, responseDeserialize } = MockUserDataServiceService.getMockUserData;
    const asked = new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { name: "krithik" }, (error) => {
        if (error === null) resolve(undefined);
        else reject(error);
      });
    });
    const { code, details } = await failure(asked);
    client.close();
    await data.stop();
    assert.equal(code, status.DEADLINE_EXCEEDED);
    assert.equal(details, "No answer within 300 ms");
    await until("nothing waits any more", () => timers() <= before);
    assert.deepEqual(
      log.lines.flatMap(({ code }) => code ?? []),
      ["DEADLINE_EXCEEDED"],
    );
  });

  it("the client's metadata reaches the data service", async () => {
    const metadata = { "x-tenant": "north", "x-trace-id": "t" };
    const asked = client.ask("krithik", { metadata, deadline: Date.now() + 120_000 });
    await until("the call has reached the data service", () => arrived.length === 1);
    assert.deepEqual(arrived[0]?.call.metadata.get("x-tenant"), ["north"]);
    arrived[0]?.answer();
    await asked;
  });

  it("a server that fails says so, without details about its internals", async () => {
    const answers = { getMockUserData: () => Promise.reject(new TypeError("the insides")) };
    const service = { name: "user.MockUserDataService", definition: MockUserDataServiceService };
    const failing = await startRecorded({}, (options) => serve("user data", service, answers, options));
    const asking = new PlainClient(failing.orchestrator1.address);
    const { code, details } = await failure(asking.ask("krithik"));
    asking.close();
    await failing.stop();
    assert.equal(code, status.INTERNAL);
    assert.doesNotMatch(details, /insides/);
    assert.match(JSON.stringify(failing.log.lines), /the insides/);
  });
});

/** A call with this deadline has a second to say that a server can't be reached. */
const DEADLINE_MS = 10_000;

/** For a call that must succeed, however busy the machine is. */
const PATIENCE_MS = 120_000;

describe("servers that stop and restart", () => {
  const open: (() => unknown)[] = [];
  const closing = <S extends { stop(): Promise<unknown> }>(server: S): S => {
    open.push(() => server.stop());
    return server;
  };
  const clientOf = (address: string): PlainClient => {
    const client = new PlainClient(address);
    open.push(() => client.close());
    return client;
  };
  afterEach(async () => {
    for (const close of open.splice(0).toReversed()) await close();
  });

  it("works in any start order: a call waits for the servers behind", async () => {
    const probe = await startUserData({ address: ANY_PORT, log: NO_LOG });
    await probe.stop();
    const options = { address: ANY_PORT, log: NO_LOG };
    const orchestrator2 = closing(await startOrchestrator2({ ...options, data: probe.address }));
    const orchestrator1 = closing(await startOrchestrator1({ ...options, orchestrator2: orchestrator2.address }));
    const asked = clientOf(orchestrator1.address).ask("krithik", { deadline: Date.now() + PATIENCE_MS });
    // Time for the call to meet the missing server; what follows holds whether it has or not.
    assert.equal(await healthOf(orchestrator1.address, "user.Orchestrator1Service"), "SERVING");
    closing(await startUserData({ ...options, address: probe.address }));
    assert.equal((await asked).roll, 70);
  });

  for (const host of ["127.0.0.1", "localhost"]) {
    it(`on ${host}, returns UNAVAILABLE with the server's name within the deadline while a server is down, and recovers when it is back`, async () => {
      const chain = closing(await startRecorded({ host }));
      const client = clientOf(chain.orchestrator1.address);
      await client.ask("krithik");
      await chain.data.stop();
      // After the deadline it would be DEADLINE_EXCEEDED.
      const { code, details } = await failure(client.ask("krithik", { deadline: Date.now() + DEADLINE_MS }));
      assert.equal(code, status.UNAVAILABLE);
      assert.match(details, /^User data at [^ ]+ can't be reached: connect ECONNREFUSED [^ ]+$/);
      closing(await startUserData({ address: chain.data.address, log: NO_LOG }));
      assert.equal((await client.ask("krithik", { deadline: Date.now() + PATIENCE_MS })).roll, 70);
    });
  }

  it("reconnects to an unresponsive server at least every second", async () => {
    let tries = 0;
    const deaf = createServer((socket) => {
      tries++;
      socket.destroy();
    });
    await once(deaf.listen(0, "127.0.0.1"), "listening");
    open.push(() => deaf.close());
    const data = `127.0.0.1:${(deaf.address() as AddressInfo).port}`;
    const orchestrator2 = closing(await startOrchestrator2({ address: ANY_PORT, log: NO_LOG, data }));
    const orchestrator1 = await startOrchestrator1({
      address: ANY_PORT,
      log: NO_LOG,
      orchestrator2: orchestrator2.address,
    });
    const client = clientOf(closing(orchestrator1).address);
    const { code } = await failure(client.ask("krithik", { deadline: Date.now() + DEADLINE_MS }));
    assert.equal(code, status.UNAVAILABLE);
    assert.ok(tries >= 5, `${tries} tries`);
  });

  it("the client reports UNAVAILABLE when orchestrator 1 is not running", async () => {
    const question = {
      name: "krithik",
      server: "127.0.0.1:1",
      deadlineMilliseconds: DEADLINE_MS,
      timeoutMilliseconds: 0,
      security: {},
    };
    const { code, details } = await failure(askForUser(question));
    assert.equal(code, status.UNAVAILABLE);
    assert.equal(details, "Orchestrator 1 at 127.0.0.1:1 can't be reached: connect ECONNREFUSED 127.0.0.1:1");
  });
});

const require = createRequire(import.meta.url);

function healthClient(address: string) {
  const Health = loadPackageDefinition({ Health: healthService }).Health as ServiceClientConstructor;
  return new Health(address, credentials.createInsecure());
}

async function healthOf(address: string, service: string): Promise<string> {
  const client = healthClient(address);
  return new Promise<string>((resolve, reject) => {
    client.check?.({ service }, (error: Error | null, reply: { status: string }) => {
      if (error === null) resolve(reply.status);
      else reject(error);
    });
  }).finally(() => client.close());
}

describe("health and reflection", () => {
  it("every server reports its health until it stops, and a watching client does not delay the stop", async () => {
    const chain = await startRecorded();
    assert.equal(await healthOf(chain.orchestrator1.address, "user.Orchestrator1Service"), "SERVING");
    const client = healthClient(chain.orchestrator1.address);
    const seen: string[] = [];
    const watch = client.watch?.({ service: "" });
    const ended = new Promise((resolve) => watch.on("end", resolve));
    watch.on("error", () => {});
    watch.on("data", (reply: { status: string }) => seen.push(reply.status));
    await until("the watch has its first answer", () => seen.length === 1);
    // The watch never ends; the stop does.
    await chain.stop();
    await ended;
    client.close();
    assert.deepEqual(seen, ["SERVING", "NOT_SERVING"]);
  });

  it("reflection lists the services of each server and describes them", async () => {
    const chain = await startRecorded();
    const protos = join(dirname(require.resolve("@grpc/reflection/package.json")), "build/proto");
    const loaded = loadPackageDefinition(loadSync("grpc/reflection/v1/reflection.proto", { includeDirs: [protos] }));
    const v1 = ((loaded.grpc as GrpcObject).reflection as GrpcObject).v1 as GrpcObject;
    const Reflection = v1.ServerReflection as ServiceClientConstructor;
    const client = new Reflection(chain.orchestrator2.address, credentials.createInsecure());
    const stream = client.serverReflectionInfo?.();
    const replies: object[] = [];
    stream.on("data", (reply: object) => replies.push(reply));
    stream.write({ listServices: "*" });
    stream.write({ fileContainingSymbol: "user.Orchestrator2Service" });
    await until("both are answered", () => replies.length === 2);
    stream.end();
    client.close();
    await chain.stop();
    const services = (replies[0] as { listServicesResponse: { service: { name: string }[] } }).listServicesResponse
      .service;
    assert.deepEqual(services.map(({ name }) => name).toSorted(), [
      "grpc.health.v1.Health",
      "user.Orchestrator2Service",
    ]);
    const files = (replies[1] as { fileDescriptorResponse: { fileDescriptorProto: Buffer[] } }).fileDescriptorResponse;
    assert.ok(files.fileDescriptorProto.some((file) => file.includes("GetMockUserData")));
  });
});

describe("TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "users-tls-"));
  const file = (name: string) => join(folder, name);

  before(async () => {
    for (const name of ["ours", "theirs"]) {
      const altNames = [
        { type: 2 as const, value: "localhost" },
        { type: 7 as const, ip: "127.0.0.1" },
      ];
      const { cert, private: key } = await generate([{ name: "commonName", value: "localhost" }], {
        extensions: [{ name: "subjectAltName", altNames }],
      });
      writeFileSync(file(`${name}.crt`), cert);
      writeFileSync(file(`${name}.key`), key);
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  it("the whole chain uses TLS if configured, and rejects untrusted peers", async () => {
    const ours = { tlsCertificate: file("ours.crt"), tlsKey: file("ours.key"), ca: file("ours.crt") };
    const chain = await startRecorded({ security: ours, host: "localhost" });
    const question = {
      name: "krithik",
      server: chain.orchestrator1.address,
      deadlineMilliseconds: 1_500,
      timeoutMilliseconds: 1_500,
    };
    try {
      assert.equal((await askForUser({ ...question, security: ours })).roll, 70);
      const doubtful = await failure(askForUser({ ...question, security: { ca: file("theirs.crt") } }));
      assert.equal(doubtful.code, status.UNAVAILABLE);
      assert.match(
        doubtful.details,
        /can't be reached: the certificate of the server signs itself .* add the right one to --ca/,
      );
      const plain = await failure(askForUser({ ...question, security: {} }));
      assert.equal(plain.code, status.UNAVAILABLE);
    } finally {
      await chain.stop();
    }
  }).timeout(20_000);

  it("trusts certificates as people paste them: two of one subject, in quotes, without a newline between them", async () => {
    const [ours, theirs] = ["ours.crt", "theirs.crt"].map((name) => readFileSync(file(name), "utf8").trim());
    const pasted = {
      "both, the other one first": `${theirs}\n${ours}\n`,
      "joined without a newline": `${theirs}${ours}`,
      "in quotes after ca=": `ca="${ours}"`,
      "with Windows newlines and a byte order mark": `\uFEFF${ours?.replaceAll("\n", "\r\n")}`,
      "on one line with newlines written out": ours?.replaceAll("\n", "\\n"),
    };
    const pair = { tlsCertificate: file("ours.crt"), tlsKey: file("ours.key") };
    const server = await startUserData({ log: NO_LOG, address: "localhost:0", security: pair });
    try {
      for (const [name, text] of Object.entries(pasted)) {
        writeFileSync(file("pasted.crt"), text ?? "");
        const downstream = connect("The data service", server.address, { ca: file("pasted.crt") });
        const context = { trace: "t", deadline: Date.now() + 10_000 };
        const method = MockUserDataServiceService.getMockUserData;
        const user = await ask(downstream, method, { name: "krithik" }, context).finally(() =>
          downstream.connection.close(),
        );
        assert.equal(user.roll, 70, name);
      }
    } finally {
      await server.stop();
    }
  }).timeout(60_000);

  it("rejects plaintext outside loopback unless it is allowed", async () => {
    const message = { name: "StartError", message: /plaintext, since it is not a loopback address/ };
    await assert.rejects(startUserData({ log: NO_LOG, address: "0.0.0.0:0" }), message);
    await assert.rejects(
      startOrchestrator2({ log: NO_LOG, address: ANY_PORT, data: "data.example.com:10000" }),
      message,
    );
    const asked = await startUserData({ log: NO_LOG, address: "0.0.0.0:0", security: { plaintext: true } });
    await asked.stop();
  });

  it("an IP address is not sent as a server name, so Node.js prints no warning", async () => {
    const ours = { tlsCertificate: file("ours.crt"), tlsKey: file("ours.key"), ca: file("ours.crt") };
    const chain = await startRecorded({ security: ours, host: "127.0.0.1" });
    const warnings: string[] = [];
    const onWarning = (warning: Error & { code?: string }) => warnings.push(`${warning.code} ${warning.message}`);
    process.on("warning", onWarning);
    try {
      const server = chain.orchestrator1.address;
      const question = { name: "krithik", server, deadlineMilliseconds: 5_000, timeoutMilliseconds: 10_000 };
      assert.equal((await askForUser({ ...question, security: ours })).roll, 70);
      const other = await failure(
        askForUser({ ...question, timeoutMilliseconds: 1_500, security: { ca: file("theirs.crt") } }),
      );
      assert.equal(other.code, status.UNAVAILABLE);
      assert.deepEqual(warnings, []);
    } finally {
      process.off("warning", onWarning);
      await chain.stop();
    }
  }).timeout(40_000);

  it("reports a certificate without a key, a file that is not a certificate, and a key that does not match, each in one clear error", async () => {
    const start = (security: object) => startUserData({ log: NO_LOG, address: ANY_PORT, security });
    await assert.rejects(start({ tlsCertificate: file("ours.crt") }), { message: /needs both/ });
    await assert.rejects(start({ tlsCertificate: file("none"), tlsKey: file("ours.key") }), {
      message: /There is no TLS certificate .*--tls-certificate/,
    });
    const mixed = { tlsCertificate: file("ours.crt"), tlsKey: file("theirs.key") };
    await assert.rejects(start(mixed), { message: /is not the private key of the first certificate/ });
    const noAuthority = { log: NO_LOG, address: ANY_PORT, data: "localhost:1", security: { ca: file("ours.key") } };
    await assert.rejects(startOrchestrator2(noAuthority), { message: /but a private key/ });
  });
});
