/** Messages of the bus, and what the food service says when a sound one is taken. */
import fc from "fast-check";
import { ValidationError } from "../../functions/src/domain/errors.js";
import { ACTIVE_STATUSES, type OrderStatus, type Stage } from "../../functions/src/domain/order-lifecycle.js";
import type { Fields, Ports } from "../../functions/src/ports.js";
import { linkEntry } from "../../functions/src/relations/history.js";
import { type TestBed, testBed } from "../../functions/src/testing/test-bed.js";
import { damaged, hostileName, hostileValue } from "./hostile.js";
import { brief, count, expect, expectOnly, expectSound, kind } from "./kind.js";
import { isFirestoreId, isWellFormed, StrictStore } from "./strict-store.js";

const ORDER = "orders/7f3c";
const STAGES: Stage[] = ["kitchen", "shipment", "completion"];
const STATUSES: OrderStatus[] = [...ACTIVE_STATUSES, "DELIVERED", "CANCELLED", "UNKNOWN"];

const message = damaged({ order: ORDER, status: "NEW" }, { order: hostileName, status: fc.constantFrom(...STATUSES) });
const continuation = damaged({ holder: "a", step: 0, statuses: ["NEW", "IN_FLIGHT"], pageToken: "" });

interface Brought {
  to: Stage | "continuation";
  payload: unknown;
  /** What the food service says of the order that the message names, whatever its name; undefined if it knows none. */
  status: OrderStatus | undefined;
  /** How far the order is by our own documents. */
  linked: "nothing" | "kitchen" | "shipment";
  /** What creates are answered with. */
  created: string;
  /** What else the food service lists. */
  listed: string[];
}

const to: fc.Arbitrary<Pick<Brought, "to" | "payload">> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ to: fc.constantFrom(...STAGES), payload: message as fc.Arbitrary<unknown> }),
  },
  { weight: 2, arbitrary: fc.record({ to: fc.constant("continuation" as const), payload: continuation }) },
  {
    weight: 1,
    arbitrary: fc.record({ to: fc.constantFrom(...STAGES, "continuation" as const), payload: hostileValue }),
  },
);

const brought: fc.Arbitrary<Brought> = fc
  .tuple(
    to,
    fc.record({
      status: fc.option(fc.constantFrom(...STATUSES), { nil: undefined, freq: 5 }),
      linked: fc.constantFrom<Brought["linked"][]>("nothing", "kitchen", "shipment"),
      created: fc.oneof(fc.constantFrom("kitchenorders/1", "shipments/1"), hostileName),
      listed: fc.array(hostileName, { maxLength: 3 }),
    }),
  )
  .map(([what, world]) => ({ ...what, ...world }));

/** The order that a payload names; undefined if the payload must have no effect. */
function orderIn(payload: unknown): string | undefined {
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return undefined;
  const own = new Map(Object.entries(payload));
  const [order, status] = [own.get("order"), own.get("status")];
  if (typeof order !== "string" || !order.startsWith("orders/")) return undefined;
  return isFirestoreId(order.slice("orders/".length)) && (ACTIVE_STATUSES as unknown[]).includes(status)
    ? order
    : undefined;
}

async function world({
  payload,
  status,
  linked,
  created,
  listed,
}: Brought): Promise<{ bed: TestBed; store: StrictStore; ports: Ports }> {
  const bed = testBed();
  const { order } = (payload ?? {}) as { order?: unknown };
  if (typeof order === "string" && status) bed.food.orders.set(order, { name: order, customerId: "krithik", status });
  for (const name of listed) bed.food.orders.set(name, { name, customerId: name, status: "NEW" });
  bed.food.nextNames.push(created);
  bed.food.kitchenOrders.set("kitchenorders/0", { name: "kitchenorders/0", status: "PACKAGED" });
  bed.food.shipments.set("shipments/0", { name: "shipments/0", status: "DELIVERED" });
  await bed.store.set("leases/poll", { holder: "a", step: 0, until: new Date("9999-12-31T23:59:59Z") });
  const sound = orderIn(payload);
  if (sound !== undefined && linked !== "nothing") {
    const fields: Fields = { kitchen: "kitchenorders/0", ...(linked === "shipment" && { shipment: "shipments/0" }) };
    await bed.store.set(`relations/${sound.slice("orders/".length)}`, fields);
    await bed.store.memory.commit([linkEntry(sound, "kitchen", "kitchenorders/0", 0)]);
  }
  const store = new StrictStore(bed.store);
  return { bed, store, ports: { ...bed.ports, store } };
}

/** Whether a create can have been answered with this name, and the name be asked for again. */
function isSoundName(name: unknown, stage: string): boolean {
  if (typeof name !== "string" || name === "" || !isWellFormed(name) || /\p{Cc}/u.test(name)) return false;
  const foreign = stage === "kitchen" ? ["orders/", "shipments/"] : ["orders/", "kitchenorders/", "kitchens/"];
  return !foreign.some((prefix) => name.startsWith(prefix));
}

export const messages = kind(30, brought, async (given, { handleOrderMessage, continuePoll }, reached) => {
  const { bed, store, ports } = await world(given);
  const { to, payload } = given;
  if (to === "continuation") {
    const refused = await continuePoll(payload, ports).then(
      () => false,
      (error: unknown) => error instanceof ValidationError || Promise.reject(error),
    );
    // A name that can't be stored is parked under an id made of it.
    const writes = store.writes.filter(({ path }) => refused || !path.startsWith("attempts/kitchen:unusable-"));
    expectOnly(writes, refused ? [] : ["leases/poll"], "");
    count(reached, refused ? "continuations refused" : "continuations taken");
  } else {
    await handleOrderMessage(to, payload, ports);
    const order = orderIn(payload);
    const changed = store.writes.length + bed.food.created.length + bed.food.updates.length;
    expect(order !== undefined || changed === 0, () => `${brief(payload)} led to ${brief(store.writes)}`);
    const id = order?.slice("orders/".length) ?? "";
    expectOnly(store.writes, [`relations/${id}`, `attempts/kitchen:${id}`, `attempts/shipment:${id}`], order ?? "");
    expect(bed.food.created.length <= 1, () => "more than one create");
    for (const write of store.writes) {
      const fields = write.kind === "delete" ? {} : write.fields;
      for (const stage of ["kitchen", "shipment"]) {
        const name = write.path.startsWith("relations/") ? fields[stage] : undefined;
        expect(name === undefined || isSoundName(name, stage), () => `linked ${brief(name)}`);
      }
    }
    count(reached, changed > 0 ? `messages that ${to} acted on` : "messages that changed nothing");
  }
  for (const { message } of bed.published) {
    expect(orderIn(message) !== undefined, () => `published ${brief(message)}`);
    count(reached, "messages published");
  }
  expectSound(bed, store);
});
