import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const TSX = fileURLToPath(new URL("../node_modules/tsx", import.meta.url));

/** Stands at the beginning of both: notes the call, leaves a file while it is at work, and fails if it finds another's. */
const WORK = (call: string) => `
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
appendFileSync("calls", ${call} + "\\n");
if (existsSync("broken")) { console.error(readFileSync("broken", "utf8")); process.exit(7); }
if (existsSync("busy")) { console.error("two at once"); process.exit(8); }
writeFileSync("busy", String(process.pid));
do await sleep(50);
while (existsSync("slow"));
rmSync("busy");
`;

/** Stands in for npm: makes node_modules as `npm ci` does, with its list of packages last. The package of Node.js contains ours. */
const NPM = `#!/usr/bin/env node
const args = process.argv.slice(2);
const folder = args[args.indexOf("--prefix") + 1];
if (folder.includes("installing-node-")) {
  const root = join(folder, "../..");
  appendFileSync(join(root, "calls"), "ci node\\n");
  if (existsSync(join(root, "broken"))) process.exit(7);
  const bin = join(folder, "node_modules/node-for-this-machine/bin");
  mkdirSync(bin, { recursive: true });
  symlinkSync(${JSON.stringify(process.execPath)}, join(bin, "node"));
  process.exit();
}
const name = folder === process.cwd() ? "root" : "functions";
${WORK('"ci " + name')}
rmSync(join(folder, "node_modules"), { recursive: true, force: true });
mkdirSync(join(folder, "node_modules"));
const leavesOut = process.env.NODE_ENV === "production" && !args.includes("--include=dev");
if (name === "root" && !leavesOut) symlinkSync(${JSON.stringify(TSX)}, join(folder, "node_modules", "tsx"));
writeFileSync(join(folder, "node_modules", ".package-lock.json"), readFileSync(join(folder, "package-lock.json")));
console.error("added 1 package");
`;

/** Stands in for an older Node.js: ours, which reports an older version. */
const OLD_NODE = (preload: string) => `#!/bin/sh
exec ${JSON.stringify(process.execPath)} --require ${JSON.stringify(preload)} "$@"
`;

const BUILD = `
${WORK('"build"')}
mkdirSync("functions/lib", { recursive: true });
writeFileSync("functions/lib/index.js", "");
`;

const lockFile = (version: string) =>
  JSON.stringify({
    packages: {
      "": { name: "project" },
      "node_modules/a": { version },
      "node_modules/for-another-machine": { version, optional: true },
    },
  });

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(20);
}

