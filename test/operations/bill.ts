/** What a day costs: the counted operations times the list prices. `npm run costs` prints the tables of docs/scaling.md. */
import { fileURLToPath } from "node:url";
import { type Costs, type Counts, measure, total, WAITING_ORDERS } from "./count.js";
import { lunchPeakTables } from "./lunch-peak.js";

/**
 * US dollars, us-central1, as Google's public price lists had them in autumn 2026: Firestore (Standard edition) as reported on
 * 2026-10-08, Logging on 2026-09-12, the others by the newest copies of their pages. None has changed since June 2025. Free
 * quotas, taxes, network and discounts are left out. Look them up before you decide: cloud.google.com/firestore/pricing,
 * /run/pricing (request-based billing, tier 1), /pubsub/pricing, /stackdriver/pricing, /scheduler/pricing.
 */
const PRICES = {
  read: 0.03 / 100_000,
  write: 0.09 / 100_000,
  delete: 0.01 / 100_000,
  invocation: 0.4 / 1_000_000,
  vcpuSecond: 0.000024,
  gibibyteSecond: 0.0000025,
  pubsubTebibyte: 40,
  logGibibyte: 0.5,
  schedulerJobMonth: 0.1,
};

/** What the bill rests on beside the counts. */
const ASSUMED = {
  /** Minutes from NEW to the end. */
  life: 30,
  /** Seconds of an instance that one event is billed, and each further order in it: alone, and with many beside it. */
  instanceSeconds: { alone: { event: 0.1, order: 0.02 }, shared: { event: 0.01, order: 0.0025 } },
  gibibytes: 0.25,
  /** Pub/Sub bills a message as at least so many bytes, once published and once delivered; an order in it has so many. */
  messageBytes: { least: 1000, order: 110 },
  /** For how many ticks an instance remembers what an order waits for: half an hour at one a minute. */
  rememberedTicks: 30,
  logLineBytes: 600,
};

/** The stages in which orders wait: for the kitchen, and for the drone. */
const WAITING_STAGES = 2;

const MINUTES_PER_DAY = 1_440;
const SECONDS_PER_DAY = 86_400;

const KINDS = ["read", "write", "delete", "call", "message", "invocation"] as const;

