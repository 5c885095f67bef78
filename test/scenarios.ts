/**
 * Scenarios of orders on in-memory ports. Tests compare what the code then logs, queries and writes with the log filters, indexes
 * and index exemptions.
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
export class Scenario {
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

  /** One tick of a schedule, with everything that follows from it. Failures are ignored, since the next tick repeats the work. */
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
export async function delivery(): Promise<Scenario> {
  const scenario = new Scenario();
  await scenario.tick("pollOrders");
  await scenario.kitchen("PACKAGED").tick("pollOrders");
  await scenario.tick("sweep");
  await scenario.drone("DELIVERED").tick("pollOrders");
  return scenario;
}

async function refusedCreate(): Promise<Scenario> {
  const scenario = new Scenario();
  scenario.bed.food.hooks.once("createKitchenOrder", "before", () => {
    throw callError("INVALID_ARGUMENT", "no", true);
  });
  return scenario.tick("pollOrders");
}

/** Each kind of trouble, until it shows. */
export const FAILURE_SCENARIOS = {
  async "a create whose outcome is unknown"() {
    const scenario = new Scenario();
    scenario.bed.food.hooks.once("createKitchenOrder", "after", () => {
      throw callError("UNAVAILABLE", "gone", true);
    });
    await scenario.tick("pollOrders");
    return scenario.tick("sweep");
  },
  "a create that is refused": refusedCreate,
  "an order that another client sent to the kitchen": async () => {
    const scenario = new Scenario("PREPARATION");
    await scenario.tick("pollOrders");
    return scenario.tick("sweep");
  },
  async "a link that can't be saved"() {
    const scenario = new Scenario();
    const { store, food } = scenario.bed;
    food.hooks.once("createKitchenOrder", "after", () => {
      for (let tries = 0; tries < 9; tries++) {
        for (const operation of ["read", "commit"] as const) {
          store.hooks.once(operation, "before", () => {
            throw new StoreError("away");
          });
        }
      }
    });
    return scenario.tick("pollOrders");
  },
  async "a food service that is away"() {
    const scenario = new Scenario();
    scenario.bed.food.hooks.once("listOrders", "before", () => {
      throw callError("UNAVAILABLE", "away", true);
    });
    return scenario.tick("pollOrders");
  },
  async "a call that fails"() {
    const scenario = new Scenario();
    scenario.bed.food.hooks.once("ready", "before", () => {
      throw callError("UNAVAILABLE", "away", false);
    });
    return scenario.tick("pollOrders");
  },
  async "a document of a newer schema"() {
    const scenario = new Scenario();
    await scenario.bed.store.set("relations/1", { kitchen: "k/1", schema: 99 });
    return scenario.tick("pollOrders");
  },
  async "a large share of the orders that is missing"() {
    const scenario = await new Scenario().tick("pollOrders");
    await scenario.bed.store.set("relations/2", { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/2" });
    scenario.bed.store.changes.length = 0;
    scenario.bed.food.orders.clear();
    return scenario.tick("sweep");
  },
  async "an order that is missing until its attempt is closed"() {
    const scenario = await refusedCreate();
    scenario.bed.food.orders.clear();
    for (let sweeps = 0; sweeps < 4; sweeps++) {
      await scenario.tick("sweep");
      scenario.bed.clock.advance(3_600_000);
    }
    return scenario;
  },
  async "a kitchen order that is lost"() {
    const scenario = await new Scenario().tick("pollOrders");
    scenario.bed.food.kitchenOrders.clear();
    for (let ticks = 0; ticks < 4; ticks++) {
      await scenario.tick("pollOrders");
      scenario.bed.clock.advance(3_600_000);
    }
    await scenario.tick("sweep");
    await scenario.decide("kitchen", "retry");
    return scenario.tick("pollOrders");
  },
  async "a report that is rejected"() {
    const scenario = new Scenario();
    scenario.bed.food.updateOrder = async () => {
      throw callError("FAILED_PRECONDITION", "no", true);
    };
    for (let ticks = 0; ticks < 4; ticks++) {
      await scenario.tick("pollOrders");
      scenario.bed.clock.advance(3_600_000);
    }
    await scenario.tick("sweep");
    return scenario.decide("kitchen", "dismiss");
  },
} satisfies Record<string, () => Promise<Scenario>>;
