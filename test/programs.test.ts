/** The programs as a person runs them: what they print, and what is left when they end. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { answers } from "../harness/process/free-ports.js";
import { ROOT } from "../harness/root.js";
import { run, until } from "./program.js";

const MINUTE = 60_000;

describe("the programs", function () {
  this.timeout(3 * MINUTE);

  for (const runner of ["--embedded", "--emulators"]) {
    it(`the demo succeeds and ends with its summary line (${runner})`, async () => {
      const { status, stdout, stderr } = await run("cli/demo.ts", "--orders", "6", "--seed", "7", "--json", runner);
      assert.equal(status, 0, stderr);
      const { delivered, rejected, cancelled, seconds, ...rest } = JSON.parse(stdout) as Record<string, number>;
      assert.equal((delivered ?? 0) + (rejected ?? 0) + (cancelled ?? 0), 6);
      assert.deepEqual(
        { orders: rest.orders, duplicates: rest.duplicates, lost: rest.lost },
        { orders: 6, duplicates: 0, lost: 0 },
      );
      assert.ok((seconds ?? 0) > 0);
    });
  }

  it("each prebuilt program prints its help", async () => {
    assert.equal((await run("cli/roles.ts", "--help")).status, 0);
    const built = readdirSync(join(ROOT, ".local/programs"), { recursive: true, encoding: "utf8" });
    const programs = built.filter((name) => name.includes("/") && name.endsWith(".js"));
    assert.ok(programs.length >= 10, programs.join());
    for (const name of programs) {
      const { status, stdout, stderr } = await run(name.replace(/\.js$/, ".ts"), "--help");
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^Usage: /, name);
    }
  });

  it("nothing is left running after npm itself was ended", async () => {
    const args = ["run", "--silent", "start", "--", "--embedded", "--ports-from", "auto"];
    const npm = spawn("npm", args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    npm.stdout.on("data", (text) => {
      output += text;
    });
    await until("it is ready", async () => output.includes("Stop with Ctrl-C"), MINUTE);
    const port = Number(/localhost:(\d+), simulated/.exec(output)?.[1]);
    assert.ok(await answers(port), "the food service answers while the system runs");
    npm.kill("SIGTERM");
    await until("the food service is gone", async () => !(await answers(port)), MINUTE);
  });

  it("a program names a port that is taken and exits with status 1", async () => {
    const squatter = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => squatter.once("listening", resolve));
    const { port } = squatter.address() as { port: number };
    try {
      for (const [flag, name] of [
        ["--firestore-port", "the Firestore emulator"],
        ["--food-service-port", "the simulated food service"],
      ] as const) {
        const { status, stdout, stderr } = await run("cli/start.ts", "--ports-from", "auto", flag, String(port));
        assert.equal(status, 1);
        assert.match(stdout + stderr, new RegExp(`Port ${port}, for ${name}, is taken`));
      }
    } finally {
      squatter.close();
    }
  });

  it("npm start reports an invalid certificate in one message", async () => {
    const invalid = await run("cli/start.ts", "--server", "localhost:1", "--certificate", "package.json");
    assert.equal(invalid.status, 1);
    assert.match(invalid.stderr, /package\.json has no certificate/);
    assert.doesNotMatch(invalid.stderr, /\n\s+at /, "no stack for what a user can fix");
  });
});
