/** The programs against a food service that checks who calls: tokens, client certificates and Google ID tokens, as real processes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CertificateMaker } from "../harness/certificate-maker.js";
import { freePort } from "../harness/process/free-ports.js";
import { Program } from "../harness/process/program.js";
import { truthIn } from "../services/food-service/server.js";

const MINUTE_MS = 60_000;
const AUDIENCE = "https://food.example.com";

describe("a food service that authenticates its callers", function () {
  this.timeout(6 * MINUTE_MS);
  let maker: CertificateMaker;
  let folder: string;
  let state: string;
  const programs: Program[] = [];
  const servers: Server[] = [];

  before(() => {
    maker = new CertificateMaker();
  });
  after(() => maker.close());

  beforeEach(() => {
    const callers = maker.issue({ subject: "Callers", isAuthority: true });
    const own = maker.issue({ subject: "orchestrator", issuer: callers });
    const stranger = maker.issue({ subject: "stranger" });
    folder = maker.directoryWith({
      "callers.crt": callers.certificate,
      "own.crt": own.certificate,
      "own.key": own.key,
      "stranger.crt": stranger.certificate,
      "stranger.key": stranger.key,
      token: "Bearer s3cret\n",
      "wrong-token": "other\n",
    });
    state = join(folder, "food.jsonl");
  });
  afterEach(async () => {
    for (const program of programs.splice(0).reverse()) await program.kill();
    for (const server of servers.splice(0)) server.close();
  });

  const file = (name: string) => join(folder, name);
  const MTLS = ["--client-certificate", "own.crt", "--client-key", "own.key"];

  async function start(program: string, args: string[], env: Record<string, string> = {}): Promise<Program> {
    const inFolder = args.map((arg) => (existsSync(file(arg)) ? file(arg) : arg));
    const started = await Program.start(program, inFolder, { FIRESTORE_EMULATOR_HOST: "", ...env });
    programs.push(started);
    return started;
  }

  /** Starts the food service and resolves with its address. */
  async function startFood(...args: string[]): Promise<string> {
    const files = ["--certificates", folder, "--state", state, "--speed", "100000"];
    const food = await start("services/food-service/main.ts", ["--address", "localhost:0", ...files, ...args]);
    return (await food.said(/ready on (localhost:\d+)/))[1] as string;
  }

  /** Places an order; resolves with how the program ended and what it said. */
  async function order(server: string, args: string[], env?: Record<string, string>) {
    const to = ["--customer", "krithik", "--server", server, "--certificate", "localhost.crt"];
    const program = await start("services/food-service/order.ts", [...to, ...args], env);
    return { ended: await program.child.exited, said: program.lines.join("\n") };
  }

  /** Starts the system, embedded, and resolves when the order has been delivered. */
  async function deliver(server: string, args: string[], env: Record<string, string> = {}): Promise<void> {
    const to = ["--embedded", "--ports-from", "auto", "--interval", "1", "--data", join(folder, "data")];
    const from = ["--server", server, "--certificate", "localhost.crt"];
    const run = await start("cli/start.ts", [...to, ...from, ...args], env);
    await run.said(/^Ready$/);
    while (truthIn(state).orders.some(({ status }) => status !== "DELIVERED")) {
      assert.equal(run.child.ended, undefined, run.lines.join("\n"));
      await sleep(200);
    }
    assert.equal(truthIn(state).orders.length, 1);
  }

  /** A stand-in for the metadata server; each token lasts this many seconds. */
  async function startMetadataServer(seconds: number): Promise<{ env: Record<string, string>; audiences: string[] }> {
    const audiences: string[] = [];
    const server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://metadata");
      response.setHeader("Metadata-Flavor", "Google");
      if (!pathname.endsWith("/identity")) return response.end("orchestrator@example.iam.gserviceaccount.com");
      const aud = searchParams.get("audience") ?? "";
      audiences.push(aud);
      const claims = { aud, exp: Math.floor(Date.now() / 1000) + seconds, number: audiences.length };
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
      return response.end(`${part({ alg: "none" })}.${part(claims)}.c2lnbmVk`);
    });
    servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const env = { GCE_METADATA_HOST: host, METADATA_SERVER_DETECTION: "assume-present", HOME: folder };
    return { env, audiences };
  }

  it("serves a run with the token and a client certificate, and its orders are delivered", async () => {
    const server = await startFood("--require-token-file", "token", "--client-ca", "callers.crt");
    const caller = ["--token-file", "token", ...MTLS];
    const { ended, said } = await order(server, caller);
    assert.equal(ended, "ended with status 0", said);
    await deliver(server, caller);
  });

  it("rejects customers without credentials, and names the missing one in one line", async () => {
    const server = await startFood("--require-token-file", "token", "--client-ca", "callers.crt");
    for (const [args, says] of [
      [["--token-file", "token"], /requires a client certificate( .*)?: set --client-certificate and --client-key$/],
      [MTLS, /requires a token \(.*\): give one with --token-file or --id-token-audience$/],
      [["--token-file", "wrong-token", ...MTLS], /rejects the token \(it says: the token is not the right one\)/],
      [
        ["--token-file", "token", "--client-certificate", "stranger.crt", "--client-key", "stranger.key"],
        /rejects the client certificate: set one that it accepts/,
      ],
      [["--client-certificate", "own.crt", "--client-key", "stranger.key"], /stranger\.key is not the private key of/],
      [["--client-certificate", "own.crt"], /needs both: --client-certificate and --client-key/],
      [["--client-key", "own.crt", "--client-certificate", "own.crt"], /has no private key .*, but a certificate/],
    ] as const) {
      const { ended, said } = await order(server, [...args]);
      assert.equal(ended, "ended with status 1", said);
      assert.match(said, says);
      assert.doesNotMatch(said, /\n/);
    }
    assert.deepEqual(truthIn(state).orders, []);
  });

  it("prevents npm start from starting without credentials", async () => {
    const server = await startFood("--require-token-file", "token", "--client-ca", "callers.crt");
    const to = ["--embedded", "--ports-from", "auto", "--server", server, "--certificate", "localhost.crt"];
    for (const [args, says] of [
      [[], /^The food service at \S+ requires a client certificate/],
      [MTLS, /^The food service at \S+ requires a token/],
      [["--token-file", "wrong-token", ...MTLS], /^The food service at \S+ rejects the token/],
    ] as const) {
      const run = await start("cli/start.ts", [...to, ...args]);
      assert.equal(await run.child.exited, "ended with status 1", run.lines.join("\n"));
      await run.said(says);
    }
  });

  it("serves a run with an ID token that is refreshed before it expires, and its orders are delivered", async () => {
    const server = await startFood("--require-id-token", AUDIENCE);
    const { env, audiences } = await startMetadataServer(20);
    const caller = ["--id-token-audience", AUDIENCE];
    const { ended, said } = await order(server, caller, env);
    assert.equal(ended, "ended with status 0", said);
    await deliver(server, caller, env);
    const before = audiences.length;
    // The poll goes on, and a token lasts shorter than this.
    while (audiences.length < before + 2) await sleep(200);
    assert.deepEqual([...new Set(audiences)], [AUDIENCE]);
    const log = programs.at(-1)?.lines.join("\n") ?? "";
    assert.doesNotMatch(log, /UNAUTHENTICATED|expired/);
  });

  it("leads to a message with the expected audience, or one that no token is available", async () => {
    const server = await startFood("--require-id-token", AUDIENCE);
    const { env } = await startMetadataServer(3_600);
    const other = await order(server, ["--id-token-audience", "https://other.example.com"], env);
    assert.match(other.said, /rejects the token \(it says: the token is for the audience https:\/\/other/);
    const none = { METADATA_SERVER_DETECTION: "none", HOME: folder, GOOGLE_APPLICATION_CREDENTIALS: "" };
    const nowhere = await order(server, ["--id-token-audience", AUDIENCE], none);
    assert.equal(nowhere.ended, "ended with status 1");
    assert.match(nowhere.said, /there is no Google ID token for https:\/\/food\.example\.com: /);
    assert.doesNotMatch(nowhere.said, /\n/);
  });

  it("may change its certificate while the system runs, if old and new are trusted", async () => {
    const [old, current] = [0, 1].map(() =>
      maker.issue({ subject: "localhost", hosts: ["localhost"], isAuthority: true }),
    );
    assert.ok(old && current);
    const serve = async (address: string, own: typeof old) => {
      writeFileSync(file("localhost.crt"), own.certificate);
      writeFileSync(file("localhost.key"), own.key);
      const files = ["--certificates", folder, "--state", state, "--speed", "100000"];
      const food = await start("services/food-service/main.ts", ["--address", address, ...files]);
      return { food, address: (await food.said(/ready on (localhost:\d+)/))[1] as string };
    };
    writeFileSync(file("both.crt"), old.certificate.trim() + current.certificate);
    const before = await serve(`localhost:${await freePort()}`, old);
    const trust = ["--server", before.address, "--certificate", "both.crt"];
    const to = ["--embedded", "--ports-from", "auto", "--interval", "1", "--data", join(folder, "data")];
    const run = await start("cli/start.ts", [...to, ...trust]);
    await run.said(/^Ready$/);
    const place = () => start("services/food-service/order.ts", ["--customer", "krithik", ...trust]);
    const delivered = async (count: number) => {
      const program = await place();
      assert.equal(await program.child.exited, "ended with status 0", program.lines.join("\n"));
      const isDone = () => truthIn(state).orders.filter(({ status }) => status === "DELIVERED").length === count;
      while (!isDone()) {
        assert.equal(run.child.ended, undefined, run.lines.join("\n"));
        await sleep(200);
      }
    };
    await delivered(1);
    await before.food.stop();
    await serve(before.address, current);
    await delivered(2);
    assert.notEqual(readFileSync(file("localhost.crt"), "utf8"), old.certificate);
  });
});
