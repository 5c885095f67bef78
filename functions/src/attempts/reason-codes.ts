/** The reasons why an order waits for an operator although no create failed, and what the operator can do about each. */

/** What an operator can decide. */
const ACTIONS = ["link", "retry", "dismiss"] as const;

export type Action = (typeof ACTIONS)[number];

/**
 * Our own reason codes; all other codes are gRPC status codes of a failed create. The names are stored: never
 * rename one. docs/runbook-stuck-orders.md says what each action does.
 */
const REASONS = {
  /** Another program advanced the order, and nothing is linked. Stored by all builds. */
  STRANDED: { actions: ["link", "dismiss"] },
  /** Another program wrote so much into the relation that a link no longer fits. */
  RELATION_TOO_LARGE: { actions: ["link", "retry", "dismiss"] },
  /** The food service no longer finds the linked kitchen order or shipment. */
  LINK_NOT_FOUND: { actions: ["link", "retry", "dismiss"] },
  /** The food service rejects the update of the order's status. */
  REPORT_REJECTED: { actions: ["retry", "dismiss"] },
  /** The food service acknowledges updates of the order's status but does not apply them. */
  REPORT_IGNORED: { actions: ["retry", "dismiss"] },
  /** The food service no longer finds the order, nor many others. */
  ORDER_NOT_FOUND: { actions: ["dismiss"] },
  /** The food service lists the order, but does not reply about it, or replies about another one. */
  ORDER_UNREADABLE: { actions: ["dismiss"] },
  /** The order was cancelled and its relation closed, but the food service shows it as active again. */
  ACTIVE_AFTER_CANCELLATION: { actions: ["retry", "dismiss"] },
  /** The order's creation time differs from its relation's: it may be another order with the same name. */
  ORDER_REPLACED: { actions: ["retry", "dismiss"] },
  /** The food service lists an order under a name that can't be stored. */
  UNUSABLE_NAME: { actions: ["dismiss"] },
} as const satisfies Record<string, { actions: readonly Action[] }>;

export type ReasonCode = keyof typeof REASONS;

/** Whether this is one of our own reasons, and not the code of a create that failed. */
export function isReasonCode(code: string | undefined): code is ReasonCode {
  return code !== undefined && Object.hasOwn(REASONS, code);
}

/** What an operator can do about an attempt with this reason. A create that failed can be linked, retried or dismissed. */
export function actionsFor(code: string | undefined): readonly Action[] {
  return isReasonCode(code) ? REASONS[code].actions : ACTIONS;
}
