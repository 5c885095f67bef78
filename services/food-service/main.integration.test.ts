import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";

import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Client, credentials } from "@grpc/grpc-js";
import { Order_Status, OrderServiceService } from "../../functions/src/generated/food/v1/food.js";
import { freePort } from "../../harness/process/free-ports.js";
import { call } from "../call.js";
import { programArgs } from "../program-args.js";
import type { GroundTruth } from "./model/food-service-model.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

describe("the food service's programs", function () {
  this.timeout(60_000);
  let directory: string;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "food-service-programs-"));
  });

  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child);
    rmSync(directory, { recursive: true });
  });

  function begin(program: "main" | "order", ...options: string[]) {
    const file = `services/food-service/${program}.ts`;
    const child = spawn(process.execPath, [...programArgs(file), ...options], { cwd: ROOT, stdio: "pipe" });
    children.push(child);
    return child;
  }

  /** Runs a program until it exits; its output and its status. */
  async function run(program: "main" | "order", ...options: string[]) {
    const child = begin(program, ...options);
    const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
    return { out, err, status };
  }

  const state = () => join(directory, "state.jsonl");
  const certificate = () => join(directory, "localhost.crt");

  async function serve(address: string, ...options: string[]) {
    const files = ["--state", state(), "--certificates", directory];
    const child = begin("main", "--address", address, ...files, ...options);
    const lines: string[] = [];
    const output = createInterface(child.stdout).on("line", (line) => lines.push(line));
    const err = text(child.stderr);
    const [ready] = await Promise.race([once(output, "line"), once(child, "exit").then(async () => [await err])]);
    const [, bound = assert.fail(String(ready))] = /^food service ready on (\S+), certificate /.exec(ready) ?? [];
    return { child, address: bound, lines, err };
  }

  function order(server: string, ...options: string[]) {
    return run("order", "--server", server, "--certificate", certificate(), ...options);
  }

  async function truth(): Promise<GroundTruth> {
    const { out, err, status } = await run("main", "--truth", "--state", state());
    assert.equal(status, 0, err);
    return JSON.parse(out);
  }

  it("preserve everything that was acknowledged when the server is killed during calls, and continue", async () => {
    // Started again, it needs the same port.
    const first = await serve(`localhost:${await freePort()}`);
    const client = new Client(first.address, credentials.createSsl(readFileSync(certificate())));
    const answered: string[] = [];
    const empty = { name: "", createTime: "", updateTime: "", status: Order_Status.UNKNOWN };
    const place = async (): Promise<void> => {
      const placed = await call(client, OrderServiceService.createOrder, {
        order: { ...empty, customerId: "krithik" },
      });
      if (answered.push(placed.name) === 200) first.child.kill("SIGKILL");
      return place();
    };
    await Promise.allSettled([place(), place(), place(), place()]);
    client.close();
    await kill(first.child);

    const saved = new Set((await truth()).orders.map(({ name }) => name));
    assert.ok(answered.length >= 200);
    assert.deepEqual(
      answered.filter((name) => !saved.has(name)),
      [],
    );
    const second = await serve(first.address);
    const { out, status } = await order(second.address, "--customer", "krithik");
    assert.equal(status, 0);
    const { orders } = await truth();
    assert.equal(orders.length, saved.size + 1);
    assert.equal(orders.at(-1)?.name, out.trim());
  });

  it("print one line when ready, and end with status 0 on SIGTERM and SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const { child, lines, err } = await serve("localhost:0");
      child.kill(signal);
      const [status] = await once(child, "exit");
      assert.equal(status, 0);
      assert.match(await err, new RegExp(`${signal}.*\\nstopped\\n$`));
      assert.equal(lines.length, 1);
    }
  });

  it("print the names of the orders placed, one a line or as JSON", async () => {
    const { address } = await serve("localhost:0");
    const plain = await order(address, "--customer", "krithik", "--count", "2");
    const json = await order(address, "--customer", "grace", "--count", "2", "--json");
    const { orders } = await truth();
    assert.deepEqual(
      [...plain.out.trim().split("\n"), ...JSON.parse(json.out)],
      orders.map(({ name }) => name),
    );
    assert.deepEqual(
      orders.map(({ customerId }) => customerId),
      ["krithik", "krithik", "grace", "grace"],
    );
  });

  it("name an address that is taken, and exit with status 1", async () => {
    const { address } = await serve("localhost:0");
    const { out, err, status } = await run(
      "main",
      "--address",
      address,
      "--state",
      state(),
      "--certificates",
      directory,
    );
    assert.deepEqual([out, status], ["", 1]);
    assert.match(err, new RegExp(`^[^\\n]*${address} is taken[^\\n]*\\n$`));
  });

  it("name an invalid value, its option and the allowed values in one line, and exit with status 1 before they create anything", async () => {
    const bad = [
      ["main", "--speed", "0", "a number from 0.001 to 1000000"],
      ["main", "--failures", "1.5", "from 0 to 1"],
      ["main", "--delay", "1.5", "a whole number from 0 to 600000"],
      ["order", "--count", "0", "a whole number from 1"],
      ["order", "--server", "nowhere", "host:port"],
    ] as const;
    const files = { main: ["--certificates", directory, "--state", state()], order: ["--customer", "krithik"] };
    for (const [program, option, value, allowed] of bad) {
      const { err, status } = await run(program, ...files[program], option, value);
      assert.equal(status, 1);
      assert.match(err, new RegExp(`^[^\\n]*'${option}[^\\n]*'${value}'[^\\n]*${allowed}[^\\n]*\\n$`));
    }
    assert.equal(existsSync(state()), false);
  });

  it("report a missing server or certificate in one line, and exit with status 1", async () => {
    const noCertificate = await order("127.0.0.1:1", "--customer", "krithik");
    assert.equal(noCertificate.status, 1);
    assert.match(noCertificate.err, /^There is no certificate \S+localhost\.crt\.[^\n]*--certificate[^\n]*\n$/);
    await serve("localhost:0");
    const noServer = await order("127.0.0.1:1", "--customer", "krithik", "--count", "2", "--json");
    assert.deepEqual([noServer.status, noServer.out], [1, "[]\n"]);
    assert.match(noServer.err, /^The food service at \S+ can't be reached: [^\n]*0 of 2 orders[^\n]*\n$/);
  });

  it("describe every option in their help", async () => {
    const { out, status } = await run("main", "--help");
    assert.equal(status, 0);
    const options =
      "address speed rejected cancelled failures lost-answers unavailable lose-answers-of delay call-time calls-per-second rate-limit max-streams seed honours-keys state certificates truth require-token-file require-id-token client-ca";
    for (const option of options.split(" ")) assert.match(out, new RegExp(`--${option}\\b`));
  });
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
