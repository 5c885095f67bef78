/**
 * How many calls a second go through the whole chain of user orchestrators, beside one direct call to the data service.
 * Every run starts fresh processes, the client's among them, and the two sides take turns at going first.
 */
import { fork } from "node:child_process";
import { appendFileSync, mkdirSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import type { Client } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";
import { Command, InvalidArgumentError } from "commander";
import {
  MockUserDataServiceService,
  Orchestrator1ServiceService,
  type User,
} from "../functions/src/generated/user/user.js";
import { startChain, startProcess, TYPESCRIPT } from "../services/users/chain.js";
import { connect } from "../services/users/downstream.js";
import { lineLog } from "../services/users/log.js";

const TARGETS = { ratio: 0.3 };
const RESULTS = new URL("results/users.jsonl", import.meta.url);
const ANY_PORT = "127.0.0.1:0";
const DEADLINE_MILLISECONDS = 30_000;

const SIDES = ["direct", "chain"] as const;
type Side = (typeof SIDES)[number];

interface Load {
  calls: number;
  warmUp: number;
  concurrency: number;
}

/** One side, once: fresh servers, a fresh client, calls a second. */
async function measure(side: Side, load: Load): Promise<number> {
  const log = lineLog("chain", () => {});
  const flags = { all: [], data: [] };
  if (side === "chain") {
    const addresses = { data: ANY_PORT, orchestrator2: ANY_PORT, orchestrator1: ANY_PORT };
    const chain = await startChain({ addresses, flags, log, output: "ignore" });
    try {
      return await loadFromProcess(side, chain.addresses.orchestrator1, load);
    } finally {
      await chain.stop();
    }
  }
  const data = await startProcess("data", ["--address", ANY_PORT], "ignore");
  try {
    return await loadFromProcess(side, data.address, load);
  } finally {
    data.signal("SIGTERM");
    await data.ended;
  }
}

/** The client's side in a process of its own; resolves with calls a second. */
async function loadFromProcess(side: Side, address: string, load: Load): Promise<number> {
  const { calls, warmUp, concurrency } = load;
  const child = fork(
    fileURLToPath(import.meta.url),
    ["load", side, address, ...[calls, warmUp, concurrency].map(String)],
    {
      execArgv: TYPESCRIPT,
    },
  );
  return new Promise((resolve, reject) => {
    let result = Number.NaN;
    child.once("message", (message) => {
      result = Number(message);
    });
    child.once("exit", (code) => {
      if (code === 0 && result > 0) resolve(result);
      else reject(new Error(`the client of the side ${side} ended with ${code}`));
    });
  });
}

/** Keeps so many calls going until all are answered, each answer checked; calls a second, without the warm-up. */
async function load(side: Side, address: string, { calls, warmUp, concurrency }: Load): Promise<number> {
  const { client } = connect("The bench's server", address);
  await callMany(client, side, warmUp, concurrency);
  const started = performance.now();
  await callMany(client, side, calls, concurrency);
  const seconds = (performance.now() - started) / 1_000;
  client.close();
  return calls / seconds;
}

async function callMany(client: Client, side: Side, calls: number, concurrency: number): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < calls) await call(client, side, `customer-${next++}`);
  };
  await Promise.all(Array.from({ length: concurrency }, one));
}

function call(client: Client, side: Side, name: string): Promise<void> {
  const method =
    side === "chain" ? Orchestrator1ServiceService.getUserByName : MockUserDataServiceService.getMockUserData;
  return new Promise((resolve, reject) => {
    const answered = (error: Error | null, user?: User) => {
      if (error !== null) reject(error);
      else if (user?.name === name && user.roll === 10 * name.length) resolve();
      else reject(new Error(`wrong answer for ${name}: ${JSON.stringify(user)}`));
    };
    const { path, requestSerialize, responseDeserialize } = method;
    const options = { deadline: Date.now() + DEADLINE_MILLISECONDS };
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { name }, new Metadata(), options, answered);
  });
}

function summary(values: number[]): { median: number; min: number; max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  const middle =
    sorted.length % 2 === 1 ? at(0.5) : ((sorted[sorted.length / 2 - 1] ?? 0) + (sorted[sorted.length / 2] ?? 0)) / 2;
  return {
    median: Number(middle.toPrecision(4)),
    min: Number(at(0).toPrecision(4)),
    max: Number(at(1).toPrecision(4)),
  };
}

async function compare(runs: number, given: Load): Promise<void> {
  // What else the machine does disturbs the result; this tells how much it was.
  const [loadBefore] = loadavg();
  const rates: Record<Side, number[]> = { direct: [], chain: [] };
  for (let run = 0; run < runs; run++) {
    for (const side of run % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const rate = await measure(side, given);
      rates[side].push(rate);
      console.log(`run ${run + 1} of ${runs}, ${side}: ${Math.round(rate)} calls a second`);
    }
  }
  const ratios = rates.chain.map((rate, run) => rate / (rates.direct[run] ?? Number.NaN));
  const figures = {
    ratio: summary(ratios).median,
    ratios: summary(ratios),
    chainCallsPerSecond: summary(rates.chain),
    directCallsPerSecond: summary(rates.direct),
    runs,
    ...given,
  };
  const result = { bench: "users", met: figures.ratio >= TARGETS.ratio, figures, targets: TARGETS };
  const machine = {
    cpus: cpus().length,
    model: cpus()[0]?.model ?? "unknown",
    memoryBytes: totalmem(),
    node: process.version,
    loadBefore,
  };
  mkdirSync(new URL(".", RESULTS), { recursive: true });
  appendFileSync(RESULTS, `${JSON.stringify({ date: new Date().toISOString(), machine, ...result })}\n`);
  console.log(JSON.stringify(result));
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

const [, , role, side, address, ...numbers] = process.argv;
try {
  if (role === "load" && (side === "direct" || side === "chain") && address !== undefined) {
    const [calls = 1, warmUp = 1, concurrency = 1] = numbers.map(Number);
    process.send?.(await load(side, address, { calls, warmUp, concurrency }));
    process.disconnect?.();
  } else {
    const { runs, ...given } = new Command("users")
      .description(
        "Calls a second through the chain of user orchestrators beside one direct call; target: a ratio of 0.30.",
      )
      .option("--runs <n>", "runs of each side", wholeNumber, 5)
      .option("--calls <n>", "calls of one run", wholeNumber, 10_000)
      .option("--warm-up <n>", "calls before those that count", wholeNumber, 5_000)
      .option("--concurrency <n>", "calls at once", wholeNumber, 64)
      .parse()
      .opts<Load & { runs: number }>();
    await compare(runs, given);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
