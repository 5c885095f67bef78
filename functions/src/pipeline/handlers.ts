/** All handlers, by their trigger. The cloud, the embedded run and the simulation use the same table. */

import { toErrorInfo } from "../domain/errors.js";
import type { Stage } from "../domain/order-lifecycle.js";
import type { Outcome } from "../domain/outcome.js";
import { orderRefFromId } from "../domain/resource-names.js";
import type { Ports } from "../ports.js";
import { onRelationWritten, type RelationChange } from "../relations/on-relation-written.js";
import { rollUpStatistics } from "../relations/statistics.js";
import { sweep } from "../relations/sweep.js";
import { completeOrder } from "./complete-order.js";
import { dispatchShipment } from "./dispatch-shipment.js";
import { unpackOrders } from "./messages.js";
import { continuePoll, pollOrders } from "./poll-orders.js";
import { resolveCustomer } from "./resolve-customer.js";
import { leftToPoll, runStage, type StageHandler, withOutcomeLog } from "./run-stage.js";
import { sendToKitchen } from "./send-to-kitchen.js";
import { countingUnreadable } from "./unreadable-order.js";

const STAGE_HANDLERS: Record<Stage, StageHandler> = {
  kitchen: sendToKitchen,
  shipment: dispatchShipment,
  completion: completeOrder,
};

/** Handles an order in a stage. @throws RetryableError */
export function handleOrderMessage(stage: Stage, payload: unknown, ports: Ports): Promise<void> {
  return runStage(stage, payload, countingUnreadable(stage, STAGE_HANDLERS[stage]), ports);
}

/**
 * Handles a message of a stage's topic, which contains one or several orders. The orders are handled concurrently.
 * @throws RetryableError if one of them failed; the message is redelivered, which does nothing for orders that succeeded
 */
export async function handleStageMessage(stage: Stage, payload: unknown, ports: Ports): Promise<void> {
  const orders = unpackOrders(payload).map((order) => handleOrderMessage(stage, order, ports));
  const failed = (await Promise.allSettled(orders)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
}

/** Handles a message of a poll that ran out of time. */
export { continuePoll };

/** The reactions to relations: to every write, or to new relations only. */
const REACTIONS = {
  // A stage that meets an order behind its relation reports again.
  report: { to: "write", react: (change, ports) => leftToPoll(onRelationWritten(change, ports)) },
  customer: { to: "create", react: resolveCustomer },
} as const satisfies Record<string, { to: "write" | "create"; react: Reaction }>;

type Reaction = (change: RelationChange, ports: Ports) => Promise<Outcome>;
export type ReactionName = keyof typeof REACTIONS;

/** The names of the reactions to a change of this kind. */
export function reactionsTo({ before }: RelationChange): ReactionName[] {
  const names = Object.keys(REACTIONS) as ReactionName[];
  return names.filter((name) => REACTIONS[name].to === "write" || before === undefined);
}

/** Reacts to a change of the relation with this id. */
export function runReaction(name: ReactionName, id: string, change: RelationChange, ports: Ports): Promise<void> {
  return withOutcomeLog({ component: name, order: orderRefFromId(id).name }, ports, async (context) => {
    const result = await REACTIONS[name].react(change, ports);
    if (change.at !== undefined) context.lag = Math.max(0, ports.clock.now() - change.at);
    return result;
  });
}

/** Sweeps, then adds past hours to the statistics. If an hour can't be counted now, a later sweep counts it. */
async function sweepAndCount(ports: Ports): Promise<object> {
  const result = await sweep(ports);
  await rollUpStatistics(ports).catch((error: unknown) => {
    const fields = { component: "statistics", outcome: "failed", reason: toErrorInfo(error) };
    ports.log.error("Failed to count past hours", fields);
  });
  return result;
}

/** The scheduled handlers. */
export const SCHEDULED = { pollOrders, sweep: sweepAndCount } as const satisfies Record<
  string,
  (ports: Ports) => Promise<object>
>;
