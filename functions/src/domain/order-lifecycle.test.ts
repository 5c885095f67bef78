import assert from "node:assert/strict";
import fc from "fast-check";
import { completeOrder } from "../pipeline/complete-order.js";
import { dispatchShipment } from "../pipeline/dispatch-shipment.js";
import { runStage, type StageHandler } from "../pipeline/run-stage.js";
import { sendToKitchen } from "../pipeline/send-to-kitchen.js";
import { onRelationWritten } from "../relations/on-relation-written.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import {
  ACTIVE_STATUSES,
  closingState,
  KITCHEN_STATUSES,
  type KitchenStatus,
  mayReport,
  ORDER_STATUSES,
  type OrderStatus,
  RELATION_STATES,
  type ReportedStatus,
  SHIPMENT_STATUSES,
  type ShipmentStatus,
  STAGES,
  type Stage,
  stageOf,
  statusFromCode,
} from "./order-lifecycle.js";

const ID = "7f3c";
const ORDER = `orders/${ID}`;
const RELATION = `relations/${ID}`;

/** Wire numbers around and far outside every enum. */
const STRANGE = [-(2 ** 31), -1, 7, 8, 99, 2 ** 31 - 1];

const ORDER_CODES = { UNKNOWN: 0, NEW: 1, PREPARATION: 2, IN_FLIGHT: 3, DELIVERED: 4, REJECTED: 5, CANCELLED: 6 };
const KITCHEN_CODES = { UNKNOWN: 0, NEW: 1, PREPARATION: 2, PACKAGED: 3 };
const SHIPMENT_CODES = { UNKNOWN: 0, NEW: 1, COLLECTED: 2, DELIVERED: 3, REJECTED: 4 };

const ORDERS = Object.keys(ORDER_CODES) as OrderStatus[];
const KITCHENS = Object.keys(KITCHEN_CODES) as KitchenStatus[];
const SHIPMENTS = Object.keys(SHIPMENT_CODES) as ShipmentStatus[];

describe("the tables of the life cycle", () => {
  const tables: [title: string, table: Record<string, { code: number }>, codes: Record<string, number>][] = [
    ["orders", ORDER_STATUSES, ORDER_CODES],
    ["kitchen orders", KITCHEN_STATUSES, KITCHEN_CODES],
    ["shipments", SHIPMENT_STATUSES, SHIPMENT_CODES],
  ];
  for (const [title, table, codes] of tables) {
    it(`give ${title} the wire numbers of the contract, and treat any other number as UNKNOWN`, () => {
      const found = Object.fromEntries(Object.entries(table).map(([status, { code }]) => [status, code]));
      assert.deepEqual(found, codes);
      for (const [status, code] of Object.entries(codes)) assert.equal(statusFromCode<string>(table, code), status);
      const known = Object.values(codes);
      const other = fc.oneof(fc.integer(), fc.constantFrom(...STRANGE, Number.NaN, 0.5, 2.5));
      fc.assert(
        fc.property(other, (code) => statusFromCode<string>(table, code) === "UNKNOWN" || known.includes(code)),
        { examples: STRANGE.map((code) => [code]) },
      );
    });
  }

  it("have one stage for each active status, and none for the others", () => {
    const expected: Partial<Record<OrderStatus, Stage>> = {
      NEW: "kitchen",
      PREPARATION: "shipment",
      IN_FLIGHT: "completion",
    };
    for (const status of ORDERS) assert.equal(stageOf(status), expected[status], status);
    assert.deepEqual(ACTIVE_STATUSES, ["NEW", "PREPARATION", "IN_FLIGHT"]);
    assert.equal(new Set(Object.values(STAGES).map(({ topic }) => topic)).size, 3);
    const functions = Object.values(STAGES).map((stage) => stage.function);
    assert.deepEqual(functions, ["sendToKitchen", "dispatchShipment", "completeOrder"]);
  });

  it("close the relation of an order that has ended, and of no other", () => {
    const ended = ORDERS.filter((status) => closingState(status) !== undefined);
    assert.deepEqual(ended, ["DELIVERED", "REJECTED", "CANCELLED"]);
    for (const status of ended) assert.equal(closingState(status), status);
  });
});

describe("mayReport", () => {
  /** Every pair that may be reported; all the others must not be. */
  const ALLOWED: Partial<Record<OrderStatus, ReportedStatus[]>> = {
    NEW: ["PREPARATION", "IN_FLIGHT", "DELIVERED", "REJECTED"],
    PREPARATION: ["IN_FLIGHT", "DELIVERED", "REJECTED"],
    IN_FLIGHT: ["DELIVERED", "REJECTED"],
  };
  const REPORTED = Object.values(RELATION_STATES).flatMap(({ reports }) => reports ?? []);

  it("never allows a report of CANCELLED, UNKNOWN or NEW", () => {
    assert.deepEqual([...new Set<string>(REPORTED)].sort(), ["DELIVERED", "IN_FLIGHT", "PREPARATION", "REJECTED"]);
  });

  for (const from of ORDERS) {
    for (const to of REPORTED) {
      const allowed = ALLOWED[from]?.includes(to) ?? false;
      it(`${allowed ? "allows" : "forbids"} ${from} to ${to}`, () => assert.equal(mayReport(from, to), allowed));
    }
  }

  it("never leads back to an earlier status over any chain of reports", () => {
    const reports = fc.array(fc.constantFrom(...REPORTED), { maxLength: 12 });
    fc.assert(
      fc.property(fc.constantFrom(...ORDERS), reports, (start, targets) => {
        const left = new Set<OrderStatus>();
        let now = start;
        for (const target of targets) {
          if (!mayReport(now, target)) continue;
          left.add(now);
          now = target;
          assert.ok(!left.has(now), `${start} came back to ${now}`);
        }
      }),
    );
  });
});

