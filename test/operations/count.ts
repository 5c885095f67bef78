/** Counts what the platform bills: documents read and written, calls, messages and invocations of one order's life. */

import { ManualClock } from "../../functions/src/adapters/memory/clock.js";
import { seededRandomness } from "../../functions/src/adapters/memory/random.js";
import { MemoryStore } from "../../functions/src/adapters/memory/store.js";
import { STAGES } from "../../functions/src/domain/order-lifecycle.js";
import { NO_FLOW_CONTROL } from "../../functions/src/flow-control.js";
import { RecentLinks } from "../../functions/src/link-cache.js";
import {
  handleStageMessage,
  type ReactionName,
  reactionsTo,
  runReaction,
  SCHEDULED,
} from "../../functions/src/pipeline/handlers.js";
import { ORDERS_PER_MESSAGE, packOrders } from "../../functions/src/pipeline/messages.js";
import type { FoodService, Ports } from "../../functions/src/ports.js";
import { TEST_SETTINGS } from "../../functions/src/testing/test-bed.js";
import { FoodServiceModel } from "../../services/food-service/model/food-service-model.js";

/**
 * Billed operations, by kind and what they are about, such as "write relations", "delete attempts", "read", "call getOrder", "message" and
 * "invocation sweep". Documents count, not commits; a query that finds nothing is billed as one read.
 */
export type Counts = Record<string, number>;

/** The deployed function of each reaction. */
const FUNCTION_OF = {
  report: "onRelationWritten",
  customer: "onRelationCreated",
} as const satisfies Record<ReactionName, string>;

/** The whole system in memory, with every operation counted. Nothing runs on its own: each tick is an explicit call. */
class CountedSystem {
  readonly clock = new ManualClock();
  readonly food: FoodServiceModel;
  private counts: Counts = {};
  private readonly waiting: (() => Promise<void>)[] = [];
  private readonly ports: Ports;

  constructor() {
    const random = seededRandomness(1);
    this.food = new FoodServiceModel({ clock: this.clock, random });
    const store = new MemoryStore((change) => {
      const [collection, id] = (change.after ?? change.before)?.path.split("/") ?? [];
      if (collection !== "relations" || id === undefined) return;
      for (const name of reactionsTo(change)) {
        this.waiting.push(() => this.invoke(FUNCTION_OF[name], () => runReaction(name, id, change, this.ports)));
      }
    });
    this.ports = {
      clock: this.clock,
      random,
      settings: TEST_SETTINGS,
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
      food: this.counting(this.food),
      flow: NO_FLOW_CONTROL,
      links: new RecentLinks(this.clock, TEST_SETTINGS),
      customers: {
        userByName: async (name) => {
          this.add("call userByName");
          return { name, class: String(name.length), roll: 10 * name.length };
        },
      },
      store: {
        read: (...paths) => {
          this.add("read", paths.length);
          return store.read(...paths);
        },
        commit: async (writes) => {
          const versions = await store.commit(writes);
          for (const { kind, path } of writes)
            this.add(`${kind === "delete" ? "delete" : "write"} ${path.split("/")[0]}`);
          return versions;
        },
        count: async (matching) => {
          const count = await store.count(matching);
          this.add("read", Math.max(1, Math.ceil(count / 1_000)));
          return count;
        },
        query: async (query) => {
          const found = await store.query(query);
          this.add("read", Math.max(1, found.length));
          return found;
        },
      },
      bus: {
        publishOrders: async (stage, messages) => {
          for (const payload of packOrders(stage, messages)) {
            this.add("message");
            this.waiting.push(() =>
              this.invoke(STAGES[stage].function, () => handleStageMessage(stage, payload, this.ports)),
            );
          }
        },
        publishContinuation: async () => {
          this.add("message");
        },
      },
    };
  }

  /** One tick of a schedule, and all that comes of it. */
  async tick(name: keyof typeof SCHEDULED): Promise<void> {
    await this.invoke(name, () => SCHEDULED[name](this.ports));
    for (let next = this.waiting.shift(); next; next = this.waiting.shift()) await next();
  }

  /** What was counted since it was last asked. */
  take(): Counts {
    const counts = this.counts;
    this.counts = {};
    return counts;
  }

  private add(operation: string, times = 1): void {
    this.counts[operation] = (this.counts[operation] ?? 0) + times;
  }

  private async invoke(name: string, work: () => Promise<unknown>): Promise<void> {
    this.add(`invocation ${name}`);
    await work();
  }

  private counting(food: FoodService): FoodService {
    return new Proxy(food, {
      get: (target, method: keyof FoodService) => {
        const call = target[method].bind(target) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          // Waiting for a channel that is open sends nothing.
          if (method !== "ready") this.add(`call ${method}`);
          return call(...args);
        };
      },
    });
  }
}

/** How many operations of a kind there are. */
export function total(counts: Counts, kind: string): number {
  const ofKind = Object.entries(counts).filter(([name]) => name === kind || name.startsWith(`${kind} `));
  return ofKind.reduce((sum, [, count]) => sum + count, 0);
}

/** Adds a multiple of the other counts. */
function plus(counts: Counts, other: Counts, times = 1): Counts {
  const sum = { ...counts };
  for (const [name, count] of Object.entries(other)) sum[name] = (sum[name] ?? 0) + times * count;
  return Object.fromEntries(Object.entries(sum).filter(([, count]) => count !== 0));
}

/** How many orders share a message in the stages in which they wait. */
export const WAITING_ORDERS = ORDERS_PER_MESSAGE.shipment;

/** What each costs: a poll with no active order, an idle tick of a message's orders, and an order from NEW to DELIVERED without them. */
export interface Costs {
  poll: Counts;
  /** Of so many orders as share a message, on an instance that has seen them wait before. */
  idle: Counts;
  /** The same on an instance that sees them wait for the first time. */
  firstIdle: Counts;
  order: Counts;
}

/** Carries one order from NEW to DELIVERED, a tick a minute, and then has a message's orders wait. */
export async function measure(): Promise<Costs> {
  const system = new CountedSystem();
  await system.tick("pollOrders");
  system.take();
  await system.tick("pollOrders");
  const poll = system.take();
  const tick = async () => {
    await system.tick("pollOrders");
    const counts = plus(system.take(), poll, -1);
    system.clock.advance(60_000);
    return counts;
  };

  const { name } = system.food.placeOrder("krithik");
  let order: Counts = {};
  for (let ticks = 0; (await system.food.getOrder(name)).status !== "DELIVERED"; ticks++) {
    if (ticks > 100) throw new Error("the order does not end");
    const counts = await tick();
    if (total(counts, "write") > 0) order = plus(order, counts);
  }

  for (let placed = 0; placed < WAITING_ORDERS; placed++) system.food.placeOrder("krithik");
  await tick();
  return { poll, firstIdle: await tick(), idle: await tick(), order };
}
