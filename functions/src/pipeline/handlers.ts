/** All handlers, by what brings them their work: the same for the cloud, the embedded run and the simulation. */

import type { Stage } from "../domain/order-lifecycle.js";
import type { Result } from "../domain/outcome.js";
import { orderName } from "../domain/resource-names.js";
import type { Ports } from "../ports.js";
import { onRelationWritten, type RelationChange } from "../relations/on-relation-written.js";
import { sweep } from "../relations/sweep.js";
import { completeOrder } from "./complete-order.js";
import { dispatchShipment } from "./dispatch-shipment.js";
import { continuePoll, pollOrders } from "./poll-orders.js";
import { resolveCustomer } from "./resolve-customer.js";
import { type Advance, logged, takeMessage } from "./run-stage.js";
import { sendToKitchen } from "./send-to-kitchen.js";

const STAGE_HANDLERS: Record<Stage, Advance> = {
  kitchen: sendToKitchen,
  shipment: dispatchShipment,
  completion: completeOrder,
};

/** Takes a message of a stage's topic. */
export function take(stage: Stage, payload: unknown, ports: Ports): Promise<void> {
  return takeMessage(stage, payload, STAGE_HANDLERS[stage], ports);
}

/** Takes a message of a poll that ran out of time. */
export { continuePoll };

/** What reacts to relations: to every write, or to new ones only. */
const REACTIONS = {
  report: { to: "write", react: onRelationWritten },
  customer: { to: "create", react: resolveCustomer },
} as const satisfies Record<string, { to: "write" | "create"; react: Reaction }>;

type Reaction = (change: RelationChange, ports: Ports) => Promise<Result>;
export type ReactionName = keyof typeof REACTIONS;

/** The names of the reactions to a change of this kind. */
export function reactionsTo({ before }: RelationChange): ReactionName[] {
  const names = Object.keys(REACTIONS) as ReactionName[];
  return names.filter((name) => REACTIONS[name].to === "write" || before === undefined);
}

/** Reacts to a change of the relation with this id. */
export function reactTo(name: ReactionName, id: string, change: RelationChange, ports: Ports): Promise<void> {
  return logged({ stage: name, order: orderName(id) }, ports, async (fields) => {
    const result = await REACTIONS[name].react(change, ports);
    if (change.at !== undefined) fields.lag = Math.max(0, ports.clock.now() - change.at);
    return result;
  });
}

/** What runs on a schedule. */
export const SCHEDULED = { pollOrders, sweep } as const satisfies Record<string, (ports: Ports) => Promise<object>>;
