/**
 * What can happen to orders, on ports in memory: what the code then logs, asks for and writes is what the filters, indexes
 * and exemptions are held against.
 */

import type { LogEntry } from "../deploy/log-filter.js";
import { callError, StoreError } from "../functions/src/domain/errors.js";
import type { KitchenStatus, OrderStatus, ShipmentStatus } from "../functions/src/domain/order-lifecycle.js";
import { Api } from "../functions/src/operator-api/api.js";
import { handleOrderMessage, reactionsTo, runReaction, SCHEDULED } from "../functions/src/pipeline/handlers.js";
import type { Fields, Matching, Query } from "../functions/src/ports.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { apiRequest } from "../functions/src/testing/api-request.js";
import { type TestBed, testBed } from "../functions/src/testing/test-bed.js";

const SEVERITIES = { info: "INFO", warn: "WARNING", error: "ERROR" } as const;

/** How long an event takes to arrive. */
const EVENT_DELAY_MS = 150;

/** The system with one order, `orders/1`, on ports that remember. */
export class Happening {
  readonly bed: TestBed = testBed();
  readonly queries: Query[] = [];
  private readonly ports = {
    ...this.bed.ports,
    store: {
      read: this.bed.store.read.bind(this.bed.store),
      commit: this.bed.store.commit.bind(this.bed.store),
      count: (matching: Matching) => {
        this.queries.push({ ...matching, limit: 0 });
        return this.bed.store.count(matching);
      },
      query: (query: Query) => {
        this.queries.push(query);
        return this.bed.store.query(query);
      },
    } as TestBed["ports"]["store"],
  };
  private readonly api = new Api(this.ports, {
    verify: async () => ({ id: "o", name: "ana@example.com", role: "operator" }),
  });

  constructor(status: OrderStatus = "NEW") {
    this.bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status });
  }

  /** One tick of a schedule and all that comes of it. What fails is let go: the next tick brings it again. */
  async tick(name: keyof typeof SCHEDULED): Promise<this> {
    await SCHEDULED[name](this.ports).catch(() => undefined);
    const { published, store } = this.bed;
    while (published.length > 0 || store.changes.length > 0) {
      for (const { stage, message } of published.splice(0)) {
        await handleOrderMessage(stage, message, this.ports).catch(() => undefined);
      }
      for (const { before, after } of store.changes.splice(0)) {
        const [collection, id = ""] = (after ?? before)?.path.split("/") ?? [];
        if (collection !== RELATIONS) continue;
        const change = { before, after, at: this.bed.clock.now() };
        this.bed.clock.advance(EVENT_DELAY_MS);
        for (const reaction of reactionsTo(change))
          await runReaction(reaction, id, change, this.ports).catch(() => undefined);
      }
    }
    this.bed.clock.advance(60_000);
    return this;
  }

  order(status: OrderStatus): this {
    for (const order of this.bed.food.orders.values()) order.status = status;
    return this;
  }

  kitchen(status: KitchenStatus): this {
    for (const order of this.bed.food.kitchenOrders.values()) order.status = status;
    return this;
  }

  drone(status: ShipmentStatus): this {
    for (const shipment of this.bed.food.shipments.values()) shipment.status = status;
    return this;
  }

  /** The body of what the API answers an operator. */
  async ask(path: string, post?: Fields): Promise<Record<string, unknown>> {
    const answer = await this.api.answer(apiRequest(post ? "POST" : "GET", path, { as: "a", key: "a", body: post }));
    return answer.body as Record<string, unknown>;
  }

  /** Decides about an attempt as an operator does. */
  async decide(stage: string, action: "retry" | "dismiss"): Promise<this> {
    const { attempts } = (await this.ask("/api/relations/1")) as { attempts: { stage: string; version: string }[] };
    const version = attempts.find((attempt) => attempt.stage === stage)?.version ?? "";
    await this.ask(`/api/relations/1/${stage}/${action}`, { reason: "asked the kitchen", version });
    return this;
  }

  /** The lines that Cloud Logging would keep: what is only for debugging does not reach it. */
  get entries(): LogEntry[] {
    return this.bed.lines.flatMap(({ level, message, fields }) => {
      if (level === "debug") return [];
      const resource = { type: "cloud_run_revision" };
      return [{ resource, severity: SEVERITIES[level], jsonPayload: { message, ...fields } }];
    });
  }

  /** Every document that is there, with all its fields. */
  get documents() {
    const { memory } = this.bed.store;
    return ["relations", "attempts", "history", "leases", "audit", "statistics"].flatMap((collection) =>
      memory.all(collection),
    );
  }
}