describe("running a program from a fresh clone", function () {
  this.timeout(30_000);
  let root: string;
  const started: { child: ChildProcess; ended: Promise<unknown> }[] = [];

  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "clone-")));
    for (const folder of ["local", "harness/node", "bin", "functions/src"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    for (const name of ["run", "run.mjs", "guards.mjs", "programs.mjs"]) {
      copyFileSync(join(HERE, name), join(root, "local", name));
    }
    for (const name of ["find-node.mjs", "install-node.mjs", "package.json", "package-lock.json"]) {
      copyFileSync(join(HERE, "../harness/node", name), join(root, "harness/node", name));
    }
    writeFileSync(join(root, "functions", "build.mjs"), BUILD);
    writeFileSync(join(root, "bin", "npm"), NPM);
    chmodSync(join(root, "bin", "npm"), 0o755);
    writeFileSync(join(root, "package-lock.json"), lockFile("1.0.0"));
    writeFileSync(join(root, "functions", "package-lock.json"), lockFile("1.0.0"));
    writeFileSync(join(root, "package.json"), '{"type":"module"}');
    writeFileSync(join(root, "functions", "package.json"), "{}");
    source("export {};");
    program('console.log("ran", JSON.stringify(process.argv.slice(2)));');
  });

  afterEach(async () => {
    for (const { child, ended } of started.splice(0)) {
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(root, { recursive: true });
  });

  const source = (text: string, ageSeconds = 10) => {
    const path = join(root, "functions", "src", "index.ts");
    writeFileSync(path, text);
    for (const part of [path, ...["src", "package.json", "build.mjs"].map((name) => join(root, "functions", name))]) {
      utimesSync(part, new Date(), new Date(Date.now() - ageSeconds * 1000));
    }
  };
  const program = (text: string) =>
    writeFileSync(join(root, "local", "program.ts"), `${text}\nexport const typed: number = 1;\n`);
  const calls = () =>
    existsSync(join(root, "calls")) ? readFileSync(join(root, "calls"), "utf8").trim().split("\n") : [];
  const forgetCalls = () => rmSync(join(root, "calls"), { force: true });

  const start = (...args: string[]) => startWith({}, ...args);
  const startWith = (variables: NodeJS.ProcessEnv, ...args: string[]) =>
    startCommand(process.execPath, ["local/run.mjs", "local/program.ts", ...args], variables);

  /** Makes the first `node` on the PATH ours, or one that says that it is older. */
  function placeNode(version: "new" | "old") {
    const node = join(root, "bin", "node");
    if (version === "new") return symlinkSync(process.execPath, node);
    const preload = join(root, "old-node.cjs");
    writeFileSync(
      preload,
      'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });',
    );
    writeFileSync(node, OLD_NODE(preload), { mode: 0o755 });
  }

  /** Starts the program as npm's scripts do. */
  const startFromShell = () => startCommand("sh", ["local/run", "local/program.ts"]);

  function startCommand(command: string, args: string[], variables: NodeJS.ProcessEnv = {}) {
    const env = { ...process.env, PATH: `${join(root, "bin")}:${process.env.PATH}`, ...variables };
    const child = spawn(command, args, { cwd: root, env });
    const output = { out: "", err: "" };
    child.stdout.on("data", (text) => {
      output.out += text;
    });
    child.stderr.on("data", (text) => {
      output.err += text;
    });
    const ended = once(child, "close").then(([status, signal]) => ({ status, signal, ...output }));
    started.push({ child, ended });
    return { child, output, ended };
  }

  it("installs both parts, builds and runs the program with its arguments", async () => {
    const { status, out, err } = await start("--json", "a b").ended;
    assert.equal(out, 'ran ["--json","a b"]\n', "stdout is the program's own");
    assert.equal(status, 0, err);
    assert.deepEqual(calls(), ["ci root", "ci functions", "build"]);
    assert.equal(
      err.replace(/\d+ s$/m, "0 s"),
      "Installing what the project needs\nadded 1 package\n" +
        "Installing what the functions need\nadded 1 package\nInstalled in 0 s\n",
    );
  });

  describe("on any Node.js version", () => {
    const IS_OLD = 'process.versions.node.startsWith("20.")';
    const installed = () => readdirSync(join(root, ".local")).filter((name) => name.includes("node-"));

    beforeEach(() => {
      program(`
        import { execFileSync } from "node:child_process";
        const child = execFileSync("node", ["-p", ${JSON.stringify(IS_OLD)}], { encoding: "utf8" }).trim();
        console.log("old", ${IS_OLD}, child);
      `);
    });

    it("runs on the machine's own Node.js if it is new enough", async () => {
      placeNode("new");
      const { out, err } = await startFromShell().ended;
      assert.equal(out, "old false false\n", err);
      assert.deepEqual(calls(), ["ci root", "ci functions", "build"]);
    });

    it("prints no warning about experimental features of Node.js", async () => {
      placeNode("new");
      program('process.emitWarning("SQLite is an experimental feature", "ExperimentalWarning");');
      await startFromShell().ended;
      const { status, err } = await startFromShell().ended;
      assert.deepEqual([status, err], [0, ""]);
    });

    it("runs itself and its children on an installed Node.js if the machine's own is older, and installs it once", async () => {
      placeNode("old");
      const first = await startFromShell().ended;
      assert.equal(first.out, "old false false\n", first.err);
      assert.match(first.err, /^Installing Node\.js 24, since this machine has 20\.20\.2$/m);
      assert.deepEqual(calls(), ["ci node", "ci root", "ci functions", "build"]);
      forgetCalls();
      const second = await startFromShell().ended;
      assert.deepEqual([second.out, second.err], ["old false false\n", ""]);
      assert.deepEqual(calls(), []);
    });

    it("installs Node.js once if two start at the same time", async () => {
      placeNode("old");
      const [one, other] = [startFromShell(), startFromShell()];
      for (const { out, err } of [await one.ended, await other.ended]) assert.equal(out, "old false false\n", err);
      assert.equal(installed().length, 1, installed().join());
    });

    it("says what to do if that Node.js can't be installed, and installs it the next time", async () => {
      placeNode("old");
      writeFileSync(join(root, "broken"), "");
      const { status, out, err } = await startFromShell().ended;
      assert.deepEqual([status, out], [1, ""]);
      assert.match(
        err,
        /Node\.js 24 can't be installed: .*\nInstall Node\.js 24 or newer yourself: see https:\/\/nodejs\.org\.\n$/s,
      );
      assert.deepEqual(installed(), []);
      rmSync(join(root, "broken"));
      const next = await startFromShell().ended;
      assert.equal(next.out, "old false false\n", next.err);
    });

    it("says how to start a program if an older Node.js runs it directly", async () => {
      placeNode("old");
      const { status, err } = await startCommand(join(root, "bin", "node"), ["local/run.mjs", "local/program.ts"])
        .ended;
      assert.equal(status, 1);
      assert.equal(
        err,
        "This needs Node.js 24 or newer; this is 20.20.2. npm's scripts, such as `npm start`, and `sh local/run` find it.\n",
      );
    });
  });

  it("installs and builds nothing the second time", async () => {
    await start().ended;
    forgetCalls();
    const { out, err } = await start().ended;
    assert.deepEqual(calls(), []);
    assert.equal(err, "");
    assert.equal(out, "ran []\n");
  });

  it("installs again if a lock file changed, and only the part with that file", async () => {
    await start().ended;
    forgetCalls();
    writeFileSync(join(root, "functions", "package-lock.json"), lockFile("1.0.1"));
    await start().ended;
    assert.equal(calls()[0], "ci functions");
    assert.ok(!calls().includes("ci root"));
  });

  it("accepts packages installed by hand, even if those for other machines are missing", async () => {
    for (const folder of [root, join(root, "functions")]) {
      mkdirSync(join(folder, "node_modules"));
      const there = { packages: { "node_modules/a": { version: "1.0.0" } } };
      writeFileSync(join(folder, "node_modules", ".package-lock.json"), JSON.stringify(there));
    }
    symlinkSync(TSX, join(root, "node_modules", "tsx"));
    const { err } = await start().ended;
    assert.deepEqual(calls(), ["build"], err);
  });

  it("installs again if an install was interrupted", async () => {
    await start().ended;
    forgetCalls();
    rmSync(join(root, "node_modules", ".package-lock.json"));
    await start().ended;
    assert.deepEqual(calls(), ["ci root"]);
  });

  it("builds again if a source changed", async () => {
    await start().ended;
    forgetCalls();
    source("export const changed = 1;", -10);
    await start().ended;
    assert.deepEqual(calls(), ["build"]);
  });

  it("installs and builds once if two start at the same time", async () => {
    writeFileSync(join(root, "slow"), "");
    const [first, second] = [start(), start()];
    await until(() => /Waiting for another run/.test(first.output.err + second.output.err));
    rmSync(join(root, "slow"));
    const [one, other] = await Promise.all([first.ended, second.ended]);
    assert.equal(one.out, "ran []\n", one.err);
    assert.equal(other.out, "ran []\n", other.err);
    assert.deepEqual(calls(), ["ci root", "ci functions", "build"]);
    assert.match(one.err + other.err, /Waiting for another run that is installing/);
  });

  it("takes over from a run that was killed while it installed", async () => {
    const lock = join(root, ".local", "installing.lock");
    mkdirSync(lock, { recursive: true });
    utimesSync(lock, new Date(), new Date(Date.now() - 60_000));
    const { out, err } = await start().ended;
    assert.equal(out, "ran []\n", err);
  });

  it("shows npm's output if it fails, without a stack trace", async () => {
    writeFileSync(join(root, "broken"), "npm error ENOSPC");
    const { status, out, err } = await start().ended;
    assert.equal(status, 1);
    assert.equal(out, "");
    assert.match(err, /npm error ENOSPC\nInstalling failed \(npm ended with 7; its output is above\)\.\n$/);
  });

  it("installs development dependencies even if NODE_ENV is production", async () => {
    const { status, out, err } = await startWith({ NODE_ENV: "production" }).ended;
    assert.equal(out, "ran []\n", err);
    assert.equal(status, 0);
  });

  it("ends an install that a signal interrupts, and leaves no lock", async () => {
    writeFileSync(join(root, "slow"), "");
    const { child, ended } = start();
    const busy = join(root, "busy");
    await until(() => existsSync(busy) && readFileSync(busy, "utf8") !== "");
    const npm = Number(readFileSync(busy, "utf8"));
    child.kill("SIGINT");
    assert.equal((await ended).status, 130);
    assert.throws(() => process.kill(npm, 0), /ESRCH/);
    assert.ok(!existsSync(join(root, ".local", "installing.lock")));
  });

  it("says so if the program waits for something that can no longer happen", async () => {
    program("await new Promise(() => {});");
    const { status, err } = await start().ended;
    assert.equal(status, 1);
    assert.match(err, /\nStopped: something that the program waited for can no longer happen\./);
  });

  it("ends silently when its output is closed", async () => {
    program("for (let line = 0; ; line++) { console.log(line); await new Promise((r) => setTimeout(r, 1)); }");
    const { child, output, ended } = start();
    while (output.out === "") await once(child.stdout, "data");
    const before = output.err;
    child.stdout.destroy();
    const { status, signal, err } = await ended;
    assert.deepEqual([status, signal, err], [0, null, before]);
  });

  it("lets a program shut down cleanly when its output is closed", async () => {
    program(`
      import { writeFileSync } from "node:fs";
      const writing = setInterval(() => console.log("line"), 1);
      process.on("SIGTERM", () => { clearInterval(writing); setTimeout(() => { writeFileSync("stopped", ""); process.exit(130); }, 50); });
    `);
    const { child, output, ended } = start();
    while (output.out === "") await once(child.stdout, "data");
    child.stdout.destroy();
    assert.equal((await ended).status, 0);
    assert.ok(existsSync(join(root, "stopped")));
  });

  it("adds the local addresses to no_proxy, whatever its value", async () => {
    program("console.log(process.env.no_proxy, process.env.NO_PROXY, process.env.no_grpc_proxy);");
    const { out } = await startWith({ no_proxy: "", NO_PROXY: "example.com", no_grpc_proxy: "example.org" }).ended;
    const here = "localhost,127.0.0.1,::1,[::1]";
    assert.equal(out, `${here} example.com,${here} example.org,${here}\n`);
  });

  it("passes on signals to the program, and its exit status", async () => {
    program('process.on("SIGTERM", () => process.exit(9)); console.log("ready"); setInterval(() => {}, 1000);');
    const { child, output, ended } = start();
    while (!output.out.includes("ready")) await once(child.stdout, "data");
    child.kill("SIGTERM");
    assert.equal((await ended).status, 9);
  });

  it("shows a failure of the program", async () => {
    program('throw new Error("the reason");');
    const { status, err } = await start().ended;
    assert.equal(status, 1);
    assert.match(err, /Error: the reason/);
  });
});
