/** The system as a person starts and stops it: real processes, Ctrl-C at any moment, broken files, odd hosts, proxies and pipes. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { watch } from "../harness/process/child-process.js";
import { ROOT } from "../harness/root.js";

const MINUTE = 60_000;

interface Run {
  child: ChildProcess;
  output: { out: string; err: string };
  /** Resolves with its status or its signal when it has ended and its output is complete. */
  ended: Promise<number | string | null>;
  /** The command lines of all processes that it started and that are still there. */
  left(): string[];
}

describe("starting and stopping", function () {
  this.timeout(4 * MINUTE);
  const runs: Run[] = [];
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "start-"));
  });

  afterEach(async () => {
    for (const { child, ended } of runs.splice(0)) {
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(folder, { recursive: true });
  });

  /** Runs a command in a process group of its own, as a terminal does; everything that it starts has a mark. */
  function run(command: string[], env: NodeJS.ProcessEnv = {}, cwd = ROOT): Run {
    const mark = `START_STOP_TEST=${randomUUID()}`;
    const [name = "", value] = mark.split("=");
    const child = spawn(command[0] ?? "", command.slice(1), {
      cwd,
      detached: true,
      env: { ...process.env, [name]: value, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    // It ends with this process too.
    const unwatch = watch(String(child.pid));
    const output = { out: "", err: "" };
    child.stdout.on("data", (text) => (output.out += text));
    child.stderr.on("data", (text) => (output.err += text));
    const ended = once(child, "close").then(async ([status, signal]) => {
      await unwatch();
      return status ?? signal;
    });
    const left = () => {
      const all = execFileSync("ps", ["axeww", "-o", "command="], { encoding: "utf8", maxBuffer: 1 << 26 });
      return all.split("\n").filter((line) => line.includes(mark));
    };
    const started = { child, output, ended, left };
    runs.push(started);
    return started;
  }

  const npmStart = (...args: string[]) => ["npm", "run", "--silent", "start", "--", "--ports-from", "auto", ...args];
  const ctrlC = ({ child }: Run) => process.kill(-(child.pid ?? 0), "SIGINT");

  async function until(what: string, holds: () => boolean, details = () => ""): Promise<void> {
    for (const began = Date.now(); !holds(); await sleep(50)) {
      if (Date.now() - began > 5 * MINUTE) throw new Error(`timed out waiting until ${what}\n${details()}`);
    }
  }

  const untilShown = ({ child, output }: Run, text: string) =>
    until(
      `it shows "${text}"`,
      () => output.out.includes(text) || child.exitCode !== null,
      () => output.out + output.err,
    );

  async function expectGone({ left }: Run): Promise<void> {
    await until(
      "nothing is left running",
      () => left().length === 0,
      () => left().join("\n"),
    );
  }

  async function expectQuietEnd(stopped: Run, when: string): Promise<void> {
    const status = await stopped.ended;
    const shown = `${when}: status ${status}\n${stopped.output.out}${stopped.output.err}`;
    assert.ok([0, 130, "SIGINT"].includes(status ?? ""), shown);
    assert.doesNotMatch(stopped.output.err, /Error|\n\s+at /, shown);
    await expectGone(stopped);
  }

  it("Ctrl-C ends npm start at any moment of its start and leaves nothing running", async () => {
    for (let milliseconds = 150; milliseconds < 3_500; milliseconds += 500) {
      const started = run(npmStart("--embedded"));
      await sleep(milliseconds);
      ctrlC(started);
      await expectQuietEnd(started, `after ${milliseconds} ms`);
    }
  });

  it("Ctrl-C ends npm start at any moment of the Emulator Suite's start and leaves nothing running", async () => {
    for (const milliseconds of [0, 2_000, 6_000]) {
      const started = run(npmStart("--emulators"));
      await untilShown(started, "Starting the Emulator Suite");
      await sleep(milliseconds);
      ctrlC(started);
      await expectQuietEnd(started, `${milliseconds} ms after the suite's start`);
    }
  });

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    it(`it stops when npm alone gets ${signal}`, async () => {
      const started = run(npmStart("--embedded"));
      await untilShown(started, "Stop with Ctrl-C");
      started.child.kill(signal);
      await expectGone(started);
    });
  }

  it("it runs on a host whose localhost is only ::1", async () => {
    const hosts = join(folder, "hosts.cjs");
    writeFileSync(
      hosts,
      `const dns = require("node:dns");
       const only = (host) => (host === "localhost" ? "::1" : host);
       const { lookup } = dns;
       dns.lookup = (host, ...rest) => lookup(only(host), ...rest);
       dns.promises.lookup = ((real) => (host, ...rest) => real(only(host), ...rest))(dns.promises.lookup);
       require("node:module").syncBuiltinESMExports();`,
    );
    const options = `${process.env.NODE_OPTIONS ?? ""} --require ${hosts}`;
    const started = run(npmStart("--embedded", "--interval", "0.5"), { NODE_OPTIONS: options });
    await untilShown(started, "Stop with Ctrl-C");
    await placeAnOrder(started, { NODE_OPTIONS: options });
  });

  /** Runs the command that the system printed for placing an order, and waits until the order is cooked. */
  async function placeAnOrder(started: Run, env: NodeJS.ProcessEnv = {}, cwd = ROOT): Promise<void> {
    const command = /^Place an order: +(.*)$/m.exec(started.output.out)?.[1];
    assert.ok(command, started.output.out + started.output.err);
    const order = run(["sh", "-c", command], env, cwd);
    assert.equal(await order.ended, 0, order.output.err);
    await until(
      "the order is cooked",
      () => /Orders: .*\b1 (in preparation|in flight|delivered)/.test(started.output.out),
      () => started.output.out,
    );
  }

  it("ends without an error when the reader of its output does, and leaves nothing running", async () => {
    const started = run(["sh", "-c", `${npmStart("--embedded").join(" ")} | head -3`]);
    await expectQuietEnd(started, "head -3");
    assert.equal(started.output.out.trim().split("\n").length, 3);
    assert.equal(started.output.err, "");
  });

  it("ends when the reader of its order names does", async () => {
    const started = run(npmStart("--embedded"));
    await untilShown(started, "Stop with Ctrl-C");
    const command = /^Place an order: +npm (.*)$/m.exec(started.output.out)?.[1];
    const placing = run(["sh", "-c", `npm --silent ${command} --count 300 | head -1`]);
    assert.equal(await placing.ended, 0);
    assert.match(placing.output.out, /^orders\/\S+\n$/);
    assert.equal(placing.output.err, "");
  });

  describe("with a proxy that nothing may reach, and in a folder with spaces, quotes and non-ASCII letters in its name", () => {
    let proxy: Server;
    const asked: string[] = [];
    let copy: string;

    before(async () => {
      proxy = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.on("data", (data) => asked.push(data.toString().split("\r\n")[0] ?? ""));
        socket.end("HTTP/1.1 503 Not for you\r\n\r\n");
      }).listen(0, "127.0.0.1");
      await once(proxy, "listening");
      mkdirSync(join(ROOT, ".local"), { recursive: true });
      copy = join(mkdtempSync(join(ROOT, ".local", "copy-")), `Anna's "food" – ünï`);
      const files = execFileSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8" }).split("\0");
      for (const file of files.filter((name) => name !== "" && existsSync(join(ROOT, name)))) {
        cpSync(join(ROOT, file), join(copy, file), { preserveTimestamps: true });
      }
      for (const part of ["node_modules", "functions/node_modules"]) {
        execFileSync("cp", ["-RPl", join(ROOT, part), join(copy, part)]);
      }
    });

    after(() => {
      proxy.close();
      rmSync(join(copy, ".."), { recursive: true });
    });

    const startCopy = (env: NodeJS.ProcessEnv, ...args: string[]) =>
      run(["npm", "--prefix", copy, ...npmStart(...args).slice(1)], env);

    for (const runner of ["--embedded", "--emulators"]) {
      it(`runs, and the command that it prints places an order (${runner})`, async () => {
        const { port } = proxy.address() as { port: number };
        const names = ["http_proxy", "https_proxy", "all_proxy", "grpc_proxy"];
        const proxies = [...names, ...names.slice(0, 3).map((name) => name.toUpperCase())];
        const env = Object.fromEntries(proxies.map((name) => [name, `http://127.0.0.1:${port}`]));
        const started = startCopy({ ...env, no_proxy: "", NODE_USE_ENV_PROXY: "1" }, runner, "--interval", "0.5");
        await untilShown(started, "Stop with Ctrl-C");
        await placeAnOrder(started, env, copy);
        ctrlC(started);
        await expectQuietEnd(started, "with a proxy in an odd folder");
        assert.deepEqual(asked, []);
      });
    }

    it("says why it does not start if its certificate is broken, and leaves nothing running", async () => {
      const certificates = join(copy, ".local", "food-service");
      for (const name of ["localhost.crt", "localhost.key"]) writeFileSync(join(certificates, name), "broken");
      const started = startCopy({}, "--embedded");
      assert.equal(await started.ended, 1);
      assert.match(started.output.err, /certificate .*localhost\.crt/);
      assert.doesNotMatch(started.output.err, /\n\s+at /);
      await expectGone(started);
    });
  });
});