/** An order from its first poll to its delivery, with a sweep on the way. */
export async function delivery(): Promise<Happening> {
  const happening = new Happening();
  await happening.tick("pollOrders");
  await happening.kitchen("PACKAGED").tick("pollOrders");
  await happening.tick("sweep");
  await happening.drone("DELIVERED").tick("pollOrders");
  return happening;
}

async function refusedCreate(): Promise<Happening> {
  const happening = new Happening();
  happening.bed.food.hooks.once("createKitchenOrder", "before", () => {
    throw callError("INVALID_ARGUMENT", "no", true);
  });
  return happening.tick("pollOrders");
}

/** Each kind of trouble, until it shows. */
export const TROUBLES = {
  async "a create whose outcome is unknown"() {
    const happening = new Happening();
    happening.bed.food.hooks.once("createKitchenOrder", "after", () => {
      throw callError("UNAVAILABLE", "gone", true);
    });
    await happening.tick("pollOrders");
    return happening.tick("sweep");
  },
  "a create that is refused": refusedCreate,
  "an order that another client sent to the kitchen": async () => {
    const happening = new Happening("PREPARATION");
    await happening.tick("pollOrders");
    return happening.tick("sweep");
  },
  async "a link that can't be saved"() {
    const happening = new Happening();
    const { store, food } = happening.bed;
    food.hooks.once("createKitchenOrder", "after", () => {
      for (let tries = 0; tries < 9; tries++) {
        for (const operation of ["read", "commit"] as const) {
          store.hooks.once(operation, "before", () => {
            throw new StoreError("away");
          });
        }
      }
    });
    return happening.tick("pollOrders");
  },
  async "a food service that is away"() {
    const happening = new Happening();
    happening.bed.food.hooks.once("listOrders", "before", () => {
      throw callError("UNAVAILABLE", "away", true);
    });
    return happening.tick("pollOrders");
  },
  async "a call that fails"() {
    const happening = new Happening();
    happening.bed.food.hooks.once("ready", "before", () => {
      throw callError("UNAVAILABLE", "away", false);
    });
    return happening.tick("pollOrders");
  },
  async "a document of a newer schema"() {
    const happening = new Happening();
    await happening.bed.store.set("relations/1", { kitchen: "k/1", schema: 99 });
    return happening.tick("pollOrders");
  },
  async "a large share of the orders that is missing"() {
    const happening = await new Happening().tick("pollOrders");
    await happening.bed.store.set("relations/2", { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/2" });
    happening.bed.store.changes.length = 0;
    happening.bed.food.orders.clear();
    return happening.tick("sweep");
  },
  async "an order that is missing until its attempt is closed"() {
    const happening = await refusedCreate();
    happening.bed.food.orders.clear();
    for (let sweeps = 0; sweeps < 4; sweeps++) {
      await happening.tick("sweep");
      happening.bed.clock.advance(3_600_000);
    }
    return happening;
  },
  async "a kitchen order that is lost"() {
    const happening = await new Happening().tick("pollOrders");
    happening.bed.food.kitchenOrders.clear();
    for (let ticks = 0; ticks < 4; ticks++) {
      await happening.tick("pollOrders");
      happening.bed.clock.advance(3_600_000);
    }
    await happening.tick("sweep");
    await happening.decide("kitchen", "retry");
    return happening.tick("pollOrders");
  },
  async "a report that is rejected"() {
    const happening = new Happening();
    happening.bed.food.updateOrder = async () => {
      throw callError("FAILED_PRECONDITION", "no", true);
    };
    for (let ticks = 0; ticks < 4; ticks++) {
      await happening.tick("pollOrders");
      happening.bed.clock.advance(3_600_000);
    }
    await happening.tick("sweep");
    return happening.decide("kitchen", "dismiss");
  },
} satisfies Record<string, () => Promise<Happening>>;
