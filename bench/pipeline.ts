/**
 * What an order costs from NEW to DELIVERED: through the built functions, through functions as Google's guides write them, as a
 * durable workflow on Restate and on DBOS, and with nothing but the calls. Kitchen and drones are practically instant, so no side
 * waits or looks twice.
 */
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import { type Usage, usageOf } from "../harness/process-usage.js";
import { DEPLOYED } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { functionsOf } from "./built-functions.js";
import type { StartCarrier } from "./carrier.js";
import { alternate, expectEqual, figuresOf, ratioOf, summary } from "./measure.js";
import { place } from "./orders.js";
import { startBare } from "./peers/bare-carrier.js";
import { findPostgres, startDbos } from "./peers/dbos.js";
import { folderOf, installPeer } from "./peers/peer.js";
import { restateIn } from "./peers/restate.js";
import type { World } from "./world.js";

const SIZES = {
  full: { orders: 300, warmUp: 300 },
  smoke: { orders: 10, warmUp: 3 },
};

/** The most orders that are active: a message that waits too long would be pushed again. */
const MAX_ACTIVE = 150;

const PEERS = ["plain", "requestResponse", "bidirectional", "dbos"] as const;
type Side = "ours" | "bare" | (typeof PEERS)[number];

export const pipeline: Bench = {
  name: "pipeline",
  question:
    "orders a second, and CPU per order by process, from NEW to DELIVERED; beside plain functions, Restate, DBOS and bare calls",
  targets: { oursOverRequestResponse: { atMost: 1 }, oursOverPlain: { atMost: 0.7 } },
  measure,
};

interface Carried {
  perSecond: number;
  /** Milliseconds an order, by process. */
  cpu: Record<string, number>;
  ownCpu: number;
  /** MiB by process. */
  memory: Record<string, number>;
}

async function measure({ world, runs, smoke, peers, say }: BenchContext): Promise<Figures> {
  const size = SIZES[smoke ? "smoke" : "full"];
  const sides: Side[] = peers ? ["ours", ...PEERS, "bare"] : ["ours", "bare"];
  if (peers) {
    findPostgres();
    for (const peer of ["plain", "restate", "dbos"] as const) await installPeer(peer, say);
  }
  let number = 0;
  const results = await alternate(sides, { runs, smoke }, async (side) => {
    const carried = await carryAll(world, side, `bench-pipeline-${++number}`, size);
    const { perSecond, ownCpu, cpu } = carried;
    say(`${side}: ${perSecond.toFixed(0)} orders/s, own CPU ${ownCpu.toFixed(2)} ms an order, ${JSON.stringify(cpu)}`);
    return carried;
  });

  const figures: Figures = {};
  for (const side of sides) {
    const all = results[side];
    Object.assign(figures, figuresOf(side, all, { PerSecond: "perSecond", CpuMs: "ownCpu" }));
    for (const part of Object.keys(all[0]?.cpu ?? {})) {
      figures[`${side}_${part}CpuMs`] = summary(all.map(({ cpu }) => cpu[part] ?? Number.NaN));
      figures[`${side}_${part}MiB`] = summary(all.map(({ memory }) => memory[part] ?? Number.NaN));
    }
    if (side === "ours") continue;
    figures[`oursOver${side[0]?.toUpperCase()}${side.slice(1)}`] = ratioOf("ownCpu", results.ours, all);
  }
  return figures;
}

/** Makes one side carry the orders, and measures those after the warm-up. */
async function carryAll(
  world: World,
  side: Side,
  name: string,
  { orders, warmUp }: (typeof SIZES)["full"],
): Promise<Carried> {
  const food = await world.foodService(name, { speed: 1_000_000 });
  const carrier = await CARRIERS[side](world, name, food);
  const carry = async (count: number) => {
    for (let left = count; left > 0; left -= MAX_ACTIVE) {
      await carrier.carry(await place(food, Math.min(left, MAX_ACTIVE)));
    }
  };
  const usage = () => ({ ...carrier.usage(), food: usageOf(food.group ?? 0) });
  await carry(warmUp);
  const before: Record<string, Usage> = usage();
  const began = performance.now();
  await carry(orders);
  const seconds = (performance.now() - began) / 1000;
  const after = Object.entries(usage());
  await carrier.stop();
  await food.kill();
  expectDelivered(food, warmUp + orders, side);
  const cpu = Object.fromEntries(after.map(([part, { cpu }]) => [part, (cpu - (before[part]?.cpu ?? 0)) / orders]));
  return {
    perSecond: orders / seconds,
    cpu,
    ownCpu: carrier.own.reduce((sum, part) => sum + (cpu[part] ?? 0), 0),
    memory: Object.fromEntries(after.map(([part, { memory }]) => [part, memory])),
  };
}

function expectDelivered(food: FoodServiceProcess, count: number, side: Side): void {
  const { orders, kitchenOrders, shipments } = food.truth();
  expectEqual(orders.filter(({ status }) => status === "DELIVERED").length, count, `orders that ${side} delivered`);
  expectEqual(kitchenOrders.length, count, `kitchen orders of ${side}`);
  expectEqual(shipments.length, count, `shipments of ${side}`);
}

const CARRIERS: Record<Side, StartCarrier> = {
  ours: functionsOf(DEPLOYED),
  plain: functionsOf(folderOf("plain")),
  requestResponse: restateIn("request-response"),
  bidirectional: restateIn("bidirectional"),
  dbos: startDbos,
  bare: startBare,
};
