/** How many calls a second go through the whole chain of user orchestrators, beside one direct call to the data service. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { TYPESCRIPT } from "../services/program-args.js";
import { startChain, startProcess } from "../services/users/chain.js";
import { lineLog } from "../services/users/log.js";
import type { Bench, Figures, Given } from "./bench.js";
import { alternate, BenchError, ratio, summary } from "./measure.js";

const SIZES = {
  full: { calls: 10_000, warmUp: 5_000, concurrency: 64 },
  tiny: { calls: 200, warmUp: 20, concurrency: 8 },
};

const CLIENT = fileURLToPath(new URL("users-client.ts", import.meta.url));
const ANY_PORT = "127.0.0.1:0";

const SIDES = ["direct", "chain"] as const;
export type Side = (typeof SIDES)[number];

/** What a client does: so many calls, and so many before those that count, so many at once. */
export interface Load {
  calls: number;
  warmUp: number;
  concurrency: number;
}

export const users: Bench = {
  name: "users",
  question: "calls a second through the chain of user orchestrators, over one direct call",
  targets: { ratio: { atLeast: 0.3 } },
  measure,
};

async function measure({ runs, tiny, say }: Given): Promise<Figures> {
  const load = SIZES[tiny ? "tiny" : "full"];
  const rates = await alternate(SIDES, runs, (side) => rateOf(side, load));
  const figures = {
    ratio: ratio(rates.chain, rates.direct),
    chainCallsPerSecond: summary(rates.chain),
    directCallsPerSecond: summary(rates.direct),
  };
  say(`${figures.chainCallsPerSecond.median} of ${figures.directCallsPerSecond.median} calls a second`);
  return figures;
}

/** One side, once: fresh servers, a fresh client, calls a second. */
async function rateOf(side: Side, load: Load): Promise<number> {
  if (side === "chain") {
    const addresses = { data: ANY_PORT, orchestrator2: ANY_PORT, orchestrator1: ANY_PORT };
    const log = lineLog("chain", () => {});
    const chain = await startChain({ addresses, flags: { all: [], data: [] }, log, output: "ignore" });
    try {
      return await rateFromProcess(side, chain.addresses.orchestrator1, load);
    } finally {
      await chain.stop();
    }
  }
  const data = await startProcess("data", ["--address", ANY_PORT], "ignore");
  try {
    return await rateFromProcess(side, data.address, load);
  } finally {
    data.signal("SIGTERM");
    await data.ended;
  }
}

/** The client in a process of its own. */
function rateFromProcess(side: Side, address: string, load: Load): Promise<number> {
  const child = fork(CLIENT, [JSON.stringify({ side, address, load })], { execArgv: TYPESCRIPT });
  return new Promise((resolve, reject) => {
    let rate = Number.NaN;
    child.once("message", (message) => {
      rate = Number(message);
    });
    child.once("exit", (code) => {
      if (code === 0 && rate > 0) resolve(rate);
      else reject(new BenchError(`the client of the side ${side} ended with ${code}`));
    });
  });
}