const STAGE_HANDLERS: Record<Stage, StageHandler> = {
  kitchen: sendToKitchen,
  shipment: dispatchShipment,
  completion: completeOrder,
};

interface Case {
  /** The stage that gets a message. It may be an old one: messages come late and twice. */
  stage: Stage;
  order: OrderStatus;
  links: "none" | "kitchen" | "kitchen and shipment";
  kitchen?: KitchenStatus;
  shipment?: ShipmentStatus;
}

interface Outcome {
  created: string[];
  linked: { kitchen?: string; shipment?: string };
  reported: string[];
  state: string | undefined;
  attempts: string[];
}

/** Delivers one message to a world as described, lets the triggers react, and tells all that came of it. */
async function outcomeOf({ stage, order, links, kitchen = "NEW", shipment = "NEW" }: Case): Promise<Outcome> {
  const bed = testBed();
  const { store, food } = bed;
  food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: order });
  food.kitchenOrders.set("kitchenorders/k", { name: "kitchenorders/k", status: kitchen });
  food.shipments.set("shipments/s", { name: "shipments/s", status: shipment });
  food.nextNames.push("new");
  const stateBefore = links === "kitchen" ? "PREPARATION" : "IN_FLIGHT";
  if (links !== "none") {
    const shipmentLink = links === "kitchen" ? {} : { shipment: "shipments/s" };
    await store.set(RELATION, { kitchen: "kitchenorders/k", ...shipmentLink, state: stateBefore });
    store.changes.length = 0;
  }

  const takes = STAGES[stage].takes;
  await runStage(stage, { order: ORDER, status: takes }, STAGE_HANDLERS[stage], bed.ports);
  await react(bed);

  const fields = (await store.fields(RELATION)) ?? {};
  const { kitchen: linkedKitchen, shipment: linkedShipment } = fields as { kitchen?: string; shipment?: string };
  const attempts: string[] = [];
  for (const creating of ["kitchen", "shipment"]) {
    const state = await store.field(`attempts/${creating}:${ID}`, "state");
    if (state) attempts.push(`${creating} ${state}`);
  }
  return {
    created: food.created.map((create) => create.stage),
    linked: { ...(linkedKitchen && { kitchen: linkedKitchen }), ...(linkedShipment && { shipment: linkedShipment }) },
    reported: food.updates.map(({ status }) => status),
    state: links !== "none" && fields.state === stateBefore ? undefined : (fields.state as string | undefined),
    attempts,
  };
}

/** Plays the Firestore trigger for every change of a relation so far. */
async function react({ store, ports }: TestBed): Promise<void> {
  for (let change = store.changes.shift(); change; change = store.changes.shift()) {
    const path = (change.after ?? change.before)?.path ?? "";
    if (/^relations\/[^/]+$/.test(path)) await onRelationWritten(change, ports);
  }
}

const NOTHING: Outcome = { created: [], linked: {}, reported: [], state: undefined, attempts: [] };
const KITCHEN_LINK = { kitchen: "kitchenorders/k" };
const BOTH_LINKS = { kitchen: "kitchenorders/k", shipment: "shipments/s" };

