/**
 * How many calls a second go through the whole chain of user orchestrators, and what a call costs its servers: beside the same
 * chain with nothing but @grpc/grpc-js, on HTTP/2 without a library, in Go, and one direct call to the data service.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Child, portIn, startServer } from "../harness/process/child-process.js";
import { usageOf } from "../harness/process-usage.js";
import { TYPESCRIPT } from "../services/program-args.js";
import { FEW_CORES, type Role, startProcess } from "../services/users/chain.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, BenchError, figuresOf, ratioOf } from "./measure.js";
import { buildGoChain } from "./peers/go.js";
import { startOwnChain, type World } from "./world.js";

const SIZES = {
  full: { calls: 10_000, warmUp: 5_000, concurrency: 64 },
  smoke: { calls: 200, warmUp: 20, concurrency: 8 },
};

const CLIENT = fileURLToPath(new URL("users-client.ts", import.meta.url));
const BARE = fileURLToPath(new URL("peers/bare-users.ts", import.meta.url));
const HTTP2 = fileURLToPath(new URL("peers/http2-users.ts", import.meta.url));
const ANY_PORT = "127.0.0.1:0";

const START_TIMEOUT_MS = 120_000;

/** From the one who answers to the one who is asked. */
const ROLES: Role[] = ["data", "orchestrator2", "orchestrator1"];

const PEERS = ["bare", "http2", "go"] as const;

export type Side = "direct" | "chain" | (typeof PEERS)[number];

/** What a client does: the number of measured calls, of warm-up calls before them, and of concurrent calls. */
export interface Load {
  calls: number;
  warmUp: number;
  concurrency: number;
}

export const users: Bench = {
  name: "users",
  question:
    "calls a second and CPU per call of the chain of user orchestrators; beside bare gRPC, HTTP/2, Go, and one direct call",
  targets: { ratio: { atLeast: 0.3 }, overGo: { atLeast: 0.4 } },
  measure,
};

/** The servers of one side, as they run. */
interface Servers {
  /** Of the one that the client asks. */
  address: string;
  /** The process groups. */
  groups: number[];
  stop(): Promise<void>;
}

async function measure({ world, runs, smoke, peers, say }: BenchContext): Promise<Figures> {
  const load = SIZES[smoke ? "smoke" : "full"];
  const go = peers ? await buildGoChain(world.directory) : undefined;
  const start: Record<Side, () => Promise<Servers>> = {
    direct: startData,
    chain: startOurs,
    bare: () => startPeer(world, world.node, [...FEW_CORES, ...TYPESCRIPT, BARE]),
    http2: () => startPeer(world, world.node, [...FEW_CORES, ...TYPESCRIPT, HTTP2]),
    go: () => startPeer(world, go ?? "", []),
  };
  const sides: Side[] = go === undefined ? ["direct", "chain"] : ["direct", "chain", ...PEERS];
  const results = await alternate(sides, { runs, smoke }, async (side) => {
    const servers = await start[side]();
    try {
      const used = () => servers.groups.reduce((sum, group) => sum + usageOf(group).cpu, 0);
      const { perSecond, cpu } = await callFromProcess(side, servers.address, load, used);
      say(`${side}: ${perSecond.toFixed(0)} calls a second, ${cpu.toFixed(3)} ms of CPU per call`);
      return { perSecond, cpu };
    } finally {
      await servers.stop();
    }
  });
  const { chain, direct, bare, go: inGo } = results;
  const figures: Figures = { ratio: ratioOf("perSecond", chain, direct) };
  for (const side of sides) {
    Object.assign(figures, figuresOf(side, results[side], { CallsPerSecond: "perSecond", CpuMs: "cpu" }));
  }
  if (go === undefined) return figures;
  for (const peer of PEERS) {
    const name = `${peer[0]?.toUpperCase()}${peer.slice(1)}`;
    figures[`over${name}`] = ratioOf("perSecond", chain, results[peer]);
    figures[`cpuOver${name}`] = ratioOf("cpu", chain, results[peer]);
  }
  figures.bareOverGo = ratioOf("perSecond", bare, inGo);
  return figures;
}

async function startData(): Promise<Servers> {
  const data = await startProcess("data", ["--address", ANY_PORT], "ignore");
  return {
    address: data.address,
    groups: [data.pid],
    stop: async () => {
      data.signal("SIGTERM");
      await data.ended;
    },
  };
}

async function startOurs(): Promise<Servers> {
  const chain = await startOwnChain();
  const groups = ROLES.map((role) => chain.pid(role));
  return { address: chain.addresses.orchestrator1, groups, stop: () => chain.stop() };
}

/** A chain of processes that each get a role and the address of the server behind, and print their own address. */
async function startPeer(world: World, command: string, args: string[]): Promise<Servers> {
  const children: Child[] = [];
  const stop = async () => {
    for (const child of children) await child.stop("SIGKILL", 0);
  };
  world.onEnd(stop);
  let address = "";
  for (const role of ROLES) {
    const { child, listening } = await startServer(
      {
        command,
        args: [...args, role, ...(address ? [address] : [])],
        cwd: world.directory,
        env: { PATH: process.env.PATH, HOME: process.env.HOME },
        onLine: (line) => world.onLine(`${role}: ${line}`),
      },
      (line) => portIn(line, /^127\.0\.0\.1:(\d+)$/),
      START_TIMEOUT_MS,
    );
    children.push(child);
    const port = await listening;
    if (typeof port === "string") throw new BenchError(`${role} ${port}; bench.log says why`);
    address = `127.0.0.1:${port}`;
  }
  return { address, groups: children.map(({ pid }) => pid), stop };
}

/** Runs the client in a separate process: returns calls per second, and the servers' CPU per call in milliseconds. */
function callFromProcess(
  side: Side,
  address: string,
  load: Load,
  used: () => number,
): Promise<{ perSecond: number; cpu: number }> {
  const child = fork(CLIENT, [JSON.stringify({ side, address, load })], { execArgv: TYPESCRIPT });
  return new Promise((resolve, reject) => {
    let before = Number.NaN;
    let result = { perSecond: Number.NaN, cpu: Number.NaN };
    child.on("message", (message) => {
      if (message === "warm") before = used();
      else result = { perSecond: Number(message), cpu: (used() - before) / load.calls };
    });
    child.once("exit", (code) => {
      if (code === 0 && result.perSecond > 0) resolve(result);
      else reject(new BenchError(`the client of the side ${side} ended with ${code}`));
    });
  });
}
