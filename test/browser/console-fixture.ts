/** The system that the browser tests look at: the Emulator Suite, an order that waits for each kind of decision, and people. */
import { readFileSync } from "node:fs";
import { Client, credentials } from "@grpc/grpc-js";
import { seededRandomness } from "../../functions/src/adapters/memory/random.js";
import { type AttemptState, attemptPath, claimFields } from "../../functions/src/attempts/attempt.js";
import { idempotencyKey } from "../../functions/src/attempts/idempotency-key.js";
import { KitchenServiceService } from "../../functions/src/generated/food/v1/food.js";
import type { Fields } from "../../functions/src/ports.js";
import { type Document, writeDocuments } from "../../harness/emulators/firestore-rest.js";
import { addPerson } from "../../harness/emulators/test-accounts.js";
import { type System, startSystem } from "../../local/system.js";
import { call } from "../../services/call.js";
import { placeOrders } from "../../services/food-service/place-orders.js";

/** Somebody who has an account and no role. */
export const STRANGER = "stranger@example.com";

/** Starts it; nothing ticks by itself. */
export async function startDesk(speed: number): Promise<System> {
  const simulated = { speed, rejected: 0, cancelled: 0, seed: "7" };
  const system = await startSystem({
    portsFrom: "auto",
    embedded: false,
    foodService: { simulated },
    intervals: { pollOrders: 1, sweep: 1 },
  });
  try {
    const { auth, project } = suiteOf(system);
    await addPerson(auth, project, STRANGER, "{}");
    return system;
  } catch (error) {
    await system.stop();
    throw error;
  }
}

export function suiteOf({ suite }: System): NonNullable<System["suite"]> {
  if (!suite) throw new Error("the system runs without emulators");
  return suite;
}

/** Places an order and returns its id. */
export async function place(system: System, customer: string): Promise<string> {
  const { address: server, certificate } = foodOf(system);
  const placing = { server, certificate: Buffer.from(certificate), customer, count: 1 };
  for await (const name of placeOrders(placing)) return name.slice("orders/".length);
  throw new Error("no order was placed");
}

/** Creates the kitchen order of an order, which nobody links, as after a lost answer; its name. */
export async function cook(system: System, id: string): Promise<string> {
  const { address, certificate } = foodOf(system);
  const client = new Client(address, credentials.createSsl(Buffer.from(certificate)));
  try {
    const kitchenorder = { name: "", createTime: "", updateTime: "", status: 1 };
    const metadata = { "idempotency-key": idempotencyKey(`orders/${id}`, "kitchen") };
    return (await call(client, KitchenServiceService.createKitchenOrder, { kitchenorder }, { metadata })).name;
  } finally {
    client.close();
  }
}

/** Leaves an order's attempt at the kitchen in this state, as a run that went wrong would have. */
export async function strand(system: System, id: string, state: AttemptState, reason: Fields): Promise<void> {
  const claim = {
    order: `orders/${id}`,
    stage: "kitchen",
    id: "a",
    policy: "park",
    tries: 1,
    claimedAt: 0,
    leaseUntil: 0,
  } as const;
  const fields = { ...claimFields(claim), leaseUntil: null, state, reason };
  const { firestore, project } = suiteOf(system);
  await writeDocuments(firestore, project, [{ path: attemptPath("kitchen", id), fields }]);
}

function foodOf({ foodServer }: System) {
  if (!foodServer) throw new Error("the system runs without a food service");
  return { address: foodServer.address, certificate: readFileSync(foodServer.certificatePath, "utf8") };
}

const NAMES = ["krithik", "marguerite", "jonathan", "adaeze-o", "li-wei-chen", "sofia.r", "bartholomew", "ana"];

/** Relations as a noon would have them, in the kitchen and in flight for some minutes or, a few, for too long. */
export function sampleOrders(count: number, now: number): Document[] {
  const random = seededRandomness(3);
  return Array.from({ length: count }, (_, index) => {
    const flies = index % 3 === 0;
    const minutes = (index % 9 === 4 ? 38 : 2) + random.fraction() * 14;
    const since = now - minutes * 60_000;
    const cooked = flies ? since - (6 + random.fraction() * 6) * 60_000 : since;
    const customer = NAMES[index % NAMES.length] ?? "";
    const kitchen = `kitchenorders/${random.uuid()}`;
    const links = { kitchen, ...(flies && { shipment: `shipments/${random.uuid()}` }) };
    const times = { PREPARATION: new Date(cooked), ...(flies && { IN_FLIGHT: new Date(since) }) };
    const user = { name: customer, class: String(customer.length), roll: 10 * customer.length };
    const refused = { reason: { code: "INVALID_ARGUMENT", message: `the name "${customer}" is shorter than 6 bytes` } };
    const fields = {
      schema: 1,
      state: flies ? "IN_FLIGHT" : "PREPARATION",
      ...links,
      customerId: customer,
      customer: customer.length < 6 ? refused : user,
      placedAt: new Date(cooked - 40_000),
      times,
    };
    return { path: `relations/${random.uuid()}`, fields };
  });
}
