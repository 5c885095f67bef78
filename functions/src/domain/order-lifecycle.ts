/**
 * Every state of an order, its kitchen order and its shipment, and every legal transition between them.
 * Start here to add a stage: everything else derives from these tables.
 */

/** The statuses of an order in the food service. `rank` says how far along it is; an order without a rank is not active. */
export const ORDER_STATUSES = {
  UNKNOWN: { code: 0, ended: false, rank: undefined },
  NEW: { code: 1, ended: false, rank: 0 },
  PREPARATION: { code: 2, ended: false, rank: 1 },
  IN_FLIGHT: { code: 3, ended: false, rank: 2 },
  DELIVERED: { code: 4, ended: true, rank: 3 },
  REJECTED: { code: 5, ended: true, rank: 3 },
  CANCELLED: { code: 6, ended: true, rank: undefined },
} as const satisfies Record<string, { code: number; ended: boolean; rank: number | undefined }>;

/** The statuses of a kitchen order. Only a packaged meal can be shipped. */
export const KITCHEN_STATUSES = {
  UNKNOWN: { code: 0, packaged: false },
  NEW: { code: 1, packaged: false },
  PREPARATION: { code: 2, packaged: false },
  PACKAGED: { code: 3, packaged: true },
} as const satisfies Record<string, { code: number; packaged: boolean }>;

/** The statuses of a shipment, and the outcome that each gives its order. */
export const SHIPMENT_STATUSES = {
  UNKNOWN: { code: 0, outcome: undefined },
  NEW: { code: 1, outcome: undefined },
  COLLECTED: { code: 2, outcome: undefined },
  DELIVERED: { code: 3, outcome: "DELIVERED" },
  REJECTED: { code: 4, outcome: "REJECTED" },
} as const satisfies Record<string, { code: number; outcome: DeliveryOutcome | undefined }>;

/**
 * The stages in the order in which they advance an order: the status that each one handles, its topic, its function, and what it
 * creates, if anything. The link is the relation's field with the stage's name.
 */
export const STAGES = {
  kitchen: {
    takes: "NEW",
    topic: "orders-new",
    function: "sendToKitchen",
    creates: { title: "kitchen order", leadsTo: "PREPARATION", prefixes: ["kitchenorders/", "kitchens/"] },
  },
  shipment: {
    takes: "PREPARATION",
    topic: "orders-preparation",
    function: "dispatchShipment",
    creates: { title: "shipment", leadsTo: "IN_FLIGHT", prefixes: ["shipments/"] },
  },
  completion: { takes: "IN_FLIGHT", topic: "orders-in-flight", function: "completeOrder", creates: undefined },
} as const satisfies Record<
  string,
  { takes: OrderStatus; topic: string; function: string; creates: CreatedResource | undefined }
>;

/** What a stage creates. */
interface CreatedResource {
  title: string;
  /** The state of a relation that links it. */
  leadsTo: "PREPARATION" | "IN_FLIGHT";
  /** The prefixes of its names on the known servers. */
  prefixes: readonly string[];
}

/**
 * The states of a relation. `reports` is the status that the order must then have in the food service;
 * CANCELLED and GONE come from the food service itself and are never reported back.
 */
export const RELATION_STATES = {
  PREPARATION: { open: true, reports: "PREPARATION" },
  IN_FLIGHT: { open: true, reports: "IN_FLIGHT" },
  DELIVERED: { open: false, reports: "DELIVERED" },
  REJECTED: { open: false, reports: "REJECTED" },
  CANCELLED: { open: false, reports: undefined },
  GONE: { open: false, reports: undefined },
} as const satisfies Record<string, { open: boolean; reports: OrderStatus | undefined }>;

/** The titles of order statuses and relation states, for the console and the terminal. */
export const STATE_TITLES = {
  UNKNOWN: "Unknown",
  NEW: "New",
  PREPARATION: "In preparation",
  IN_FLIGHT: "In flight",
  DELIVERED: "Delivered",
  REJECTED: "Rejected",
  CANCELLED: "Cancelled",
  GONE: "Not found upstream",
} as const satisfies Record<keyof typeof ORDER_STATUSES | keyof typeof RELATION_STATES, string>;

export type OrderStatus = keyof typeof ORDER_STATUSES;
/** The statuses of an order that has ended. */
export type FinalStatus = {
  [S in OrderStatus]: (typeof ORDER_STATUSES)[S]["ended"] extends true ? S : never;
}[OrderStatus];
export type KitchenStatus = keyof typeof KITCHEN_STATUSES;
export type ShipmentStatus = keyof typeof SHIPMENT_STATUSES;
export type Stage = keyof typeof STAGES;
/** The stages that create something which can't be undone. */
export type CreatingStage = { [S in Stage]: (typeof STAGES)[S]["creates"] extends undefined ? never : S }[Stage];
export const CREATING_STAGES = (Object.keys(STAGES) as Stage[]).filter((stage) => isCreating(stage));
export type ActiveStatus = (typeof STAGES)[Stage]["takes"];
export type RelationState = keyof typeof RELATION_STATES;
export type DeliveryOutcome = "DELIVERED" | "REJECTED";
/** The statuses that we write to orders. */
export type ReportedStatus = Exclude<(typeof RELATION_STATES)[RelationState]["reports"], undefined>;

/** The statuses of active orders, in the order of their stages. */
export const ACTIVE_STATUSES = Object.values(STAGES).map((stage) => stage.takes);

/** The stage that handles orders with this status, or undefined if no stage does. */
export function stageOf(status: OrderStatus): Stage | undefined {
  return (Object.keys(STAGES) as Stage[]).find((stage) => STAGES[stage].takes === status);
}

function isCreating(stage: Stage): stage is CreatingStage {
  return STAGES[stage].creates !== undefined;
}

/** The last creating stage: the outcome of what it creates is the order's outcome. */
export const LAST_CREATING_STAGE = CREATING_STAGES.at(-1) as CreatingStage;

/** The stage whose link moves a relation to this state, or undefined if no link does. */
export function stageLeadingTo(state: RelationState): CreatingStage | undefined {
  return CREATING_STAGES.find((stage) => STAGES[stage].creates.leadsTo === state);
}

/** Whether a relation in this state is still open. */
export function isOpen(state: RelationState): boolean {
  return RELATION_STATES[state].open;
}

/** The status with this wire number in one of the tables above; UNKNOWN for an unknown number. */
export function statusFromCode<S extends string>(
  table: Record<S | "UNKNOWN", { code: number }>,
  code: number,
): S | "UNKNOWN" {
  const known = (Object.keys(table) as S[]).find((status) => table[status].code === code);
  return known ?? "UNKNOWN";
}

/** Whether an order that the food service shows as `from` may be reported as `to`: forward only, and never from a final status. */
export function mayReport(from: OrderStatus, to: ReportedStatus): boolean {
  const { rank } = ORDER_STATUSES[from];
  return rank !== undefined && rank < ORDER_STATUSES[to].rank;
}

/** Whether an active order has this status before the other one. */
export function isBefore(status: OrderStatus, other: ActiveStatus): boolean {
  const { rank } = ORDER_STATUSES[status];
  return rank !== undefined && rank < ORDER_STATUSES[other].rank;
}

/** The final state of the relation of an order with this status, or undefined if the order has not ended. */
export function closingState(status: OrderStatus): FinalStatus | undefined {
  return isFinal(status) ? status : undefined;
}

function isFinal(status: OrderStatus): status is FinalStatus {
  return ORDER_STATUSES[status].ended;
}
