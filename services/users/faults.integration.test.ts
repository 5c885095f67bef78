/** How the servers, each a process, behave when they are stopped or killed while calls are in flight. */
import assert from "node:assert/strict";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MethodDefinition, ServiceError } from "@grpc/grpc-js";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { service as health } from "grpc-health-check";
import type { User } from "../../functions/src/generated/user/user.js";
import {
  MockUserDataServiceService,
  Orchestrator1ServiceService,
  Orchestrator2ServiceService,
} from "../../functions/src/generated/user/user.js";
import { freePort } from "../../harness/process/free-ports.js";
import type { Chain, Role, ServerProcess } from "./chain.js";
import { startChain, startProcess } from "./chain.js";
import type { Line } from "./testing.js";
import { ANY_PORT, RecordedLog, until } from "./testing.js";

type Method = Pick<MethodDefinition<User, User>, "path" | "requestSerialize" | "responseDeserialize">;

const METHODS: Record<Role, Method> = {
  data: MockUserDataServiceService.getMockUserData,
  orchestrator2: Orchestrator2ServiceService.getUser,
  orchestrator1: Orchestrator1ServiceService.getUserByName,
};

type Outcome = { trace: string; code: string };

/** For a call that must succeed, however busy the machine is. */
const PATIENCE_MS = 120_000;

let calls = 0;

/** One call, without waiting for the server; resolves with how it ended. */
function ask(client: Client, role: Role, deadlineMilliseconds: number): Promise<Outcome> {
  const { path, requestSerialize, responseDeserialize } = METHODS[role];
  const trace = `call-${++calls}`;
  const metadata = new Metadata();
  metadata.set("x-trace-id", trace);
  const request = { name: "krithik", class: "", roll: 0 };
  return new Promise((resolve) => {
    const answered = (error: ServiceError | null, user?: User) => {
      const code = error === null && user?.roll === 70 ? "OK" : (status[error?.code ?? status.DATA_LOSS] ?? "none");
      resolve({ trace, code });
    };
    const options = { deadline: Date.now() + deadlineMilliseconds };
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, answered);
  });
}

