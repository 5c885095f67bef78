/** The system that the browser tests look at: the Emulator Suite, an order that waits for each kind of decision, and people. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials } from "@grpc/grpc-js";
import { type AttemptState, attemptPath } from "../../functions/src/attempts/attempt.js";
import { idempotencyKey } from "../../functions/src/attempts/idempotency-key.js";
import type { RelationState } from "../../functions/src/domain/order-lifecycle.js";
import { KitchenServiceService } from "../../functions/src/generated/food/v1/food.js";
import { relationPath } from "../../functions/src/relations/relation.js";
import { attemptLeftIn } from "../../functions/src/testing/waiting-attempt.js";
import { writeDocuments } from "../../harness/emulators/firestore-rest.js";
import { addPerson } from "../../harness/emulators/test-accounts.js";
import { type System, startSystem } from "../../local/system.js";
import { call } from "../../services/call.js";
import { connectionTo } from "../../services/food-service/connection-options.js";
import { placeOrders } from "../../services/food-service/place-orders.js";

const MINUTE_MS = 60_000;

/** Functions that start for the first time on a busy machine take minutes. */
const ADVANCE_TIMEOUT_MS = 5 * MINUTE_MS;

/** After a tick, messages need a moment to arrive: how often to look, and how far apart. */
const LOOKS = 10;
const LOOK_AGAIN_MS = 200;

/** An account without a role. */
export const STRANGER = "stranger@example.com";

/** Starts it; schedules fire only when a test says so. */
export async function startConsole(speed: number): Promise<System> {
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
  const placing = { connection: connectionTo(server, certificate), customer, count: 1 };
  for await (const name of placeOrders(placing)) return name.slice("orders/".length);
  throw new Error("no order was placed");
}

/**
 * Fires the schedules until an order is in this state, and no more often: what a page shows of it stays until the next call.
 * @throws Error when that takes longer than a busy machine needs
 */
export async function tickUntil({ scheduler, store }: System, id: string, state: RelationState): Promise<void> {
  const deadline = Date.now() + ADVANCE_TIMEOUT_MS;
  while (Date.now() < deadline) {
    await scheduler.tick();
    for (let looks = 0; looks < LOOKS; looks++) {
      const [relation] = await store.read(relationPath(id));
      if (relation?.fields.state === state) return;
      await sleep(LOOK_AGAIN_MS);
    }
  }
  throw new Error(`${id} did not come to ${state} within ${ADVANCE_TIMEOUT_MS / MINUTE_MS} minutes`);
}

/** Creates an unlinked kitchen order for an order, as after a lost answer, and returns its name. */
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
export async function seedAttempt(
  system: System,
  id: string,
  state: AttemptState,
  reason: { code: string; message: string },
): Promise<void> {
  const fields = attemptLeftIn(state, `orders/${id}`, { reason });
  const { firestore, project } = suiteOf(system);
  await writeDocuments(firestore, project, [{ path: attemptPath("kitchen", id), fields }]);
}

function foodOf({ foodServer }: System) {
  if (!foodServer) throw new Error("the system runs without a food service");
  return { address: foodServer.address, certificate: readFileSync(foodServer.certificatePath, "utf8") };
}
