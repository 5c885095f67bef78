import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Child, startChild, watch } from "./child-process.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Prints the pid of a child of its own, then does what the code says. */
const parent = (code: string) => [
  "-e",
  `const child = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
   ${code}; console.log(child.pid); setInterval(() => {}, 1000);`,
];

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function untilGone(...pids: number[]): Promise<void> {
  const deadline = Date.now() + 300_000;
  while (pids.some(isRunning)) {
    assert.ok(Date.now() < deadline, `still running: ${pids.filter(isRunning)}`);
    await sleep(20);
  }
}

describe("child processes", () => {
  const started: Child[] = [];

  afterEach(async () => {
    for (const child of started.splice(0)) await child.stop("SIGKILL", 0);
  });

  /** A child that has a child of its own, whose pid comes with it. */
  async function family(code = ""): Promise<{ child: Child; grandchild: number }> {
    let heard = (_line: string) => {};
    const line = new Promise<string>((resolve) => {
      heard = resolve;
    });
    const child = await startChild({
      command: process.execPath,
      args: parent(code),
      cwd: ROOT,
      env: process.env,
      onLine: (text) => heard(text),
    });
    started.push(child);
    return { child, grandchild: Number(await line) };
  }

  it("end with all processes that they started", async () => {
    const { child, grandchild } = await family();
    await child.stop("SIGTERM", 5_000);
    await untilGone(child.pid, grandchild);
    assert.equal(child.ended, "was ended by SIGTERM");
  });

  it("are killed if they don't stop in time", async () => {
    const { child, grandchild } = await family('process.on("SIGTERM", () => {})');
    await child.stop("SIGTERM", 100);
    await untilGone(child.pid, grandchild);
    assert.equal(child.ended, "was ended by SIGKILL");
  });

  it("leave no process behind when they exit on their own", async () => {
    const { child, grandchild } = await family("setTimeout(() => process.exit(3), 100)");
    assert.equal(await child.exited, "ended with status 3");
    await untilGone(grandchild);
  });

  it("say why they can't be started", async () => {
    const onLine = () => {};
    await assert.rejects(startChild({ command: "/no/such/program", args: [], cwd: ROOT, env: {}, onLine }), /ENOENT/);
  });

  it("end when the launcher is killed and can't stop them", async () => {
    const code = `
      import { startChild, watch } from "./harness/process/child-process.ts";
      const mark = "mark-" + process.pid;
      const onLine = (line) => console.log(line);
      const child = await startChild({ command: process.execPath, args: ${JSON.stringify(parent(""))}, cwd: ".", env: process.env, onLine });
      const { spawn } = await import("node:child_process");
      const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", mark], { detached: true });
      watch(mark);
      console.log(child.pid);
      console.log(other.pid);
    `;
    const args = ["--import", "tsx", "--input-type=module", "-e", code];
    const launcher = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
    const pids: number[] = [];
    for await (const line of createInterface({ input: launcher.stdout })) {
      pids.push(Number(line));
      if (pids.length === 3) break;
    }
    const exited = once(launcher, "exit");
    launcher.kill("SIGKILL");
    await exited;
    await untilGone(...pids);
  });

  it("are found by their mark and end when they are no longer watched, while others keep running", async () => {
    const mark = `mark-${process.pid}-${Date.now()}`;
    const one = (text: string) =>
      startChild({
        command: process.execPath,
        args: ["-e", "setInterval(() => {}, 1000)", text],
        cwd: ROOT,
        env: process.env,
        onLine: () => {},
      });
    const marked = await one(mark);
    const other = await one("another");
    started.push(marked, other);
    await watch(mark)();
    assert.equal(await marked.exited, "was ended by SIGKILL");
    assert.equal(other.ended, undefined);
  });

  it("can be awaited when nothing else keeps this process alive", () => {
    const code = `
      import { startChild } from "./harness/process/child-process.ts";
      const start = { command: process.execPath, args: ["-e", "process.exit(3)"], cwd: ".", env: process.env, onLine() {} };
      console.log(await (await startChild(start)).exited);
    `;
    const args = ["--import", "tsx", "--input-type=module", "-e", code];
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
    assert.deepEqual([status, stdout], [0, "ended with status 3\n"]);
  });
});
