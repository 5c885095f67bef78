/** Parks an order that its stage can't advance, and for which nothing was sent. */
import { ConflictError } from "../domain/errors.js";
import { type CreatingStage, STAGES } from "../domain/order-lifecycle.js";
import { blocked, type Outcome } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports } from "../ports.js";
import { attemptPath, claimFields, MISSING_LINK } from "./attempt.js";

/**
 * Creates a parked attempt that says why, for an operator to resolve. An attempt that exists already is left unchanged.
 * @param code why it is parked; MISSING_LINK means that only a link resolves it, and a retry is rejected
 * @throws StoreError
 */
export async function park(
  stage: CreatingStage,
  ref: OrderRef,
  message: string,
  ports: Ports,
  code: string = MISSING_LINK,
): Promise<Outcome> {
  const path = attemptPath(stage, ref.id);
  const [existing] = await ports.store.read(path);
  if (!existing) {
    const fields = {
      ...claimFields({
        order: ref.name,
        stage,
        id: ports.random.uuid(),
        policy: ports.settings.CREATE_POLICY,
        tries: 0,
        claimedAt: ports.clock.now(),
        leaseUntil: 0,
      }),
      state: "PARKED",
      leaseUntil: null,
      reason: { code, message },
    };
    try {
      await ports.store.commit([{ kind: "create", path, fields }]);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
  return blocked(`${message}; an operator must resolve it (${STAGES[stage].topic})`);
}
