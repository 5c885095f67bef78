/** What the console watches, the same for every data source. */
import { ATTEMPT_STATES, type AttemptState } from "../../../functions/src/attempts/attempt-states.js";
import { RELATION_STATES, type RelationState } from "../../../functions/src/domain/order-lifecycle.js";

export const OPEN_STATES = (Object.keys(RELATION_STATES) as RelationState[]).filter(
  (state) => RELATION_STATES[state].open,
);

/** firestore.rules allow a query for exactly these states. */
export const ATTENTION_STATES = (Object.keys(ATTEMPT_STATES) as AttemptState[]).filter(
  (state) => ATTEMPT_STATES[state].needsOperator,
);

/** The maximum of watched documents, which limits the cost of an open page. */
export const MAX_ACTIVE = 10_000;
export const MAX_ATTENTION = 1_000;