describe("the life of an order, line by line", () => {
  it("NEW: creates a kitchen order, saves the relation, sets the order to PREPARATION", async () => {
    assert.deepEqual(await outcomeOf({ stage: "kitchen", order: "NEW", links: "none" }), {
      created: ["kitchen"],
      linked: { kitchen: "new" },
      reported: ["PREPARATION"],
      state: "PREPARATION",
      attempts: [],
    });
  });

  it("PREPARATION, packaged: creates a shipment, saves the relation, sets the order to IN_FLIGHT", async () => {
    assert.deepEqual(
      await outcomeOf({ stage: "shipment", order: "PREPARATION", links: "kitchen", kitchen: "PACKAGED" }),
      {
        created: ["shipment"],
        linked: { ...KITCHEN_LINK, shipment: "new" },
        reported: ["IN_FLIGHT"],
        state: "IN_FLIGHT",
        attempts: [],
      },
    );
  });

  for (const code of [...[0, 1, 2], ...STRANGE]) {
    const kitchen = statusFromCode(KITCHEN_STATUSES, code);
    it(`PREPARATION, kitchen order ${kitchen} (${code}): does nothing`, async () => {
      const outcome = await outcomeOf({ stage: "shipment", order: "PREPARATION", links: "kitchen", kitchen });
      assert.deepEqual(outcome, { ...NOTHING, linked: KITCHEN_LINK });
    });
  }

  for (const shipment of ["DELIVERED", "REJECTED"] as const) {
    it(`IN_FLIGHT, shipment ${shipment}: sets the order to ${shipment}; done`, async () => {
      const links = "kitchen and shipment";
      assert.deepEqual(await outcomeOf({ stage: "completion", order: "IN_FLIGHT", links, shipment }), {
        ...NOTHING,
        linked: BOTH_LINKS,
        reported: [shipment],
        state: shipment,
      });
    });
  }

  for (const code of [...[0, 1, 2], ...STRANGE]) {
    const shipment = statusFromCode(SHIPMENT_STATUSES, code);
    it(`IN_FLIGHT, shipment ${shipment} (${code}): does nothing`, async () => {
      const links = "kitchen and shipment";
      const outcome = await outcomeOf({ stage: "completion", order: "IN_FLIGHT", links, shipment });
      assert.deepEqual(outcome, { ...NOTHING, linked: BOTH_LINKS });
    });
  }

  it("CANCELLED: creates nothing more, and closes the relation", async () => {
    assert.deepEqual(await outcomeOf({ stage: "kitchen", order: "CANCELLED", links: "none" }), NOTHING);
    assert.deepEqual(
      await outcomeOf({ stage: "shipment", order: "CANCELLED", links: "kitchen", kitchen: "PACKAGED" }),
      { ...NOTHING, linked: KITCHEN_LINK, state: "CANCELLED" },
    );
  });

  for (const code of [0, 4, 5, ...STRANGE]) {
    const order = statusFromCode(ORDER_STATUSES, code);
    it(`${order} (${code}): creates and reports nothing, whatever the kitchen and drones say`, async () => {
      for (const stage of Object.keys(STAGES) as Stage[]) {
        for (const links of ["none", "kitchen", "kitchen and shipment"] as const) {
          const outcome = await outcomeOf({ stage, order, links, kitchen: "PACKAGED", shipment: "DELIVERED" });
          assert.deepEqual([outcome.created, outcome.reported, outcome.attempts], [[], [], []], `${stage}, ${links}`);
        }
      }
    });
  }
});

/** What the contract and the rules of reporting ask for, in as few words as they have. */
function expected({ stage, order, links, kitchen, shipment }: Case): Outcome {
  const linked = links === "none" ? {} : links === "kitchen" ? KITCHEN_LINK : BOTH_LINKS;
  const asIs: Outcome = { ...NOTHING, linked };
  const behind = (target: ReportedStatus) => (mayReport(order, target) ? { ...asIs, reported: [target] } : asIs);
  const has = { kitchen: links !== "none", shipment: links === "kitchen and shipment" };

  if (stage === "kitchen") {
    if (has.shipment) return behind("IN_FLIGHT");
    if (has.kitchen) return behind("PREPARATION");
    if (order !== "NEW") return asIs;
    const moved = { linked: { kitchen: "new" }, reported: ["PREPARATION"], state: "PREPARATION" };
    return { ...asIs, created: ["kitchen"], ...moved };
  }
  if (stage === "shipment") {
    if (has.shipment) return behind("IN_FLIGHT");
    if (!has.kitchen) return order === "PREPARATION" ? { ...asIs, attempts: ["kitchen PARKED"] } : asIs;
    if (kitchen !== "PACKAGED") return asIs;
    if (order === "NEW") return behind("PREPARATION");
    const end = closingState(order);
    if (end) return { ...asIs, state: end };
    if (order !== "PREPARATION") return asIs;
    const moved = { linked: { ...KITCHEN_LINK, shipment: "new" }, reported: ["IN_FLIGHT"], state: "IN_FLIGHT" };
    return { ...asIs, created: ["shipment"], ...moved };
  }
  if (!has.shipment) return order === "IN_FLIGHT" ? { ...asIs, attempts: ["shipment PARKED"] } : asIs;
  const outcome = shipment === "DELIVERED" || shipment === "REJECTED" ? shipment : undefined;
  return outcome ? { ...behind(outcome), state: outcome } : asIs;
}

describe("every order, kitchen and shipment status, at every stage", () => {
  const cases: Case[] = (Object.keys(STAGES) as Stage[]).flatMap((stage) =>
    ORDERS.flatMap((order) => [
      { stage, order, links: "none" as const },
      ...KITCHENS.flatMap((kitchen) => [
        { stage, order, links: "kitchen" as const, kitchen },
        ...SHIPMENTS.map((shipment) => ({ stage, order, links: "kitchen and shipment" as const, kitchen, shipment })),
      ]),
    ]),
  );

  it(`does what the contract says in each of the ${cases.length} combinations`, async () => {
    for (const each of cases) assert.deepEqual(await outcomeOf(each), expected(each), JSON.stringify(each));
  });
});
