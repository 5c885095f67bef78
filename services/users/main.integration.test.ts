/** The command line: what the client prints, how it ends, and what the servers say when they can't start. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { programArgs } from "../program-args.js";
import { startOrchestrator1 } from "./orchestrator1.js";
import { NO_LOG, startRecorded, until } from "./testing.js";

const MAIN = programArgs("services/users/main.ts");

/** Runs the program to its end. */
async function run(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [...MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const ended = once(child, "exit");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await ended;
  return { status: child.exitCode, stdout, stderr };
}

describe("the client's command line", () => {
  let chain: Awaited<ReturnType<typeof startRecorded>>;
  before(async () => {
    chain = await startRecorded();
  });
  after(() => chain.stop());

  it("prints the user as JSON", async () => {
    const { status, stdout, stderr } = await run(["client", "-n", "krithik", "--server", chain.orchestrator1.address]);
    assert.deepEqual(JSON.parse(stdout), { name: "krithik", class: "7", roll: 70 });
    assert.equal(stdout.trim().split("\n").length, 1);
    assert.equal(`${status}${stderr}`, "0");
  });

  it("prints the code and the data service's message in one line, and exits with status 1", async () => {
    const env = { USERS_ORCHESTRATOR1_ADDRESS: chain.orchestrator1.address };
    const { status, stdout, stderr } = await run(["client", "-n", "abc", "--trace", "from-the-client"], env);
    const message = 'The name "abc" is shorter than 6 characters: it has 3, counted in UTF-8 bytes';
    assert.equal(stderr, `INVALID_ARGUMENT: ${message}\n`);
    assert.equal(`${status}${stdout}`, "1");
    assert.equal(chain.log.calls("from-the-client").length, 3);
  });

  it("reports an unreachable server in one line", async () => {
    const { status, stderr } = await run(["client", "-n", "krithik", "--server", "127.0.0.1:1", "--timeout", "0.5"]);
    assert.equal(
      stderr,
      "UNAVAILABLE: Orchestrator 1 at 127.0.0.1:1 can't be reached: connect ECONNREFUSED 127.0.0.1:1\n",
    );
    assert.equal(status, 1);
  });

  it("asks for krithik if no name is given", async () => {
    const { stdout, stderr } = await run(["client", "--server", chain.orchestrator1.address]);
    assert.equal(stdout, '{"name":"krithik","class":"7","roll":70}\n', stderr);
  });

  it("waits for a server that is not up yet", async () => {
    // While this listens, the system gives the port to no one else on any address.
    const reserved = createServer().listen(0, "127.0.0.1");
    await once(reserved, "listening");
    const { port } = reserved.address() as { port: number };
    const address = `127.0.0.2:${port}`;
    const asking = run(["client", "--server", address, "--timeout", "600"]);
    // Time for the client to meet the missing server; what follows holds whether it has or not.
    await sleep(2_000);
    const late = await startOrchestrator1({
      address,
      orchestrator2: chain.orchestrator2.address,
      log: NO_LOG,
    });
    try {
      const { status, stdout, stderr } = await asking;
      assert.equal(stdout, '{"name":"krithik","class":"7","roll":70}\n', stderr);
      assert.equal(status, 0);
    } finally {
      await late.stop();
      reserved.close();
    }
  });

  it("names an invalid flag", async () => {
    assert.match((await run(["client", "-n", "krithik", "--deadline", "soon"])).stderr, /number from 0.001 to 3600/);
    assert.match((await run(["client", "-n", "krithik", "--trace", "a b"])).stderr, /printable ASCII/);
    const { status, stderr } = await run(["client", "-n", "krithik", "--server", "nowhere"]);
    assert.match(stderr, /^"nowhere" is not an address/);
    assert.equal(status, 1);
  });
});

describe("the servers' command lines", function () {
  this.timeout(60_000);
  it("have help with their addresses, defaults and environment variables", async () => {
    const expected = {
      chain: ["localhost:9000", "localhost:9001", "localhost:10000", "USERS_DATA_ADDRESS"],
      data: ["localhost:10000", "USERS_DATA_ADDRESS", "--delay"],
      orchestrator2: ["localhost:9001", "localhost:10000", "USERS_ORCHESTRATOR2_ADDRESS", "--tls-key"],
      orchestrator1: ["localhost:9000", "localhost:9001", "USERS_ORCHESTRATOR1_ADDRESS", "--ca"],
    };
    for (const [role, parts] of Object.entries(expected)) {
      const { status, stdout } = await run([role, "--help"]);
      assert.equal(status, 0);
      for (const part of parts) assert.ok(stdout.includes(part), `${role}: ${part}`);
    }
  });

  it("names a taken port and exits with status 1, alone and as the chain", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address() as { port: number };
    try {
      const alone = await run(["data", "--address", `127.0.0.1:${port}`]);
      assert.match(alone.stderr, new RegExp(`^The address 127.0.0.1:${port} is taken[^\\n]*\\n$`));
      assert.equal(alone.status, 1);
      const chain = await run(["chain", "--orchestrator2", `127.0.0.1:${port}`, "--data", "127.0.0.1:0"]);
      assert.match(chain.stderr, new RegExp(`The address 127.0.0.1:${port} is taken`));
      assert.equal(chain.status, 1);
    } finally {
      holder.close();
    }
  });

  it("rejects plaintext outside loopback with status 1", async () => {
    const { status, stderr } = await run(["data", "--address", "0.0.0.0:0"]);
    assert.match(stderr, /^Not listening on 0.0.0.0:0 in plaintext[^\n]*\n$/);
    assert.equal(status, 1);
  });

  for (const [signal, how] of [
    ["SIGINT", "stops in order with status 0"],
    ["SIGKILL", "logs nothing more, and its servers stop on their own"],
  ] as const) {
    it(`the chain on ${signal} ${how}; nothing is left listening`, async () => {
      const ports = ["--orchestrator1", "--orchestrator2", "--data"].flatMap((flag) => [flag, "127.0.0.1:0"]);
      const child = spawn(process.execPath, [...MAIN, "chain", ...ports], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const ended = once(child, "exit");
      const lines: Record<string, string>[] = [];
      createInterface(child.stdout).on("line", (line) => lines.push(JSON.parse(line)));
      await until("the chain is ready", () => lines.some(({ message }) => message === "ready"));
      const {
        orchestrator1 = "",
        orchestrator2 = "",
        data = "",
      } = lines.find(({ message }) => message === "ready") ?? {};
      const addresses = [orchestrator1, orchestrator2, data];
      for (const address of addresses) assert.ok(await isListening(address));
      child.kill(signal);
      await ended;
      assert.equal(child.exitCode, signal === "SIGINT" ? 0 : null);
      await until("every server has stopped", () => lines.filter(({ message }) => message === "stopped").length === 3);
      for (const address of addresses) assert.ok(!(await isListening(address)), address);
      const stopped = lines.filter(({ message }) => message === "stopped").map(({ server }) => server);
      if (signal === "SIGINT") assert.deepEqual(stopped, ["orchestrator 1", "orchestrator 2", "user data"]);
    });
  }
});

async function isListening(address: string): Promise<boolean> {
  const [host = "", port] = address.split(":");
  const socket = connect(Number(port), host);
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).then((listening) => {
    socket.destroy();
    return listening === true;
  });
}
