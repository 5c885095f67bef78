/**
 * One pass over two million active orders: how long it takes, and in how much memory. The food service and Pub/Sub are stand-ins in
 * processes of their own; their CPU time is shown beside ours.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { functionEnvironment } from "../harness/function-instance.js";
import { type Child, startServer } from "../harness/process/child-process.js";
import { usageOf } from "../harness/process-usage.js";
import { ROOT } from "../harness/root.js";
import { deployed } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { BenchError, expectEqual, figuresOf } from "./measure.js";
import { continuePoll } from "./poll.js";
import type { World } from "./world.js";

const SIZES = { full: 2_000_000, smoke: 20_000 };

const TICK_SECONDS = 60;

const START_TIMEOUT_MS = 120_000;

export const largePoll: Bench = {
  name: "large-poll",
  question: "seconds and memory of one pass over two million active orders, beside the CPU of its stand-ins",
  targets: { seconds: { atMost: 60 }, MiB: { atMost: 256 } },
  measure,
};

interface Pass {
  seconds: number;
  runs: number;
  messages: number;
  /** The most of any run, in MiB. */
  memory: number;
  /** CPU time in seconds, of all runs together. */
  cpu: number;
  foodCpu: number;
  busCpu: number;
}

async function measure({ world, runs, smoke, say }: BenchContext): Promise<Figures> {
  const count = SIZES[smoke ? "smoke" : "full"];
  const passes: Pass[] = [];
  for (let run = 0; run < runs; run++) {
    const pass = await passOnce(world, run, count);
    passes.push(pass);
    say(
      `${count} orders in ${pass.seconds.toFixed(1)} s and ${pass.runs} runs, ${pass.memory.toFixed(0)} MiB; CPU in seconds: ` +
        `poll ${pass.cpu.toFixed(1)}, food service ${pass.foodCpu.toFixed(1)}, Pub/Sub ${pass.busCpu.toFixed(1)}`,
    );
  }
  return figuresOf("", passes, {
    seconds: "seconds",
    MiB: "memory",
    runs: "runs",
    messages: "messages",
    cpuSeconds: "cpu",
    foodServiceCpuSeconds: "foodCpu",
    pubsubCpuSeconds: "busCpu",
  });
}

async function passOnce(world: World, run: number, count: number): Promise<Pass> {
  const emulators = await world.emulators();
  const project = `bench-large-poll-${run}`;
  const directory = join(world.directory, project);
  mkdirSync(directory, { recursive: true });
  const food = await startStandIn(world, "order-lists.ts", directory, String(count));
  const bus = await startStandIn(world, "publisher.ts");
  const certificate = readFileSync(join(directory, "localhost.crt"), "utf8");
  const address = `localhost:${food.ports[0]}`;
  const env = functionEnvironment(
    project,
    { ...emulators, pubsub: `127.0.0.1:${bus.ports[0]}` },
    { address, certificate },
    { POLL_PAGE_SIZE: "1000" },
  );
  const cpuOf = ({ child }: StandIn) => usageOf(child.pid).cpu / 1_000;
  const [foodBefore, busBefore] = [cpuOf(food), cpuOf(bus)];
  const began = performance.now();
  const first = await world.startInstance(deployed("pollOrders", env));
  await first.invoke({});
  const used = [first.usage()];
  await first.stop();
  let taken = await take(bus);
  while (taken.continuations.length > 0) {
    if (used.length > 20) throw new BenchError("a poll never came to its end");
    used.push(await continuePoll(world, taken.continuations, env));
    taken = await take(bus);
  }
  const seconds = (performance.now() - began) / 1_000;
  const result: Pass = {
    seconds,
    runs: used.length,
    messages: taken.messages,
    memory: Math.max(...used.map(({ memory }) => memory)),
    cpu: used.reduce((sum, { cpu }) => sum + cpu, 0) / 1_000,
    foodCpu: cpuOf(food) - foodBefore,
    busCpu: cpuOf(bus) - busBefore,
  };
  food.child.kill();
  bus.child.kill();
  expectEqual(taken.distinct, count, "orders published");
  // A pass that takes longer than a tick lists the completed statuses again.
  if (seconds < TICK_SECONDS) expectEqual(taken.orders, count, "times that an order was published");
  return result;
}

interface StandIn {
  child: Child;
  ports: number[];
}

/** Starts a stand-in and resolves when it listens. */
async function startStandIn(world: World, file: string, ...args: string[]): Promise<StandIn> {
  const { child, listening } = await startServer(
    {
      command: process.execPath,
      args: ["--import", "tsx", join(ROOT, "bench", "stand-ins", file), ...args],
      cwd: ROOT,
      env: process.env,
      onLine: (line) => world.onLine(`${file}: ${line}`),
    },
    (line) => /^listening on ([\d ]+)$/.exec(line)?.[1]?.split(" ").map(Number),
    START_TIMEOUT_MS,
  );
  world.onEnd(() => child.kill());
  const ports = await listening;
  if (typeof ports === "string") throw new BenchError(`${file} ${ports}; bench.log says why`);
  return { child, ports };
}

interface Published {
  /** Orders that came at least once, and how often any came. */
  distinct: number;
  orders: number;
  messages: number;
  /** Those since it was last asked. */
  continuations: unknown[];
}

/** What was published so far. */
async function take(bus: StandIn): Promise<Published> {
  const response = await fetch(`http://127.0.0.1:${bus.ports[1]}`);
  return (await response.json()) as Published;
}
