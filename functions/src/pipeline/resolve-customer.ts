/** Resolves the customer of a new relation through the user orchestrators. No order waits for it. */
import { CallRejectedError, ConflictError, isCallError, toErrorInfo } from "../domain/errors.js";
import { advanced, type Outcome, skipped } from "../domain/outcome.js";
import { isStorableName } from "../domain/resource-names.js";
import { storableText } from "../domain/storable.js";
import type { Fields, Ports, Snapshot } from "../ports.js";
import type { RelationChange } from "../relations/on-relation-written.js";
import { parseRelation, type Relation, relationIn } from "../relations/relation.js";

/** How many conflicts to retry before the event must be redelivered. */
const TRIES = 3;

/**
 * Stores the user of a relation's customer, or the reason why there is none.
 * @throws CallError if the chain or the food service can't be reached, StoreError, ConflictError, ValidationError
 */
export async function resolveCustomer({ after }: RelationChange, ports: Ports): Promise<Outcome> {
  if (!after) return skipped("the relation is deleted");
  const relation = parseRelation(after.path, after.fields);
  if (relation.customer) return skipped("the customer is resolved");
  return keep(after, await answerFor(relation, ports), ports);
}

/** The user, or the reason why there is none. Throws retryable errors. */
async function answerFor({ order, customerId: known }: Relation, { customers, food }: Ports): Promise<Fields> {
  try {
    const customerId = known ?? (await food.getOrder(order)).customerId;
    if (!isStorableName(customerId))
      return { reason: { code: "INVALID_ARGUMENT", message: "the order names no customer" } };
    const { name, class: form, roll } = await customers.userByName(customerId);
    return { name: storableText(name), class: storableText(form), roll };
  } catch (error) {
    const isFinal = error instanceof CallRejectedError || (isCallError(error) && error.code === "BAD_REPLY");
    if (isFinal) return { reason: toErrorInfo(error) };
    throw error;
  }
}

async function keep(found: Snapshot, customer: Fields, ports: Ports): Promise<Outcome> {
  let snapshot: Snapshot | undefined = found;
  for (let tries = 1; snapshot; tries++) {
    try {
      const { path, version } = snapshot;
      await ports.store.commit([{ kind: "update", path, version, fields: { customer } }]);
      return advanced("reason" in customer ? "customer unknown" : "customer known");
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === TRIES) throw error;
      [snapshot] = await ports.store.read(found.path);
      if (relationIn(snapshot)?.customer) return skipped("the customer is resolved");
    }
  }
  return skipped("the relation is deleted");
}