/** The counts of each kind, with their parts, as a table. */
function operationsTable({ poll, idle, firstIdle, order }: Costs): string {
  const parts = (counts: Counts, kind: string) =>
    Object.entries(counts)
      .filter(([name]) => name.startsWith(`${kind} `))
      .map(([name, count]) => `${name.slice(kind.length + 1)} ${count}`)
      .join(", ");
  const cell = (counts: Counts, kind: string) => {
    const detail = parts(counts, kind);
    return detail ? `${total(counts, kind)} (${detail})` : String(total(counts, kind));
  };
  const columns = [order, idle, firstIdle, poll];
  const rows = KINDS.map((kind) => `| ${kind}s | ${columns.map((counts) => cell(counts, kind)).join(" | ")} |`);
  return [
    `| | an order's moves, NEW to DELIVERED | an idle tick of ${WAITING_ORDERS} orders | their first on an instance | an empty poll |`,
    "|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

/** The idle ticks of one order. */
function idleTicks({ order }: Costs): number {
  return ASSUMED.life - total(order, "message");
}

/** How many orders share a message of a stage in which they wait: as many as wait there, up to the most that fit. */
function ordersPerMessage(costs: Costs, ordersPerDay: number): number {
  return Math.min(WAITING_ORDERS, Math.max(1, (ordersPerDay * idleTicks(costs)) / WAITING_STAGES / MINUTES_PER_DAY));
}

/** Operations of one order in its whole life, its idle ticks' share of a message with so many orders included. */
function lifeOf(costs: Costs, kind: (typeof KINDS)[number], perMessage: number): number {
  const shared = kind === "message" || kind === "invocation" ? perMessage : WAITING_ORDERS;
  return total(costs.order, kind) + (idleTicks(costs) * total(costs.idle, kind)) / shared;
}

/**
 * How many documents the idle ticks of one order read in one stage. Each tick comes to one of the instances at random, which reads the
 * document unless it has read it within so many ticks.
 */
export function idleReads(ticks: number, instances: number, rememberedTicks: number): number {
  // The chance that one instance reads at each tick. Two of its reads are never closer together than it remembers.
  const reads: number[] = [];
  for (let tick = 0; tick < ticks; tick++) {
    const recent = reads.slice(Math.max(0, tick - rememberedTicks + 1)).reduce((sum, chance) => sum + chance, 0);
    reads.push((1 - recent) / instances);
  }
  return instances * reads.reduce((sum, chance) => sum + chance, 0);
}

function billTable(costs: Costs): string {
  const writes = lifeOf(costs, "write", 1);
  const deletes = lifeOf(costs, "delete", 1);
  const lines = total(costs.order, "invocation");
  const ticks = idleTicks(costs);
  const days = [1_000, 1_000_000, 100_000_000].map((orders) => {
    const perMessage = ordersPerMessage(costs, orders);
    const invocations = lifeOf(costs, "invocation", perMessage);
    const seconds = ASSUMED.instanceSeconds[orders < 100_000 ? "alone" : "shared"];
    const idleSeconds = (ticks * (seconds.event + (perMessage - 1) * seconds.order)) / perMessage;
    const instanceSeconds = total(costs.order, "invocation") * seconds.event + idleSeconds;
    const instances = Math.max(1, Math.ceil((orders * idleSeconds) / WAITING_STAGES / SECONDS_PER_DAY));
    const reads =
      lifeOf(costs, "read", perMessage) +
      WAITING_STAGES * idleReads(Math.round(ticks / WAITING_STAGES), instances, ASSUMED.rememberedTicks);
    const bytes = (orders: number) => 2 * Math.max(ASSUMED.messageBytes.least, orders * ASSUMED.messageBytes.order);
    const messageBytes = total(costs.order, "message") * bytes(1) + (ticks * bytes(perMessage)) / perMessage;
    const parts = {
      Firestore: orders * (reads * PRICES.read + writes * PRICES.write + deletes * PRICES.delete),
      "Cloud Run functions":
        orders *
        (invocations * PRICES.invocation +
          instanceSeconds * (PRICES.vcpuSecond + ASSUMED.gibibytes * PRICES.gibibyteSecond)),
      "Pub/Sub": (orders * messageBytes * PRICES.pubsubTebibyte) / 2 ** 40,
      Logging: (orders * lines * ASSUMED.logLineBytes * PRICES.logGibibyte) / 2 ** 30,
      Scheduler: (2 * PRICES.schedulerJobMonth) / 30,
    };
    const sum = Object.values(parts).reduce((all, part) => all + part, 0);
    return { orders, parts, sum };
  });
  const money = (dollars: number) => (dollars < 100 ? dollars.toFixed(2) : Math.round(dollars).toLocaleString("en-US"));
  const names = Object.keys(days[0]?.parts ?? {}) as (keyof (typeof days)[number]["parts"])[];
  const header = ["US$ a day", ...days.map(({ orders }) => `${orders.toLocaleString("en-US")} orders`)];
  return [
    `| ${header.join(" | ")} |`,
    `|---|${days.map(() => "---:|").join("")}`,
    ...names.map((name) => `| ${name} | ${days.map(({ parts }) => money(parts[name])).join(" | ")} |`),
    `| together | ${days.map(({ sum }) => money(sum)).join(" | ")} |`,
  ].join("\n");
}

/** The tables by name, as they stand in docs/scaling.md. */
export async function tables(): Promise<Record<string, string>> {
  const costs = await measure();
  return { operations: operationsTable(costs), bill: billTable(costs), ...lunchPeakTables() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(Object.values(await tables()).join("\n\n"));
}
