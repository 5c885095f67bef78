import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const RUN = fileURLToPath(new URL("run.mjs", import.meta.url));
const TSX = fileURLToPath(new URL("../node_modules/tsx", import.meta.url));

/**
 * Stands for npm: notes each call, and for `ci` makes node_modules as npm does, its list of what is there last. It leaves a
 * file while it is at work and fails where it finds another's.
 */
const NPM = `#!/usr/bin/env node
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
const args = process.argv.slice(2);
const folder = args[args.indexOf("--prefix") + 1];
appendFileSync("calls", args.includes("ci") ? "ci " + (folder === process.cwd() ? "root" : "functions") + "\\n" : "build\\n");
if (existsSync("broken")) { console.error(readFileSync("broken", "utf8")); process.exit(7); }
if (existsSync(join(folder, "busy"))) { console.error("two at once"); process.exit(8); }
writeFileSync(join(folder, "busy"), "");
await new Promise((resolve) => setTimeout(resolve, 300));
if (args.includes("ci")) {
  rmSync(join(folder, "node_modules"), { recursive: true, force: true });
  mkdirSync(join(folder, "node_modules"));
  if (folder === process.cwd()) symlinkSync(${JSON.stringify(TSX)}, join(folder, "node_modules", "tsx"));
  writeFileSync(join(folder, "node_modules", ".package-lock.json"), readFileSync(join(folder, "package-lock.json")));
} else {
  mkdirSync("functions/lib", { recursive: true });
  writeFileSync("functions/lib/index.js", "");
}
rmSync(join(folder, "busy"));
`;

const lockFile = (version: string) =>
  JSON.stringify({
    packages: {
      "": { name: "project" },
      "node_modules/a": { version },
      "node_modules/for-another-machine": { version, optional: true },
    },
  });

describe("running a program from a fresh clone", function () {
  this.timeout(30_000);
  let root: string;
  const started: { child: ChildProcess; ended: Promise<unknown> }[] = [];

  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "clone-")));
    for (const folder of ["local", "bin", "functions/src"]) mkdirSync(join(root, folder), { recursive: true });
    copyFileSync(RUN, join(root, "local", "run.mjs"));
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
    for (const part of [path, join(root, "functions", "src"), join(root, "functions", "package.json")]) {
      utimesSync(part, new Date(), new Date(Date.now() - ageSeconds * 1000));
    }
  };
  const program = (text: string) =>
    writeFileSync(join(root, "local", "program.ts"), `${text}\nexport const typed: number = 1;\n`);
  const calls = () =>
    existsSync(join(root, "calls")) ? readFileSync(join(root, "calls"), "utf8").trim().split("\n") : [];
  const forgetCalls = () => rmSync(join(root, "calls"), { force: true });

  function start(...args: string[]) {
    const env = { ...process.env, PATH: `${join(root, "bin")}:${process.env.PATH}` };
    const child = spawn(process.execPath, ["local/run.mjs", "local/program.ts", ...args], { cwd: root, env });
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
    assert.match(err, /^Installing what the project needs .*\nInstalled in \d s\nInstalling what the functions need/);
    assert.ok(err.trim().split("\n").length <= 4, err);
  });

  it("does nothing a second time", async () => {
    await start().ended;
    forgetCalls();
    const { out, err } = await start().ended;
    assert.deepEqual(calls(), []);
    assert.equal(err, "");
    assert.equal(out, "ran []\n");
  });

  it("installs again where a lock file changed, and only there", async () => {
    await start().ended;
    forgetCalls();
    writeFileSync(join(root, "functions", "package-lock.json"), lockFile("1.0.1"));
    await start().ended;
    assert.equal(calls()[0], "ci functions");
    assert.ok(!calls().includes("ci root"));
  });

  it("is content with what somebody installed by hand, packages for other machines missing", async () => {
    for (const folder of [root, join(root, "functions")]) {
      mkdirSync(join(folder, "node_modules"));
      const there = { packages: { "node_modules/a": { version: "1.0.0" } } };
      writeFileSync(join(folder, "node_modules", ".package-lock.json"), JSON.stringify(there));
    }
    symlinkSync(TSX, join(root, "node_modules", "tsx"));
    const { err } = await start().ended;
    assert.deepEqual(calls(), ["build"], err);
  });

  it("installs again where an install was broken off", async () => {
    await start().ended;
    forgetCalls();
    rmSync(join(root, "node_modules", ".package-lock.json"));
    await start().ended;
    assert.deepEqual(calls(), ["ci root"]);
  });

  it("builds again where a source changed", async () => {
    await start().ended;
    forgetCalls();
    source("export const changed = 1;", -10);
    await start().ended;
    assert.deepEqual(calls(), ["build"]);
  });

  it("does everything once where two start at the same moment", async () => {
    const [one, other] = await Promise.all([start().ended, start().ended]);
    assert.equal(one.out, "ran []\n", one.err);
    assert.equal(other.out, "ran []\n", other.err);
    assert.deepEqual(calls(), ["ci root", "ci functions", "build"]);
    assert.match(one.err + other.err, /Waiting for another run that is installing/);
  });

  it("takes over from a run that was killed while it installed", async () => {
    const lock = join(root, ".local", "install-project.lock");
    mkdirSync(lock, { recursive: true });
    utimesSync(lock, new Date(), new Date(Date.now() - 60_000));
    const { out, err } = await start().ended;
    assert.equal(out, "ran []\n", err);
  });

  it("shows the end of what npm said where it fails, and no stack", async () => {
    writeFileSync(join(root, "broken"), `${"noise\n".repeat(100)}npm error ENOSPC`);
    const { status, out, err } = await start().ended;
    assert.equal(status, 1);
    assert.equal(out, "");
    assert.match(err, /Installing failed \(npm ended with status 7\):\n(noise\n){19}npm error ENOSPC\n$/);
  });

  it("lets signals and the status through to the program", async () => {
    program('process.on("SIGTERM", () => process.exit(9)); console.log("ready"); setInterval(() => {}, 1000);');
    const { child, output, ended } = start();
    while (!output.out.includes("ready")) await once(child.stdout, "data");
    child.kill("SIGTERM");
    assert.equal((await ended).status, 9);
  });

  it("lets a failure of the program be seen", async () => {
    program('throw new Error("the reason");');
    const { status, err } = await start().ended;
    assert.equal(status, 1);
    assert.match(err, /Error: the reason/);
  });
});
