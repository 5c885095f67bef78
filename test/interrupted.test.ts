/** A test run that is interrupted or killed: it fails, and leaves nothing running. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { ROOT } from "../harness/root.js";
import { until } from "./program.js";

const WAIT_MS = 300_000;

/** Starts programs in both ways that tests do, notes the processes, and never ends. */
const hangingTest = (file: string) => `
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { startChild } from ${JSON.stringify(join(ROOT, "harness/process/child-process.ts"))};

it("hangs", async () => {
  const args = ["-e", "setInterval(() => {}, 1000)"];
  const watched = await startChild({ command: process.execPath, args, cwd: ".", env: process.env, onLine() {} });
  const plain = spawn(process.execPath, args);
  writeFileSync(${JSON.stringify(file)}, JSON.stringify([process.pid, process.ppid, watched.pid, plain.pid]));
  await new Promise(() => {});
});
`;

const isRunning = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe("a test run", () => {
  let folder: string;
  let run: ChildProcess | undefined;
  let pids: number[];

  beforeEach(() => {
    pids = [];
    mkdirSync(join(ROOT, ".local"), { recursive: true });
    folder = mkdtempSync(join(ROOT, ".local", "interrupted-"));
  });

  afterEach(() => {
    run?.kill("SIGKILL");
    for (const pid of pids.filter(isRunning)) process.kill(pid, "SIGKILL");
    rmSync(folder, { recursive: true });
  });

  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    it(`fails and leaves nothing running when it gets ${signal}`, async () => {
      const names = ["one", "other"];
      const notes = names.map((name) => join(folder, `${name}.json`));
      const tests = names.map((name) => join(folder, `${name}.integration.test.ts`));
      for (const [index, file] of tests.entries()) writeFileSync(file, hangingTest(notes[index] ?? ""));
      run = spawn(process.execPath, ["local/run.mjs", "test/run.ts", ...tests.map((file) => relative(ROOT, file))], {
        cwd: ROOT,
        stdio: "ignore",
      });
      const ended = once(run, "exit");
      await until(
        "both tests hang",
        async () => {
          assert.equal(run?.exitCode, null, "it has ended");
          return notes.every((file) => existsSync(file));
        },
        WAIT_MS,
      );
      pids = notes.flatMap((file) => JSON.parse(readFileSync(file, "utf8")) as number[]);
      assert.deepEqual(pids.filter(isRunning), pids);
      run.kill(signal);
      const [status] = await ended;
      assert.equal(status, signal === "SIGKILL" ? null : 130);
      await until("nothing is left", async () => !pids.some(isRunning), WAIT_MS);
    });
  }
});