/** Resolves when the server has taken every call that went before on this connection: it reads them in order. */
function everythingTaken(client: Client): Promise<void> {
  const check = health.Check as MethodDefinition<object, object>;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(check.path, check.requestSerialize, check.responseDeserialize, {}, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

describe("a stop under load", function () {
  this.timeout(60_000);
  let folder: string;
  let chain: Chain;
  let client: Client | undefined;
  const standalone: ServerProcess[] = [];
  const logFile = () => join(folder, "log.jsonl");
  const logged = (): Line[] =>
    readFileSync(logFile(), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);

  async function start(delay: number): Promise<void> {
    folder = mkdtempSync(join(tmpdir(), "users-faults-"));
    chain = await startChain({
      // Started again, orchestrator 2 needs the same port.
      addresses: { data: ANY_PORT, orchestrator2: `127.0.0.1:${await freePort()}`, orchestrator1: ANY_PORT },
      flags: { all: [], data: ["--delay", String(delay)] },
      log: new RecordedLog().of("chain"),
      output: openSync(logFile(), "a"),
    });
  }
  afterEach(async () => {
    client?.close();
    client = undefined;
    for (const server of standalone.splice(0)) {
      server.signal("SIGKILL");
      await server.ended;
    }
    await chain?.stop();
    rmSync(folder, { recursive: true });
  });

  for (const role of ["orchestrator1", "orchestrator2", "data"] as const) {
    it(`SIGTERM to ${role} loses none of 200 calls in flight, rejects new ones, and is logged`, async () => {
      await start(1_000);
      client = new Client(chain.addresses[role], credentials.createInsecure());
      const asked = Array.from({ length: 200 }, () => ask(client as Client, role, PATIENCE_MS));
      await everythingTaken(client);
      process.kill(chain.pid(role), "SIGTERM");
      await until("it has said that it stops", () =>
        logged().some(({ message }) => /^SIGTERM: no new calls/.test(message)),
      );
      const other = new Client(chain.addresses[role], credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
      });
      const late = await ask(other, role, PATIENCE_MS);
      other.close();
      assert.equal(late.code, "UNAVAILABLE");
      const codes = (await Promise.all(asked)).map(({ code }) => code);
      assert.equal(codes.filter((code) => code === "OK").length, 200);
      await until("it has said that it has stopped", () => logged().some(({ message }) => message === "stopped"));
    });
  }

  it("stopping the whole chain loses none of 200 calls in flight", async () => {
    await start(500);
    client = new Client(chain.addresses.orchestrator1, credentials.createInsecure());
    const asked = Array.from({ length: 200 }, () => ask(client as Client, "orchestrator1", PATIENCE_MS));
    await everythingTaken(client);
    await chain.stop();
    for (const { code } of await Promise.all(asked)) assert.equal(code, "OK");
  });

  it("answers every call that orchestrator 1 had accepted by SIGTERM, while more calls arrive", async () => {
    await start(5);
    client = new Client(chain.addresses.orchestrator1, credentials.createInsecure());
    const outcomes: Outcome[] = [];
    let stopping = false;
    const one = async () => {
      while (!stopping || outcomes.at(-1)?.code === "OK")
        outcomes.push(await ask(client as Client, "orchestrator1", PATIENCE_MS));
    };
    const load = Promise.all(Array.from({ length: 64 }, one));
    await until("calls flow", () => outcomes.length > 300);
    process.kill(chain.pid("orchestrator1"), "SIGTERM");
    stopping = true;
    await load;
    const taken = logged().filter(({ server, trace }) => server === "orchestrator 1" && trace !== undefined);
    const ended = new Map(outcomes.map(({ trace, code }) => [trace, code]));
    for (const { trace = "", code } of taken) assert.equal(`${code} ${ended.get(trace)}`, "OK OK");
    for (const { code } of outcomes) assert.ok(code === "OK" || code === "UNAVAILABLE", code);
  });

  it("a call that takes too long is aborted 5 seconds after SIGTERM", async () => {
    await start(300_000);
    client = new Client(chain.addresses.data, credentials.createInsecure());
    const asked = ask(client, "data", 300_000);
    await everythingTaken(client);
    const started = Date.now();
    process.kill(chain.pid("data"), "SIGTERM");
    const { code } = await asked;
    const took = Date.now() - started;
    assert.ok(code === "UNAVAILABLE" || code === "CANCELLED", code);
    assert.ok(took > 4_500, `${took} ms`);
    await until("the log says it", () => logged().some(({ message }) => /aborting/.test(message)));
  });

  it("every call ends with OK or UNAVAILABLE and the chain recovers when orchestrator 2 is killed under load", async () => {
    await start(0);
    client = new Client(chain.addresses.orchestrator1, credentials.createInsecure());
    const outcomes: Outcome[] = [];
    let enough = false;
    const one = async () => {
      while (!enough) outcomes.push(await ask(client as Client, "orchestrator1", PATIENCE_MS));
    };
    const load = Promise.all(Array.from({ length: 32 }, one));
    await until("calls flow", () => outcomes.length > 200);
    const killed = chain.pid("orchestrator2");
    process.kill(killed, "SIGKILL");
    await until("orchestrator 2 runs again", () => chain.pid("orchestrator2") !== killed);
    const before = outcomes.length;
    await until("calls flow again", () => outcomes.length > before + 500);
    enough = true;
    await load;
    for (const { code } of outcomes) assert.ok(code === "OK" || code === "UNAVAILABLE", code);
    for (const { code } of outcomes.slice(-100)) assert.equal(code, "OK");
  });

  it("while orchestrator 2 stays dead, every call under load ends with UNAVAILABLE within its deadline", async () => {
    await start(0);
    const data = ["--data", chain.addresses.data];
    const dead = await startProcess("orchestrator2", ["--address", `127.0.0.1:${await freePort()}`, ...data], "ignore");
    standalone.push(dead);
    const front = await startProcess(
      "orchestrator1",
      ["--address", ANY_PORT, "--orchestrator2", dead.address],
      "ignore",
    );
    standalone.push(front);
    client = new Client(front.address, credentials.createInsecure());
    assert.equal((await ask(client, "orchestrator1", PATIENCE_MS)).code, "OK");
    dead.signal("SIGKILL");
    await dead.ended;
    // After the deadline it would be DEADLINE_EXCEEDED.
    const outcomes = await Promise.all(
      Array.from({ length: 64 }, () => ask(client as Client, "orchestrator1", 10_000)),
    );
    for (const { code } of outcomes) assert.equal(code, "UNAVAILABLE");
    standalone.push(await startProcess("orchestrator2", ["--address", dead.address, ...data], "ignore"));
    assert.equal((await ask(client, "orchestrator1", PATIENCE_MS)).code, "OK");
  });
});
