/**
 * What the handlers need from outside, as interfaces: clock, randomness, bus, store, food service, customers and log.
 * `adapters/firebase` implements them in the cloud, `adapters/memory` in one process.
 */
import type {
  ActiveStatus,
  CreatingStage,
  KitchenStatus,
  OrderStatus,
  ReportedStatus,
  ShipmentStatus,
  Stage,
} from "./domain/order-lifecycle.js";
import type { OrderRef } from "./domain/resource-names.js";
import type { Settings } from "./settings.js";

export interface Ports {
  clock: Clock;
  random: Randomness;
  bus: Bus;
  store: Store;
  food: FoodService;
  flow: FlowControl;
  links: LinkCache;
  customers: Customers;
  log: Log;
  settings: Settings;
}

export interface Clock {
  /** Milliseconds since the epoch. The clocks of instances differ, so never order events by it. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

export interface Randomness {
  uuid(): string;
  /** From 0 up to, not including, 1. */
  fraction(): number;
}

/** A hint that an order may be ready for the stage that handles this status. */
export interface OrderMessage {
  order: string;
  status: ActiveStatus;
  /** When the order was placed, in milliseconds since the epoch, if known. A different time means a different order. */
  placedAt?: number | undefined;
}

/** What a pass of the poll saw so far; times in milliseconds since the epoch. */
export interface PollProgress {
  startedAt: number;
  active: Record<ActiveStatus, number>;
  failedPages: number;
  error?: { code: string; message: string } | undefined;
  /** The number of orders placed after the newest one that an earlier run saw. */
  arrived: number;
  newest: number;
  /** The orders that have been NEW for longest, longest first. */
  waiting: { order: string; since: number }[];
}

/** Where a poll stopped. Builds before `positions` list the first status from its page on, and then the other ones. */
export interface PollContinuation {
  holder: string;
  step: number;
  statuses: ActiveStatus[];
  pageToken: string;
  /** The position in each status that is not listed completely. */
  positions?: { status: ActiveStatus; pageToken: string; pageSize: number; pages: number }[] | undefined;
  /** When the other statuses were listed, in milliseconds since the epoch. */
  startedAt?: number | undefined;
  /** What the pass saw so far; messages of older builds don't have it. */
  progress?: PollProgress | undefined;
}

/** Delivers at least once and unordered. A call resolves when the bus has accepted the messages, or rejects with a `BusError`. */
export interface Bus {
  publishOrders(stage: Stage, messages: OrderMessage[]): Promise<void>;
  publishContinuation(continuation: PollContinuation): Promise<void>;
}

export type Field = string | number | boolean | null | Date | { [name: string]: Field } | Field[];
export type Fields = { [name: string]: Field };

export interface Snapshot {
  path: string;
  fields: Fields;
  /** Changes with each write. */
  version: string;
}

/** `create` requires that the document does not exist, `update` that it has this version. An update merges top-level fields. */
export type Write =
  | { kind: "create"; path: string; fields: Fields }
  | { kind: "update"; path: string; version: string; fields: Fields }
  | { kind: "delete"; path: string; version: string };

/** The documents of a collection in which a field is one of these values. */
export interface Matching {
  collection: string;
  field: string;
  oneOf: string[];
  /** A field that holds a time: only documents that have it match. */
  latestBy?: string;
}

/** Matching documents by path, lowest first; with `latestBy`, the latest first and those of the same time by path, highest first. */
export interface Query extends Matching {
  limit: number;
  /** The path of the last document on the previous page. */
  after?: string;
  /** The time of that document, with `latestBy`. */
  afterTime?: Date;
}

/** Documents under paths such as `relations/x`. Failures are `ConflictError` and `StoreError`. */
export interface Store {
  /** All documents in one round trip, undefined for one that does not exist. */
  read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }>;
  /**
   * All writes or none, in one round trip; resolves with the new version of each written document.
   * Throws `ConflictError` if a precondition fails, `StoreError` if it failed otherwise or its outcome is unknown.
   */
  commit(writes: Write[]): Promise<string[]>;
  query(query: Query): Promise<Snapshot[]>;
  /** The number of matching documents. Billed as one read per thousand. */
  count(matching: Matching): Promise<number>;
}

export interface Order {
  name: string;
  customerId: string;
  /** When it was placed, if the service returns it. */
  placedAt?: Date | undefined;
  status: OrderStatus;
}

export interface KitchenOrder {
  name: string;
  status: KitchenStatus;
}

export interface Shipment {
  name: string;
  status: ShipmentStatus;
}

export interface OrderPage {
  orders: Order[];
  /** Empty on the last page. */
  nextPageToken: string;
}

/** Sent with a create: the idempotency key, and the deadline after which it must not be sent. */
export interface CreateOptions {
  idempotencyKey: string;
  /** Milliseconds since the epoch. */
  deadline: number;
}

/** The food service. Every failure is a `CallError`. A status that is not in the contract becomes UNKNOWN. */
export interface FoodService {
  /** Resolves when a call can be sent. */
  ready(): Promise<void>;
  listOrders(request: { status: ActiveStatus; pageSize: number; pageToken: string }): Promise<OrderPage>;
  getOrder(name: string): Promise<Order>;
  updateOrder(name: string, status: ReportedStatus): Promise<void>;
  createKitchenOrder(options: CreateOptions): Promise<KitchenOrder>;
  getKitchenOrder(name: string): Promise<KitchenOrder>;
  createShipment(options: CreateOptions): Promise<Shipment>;
  getShipment(name: string): Promise<Shipment>;
}

/** The kind of call that a slot is for. A create's slot is acquired before its claim, so no claim waits. */
export type SlotKind = "list" | "create" | "update" | "lookup";

/** The right to have one call in flight. */
export interface Slot {
  /** Makes the call, records its result, and frees the slot. */
  run<T>(method: string, call: () => Promise<T>): Promise<T>;
  /** Frees the slot, unless a call did. */
  release(): void;
}

/** Limits the calls to the food service that are in flight. */
export interface FlowControl {
  /** A slot as soon as one is free, or undefined after a timeout: then leave the work to the next poll. */
  acquire(kind: SlotKind): Promise<Slot | undefined>;
}

/** An order, as in its message. */
export interface WaitingOrder extends OrderRef {
  /** When it was placed, in milliseconds since the epoch, if the message has it. */
  readonly placedAt?: number | undefined;
}

/** An instance's cache of links. Any entry may disappear at any time, and no entry is a reason to advance an order. */
export interface LinkCache {
  find(stage: CreatingStage, order: WaitingOrder): string | undefined;
  remember(stage: CreatingStage, order: WaitingOrder, link: string): void;
  forget(stage: CreatingStage, order: WaitingOrder): void;
}

/** A user, as the user orchestrators return it. */
export interface User {
  name: string;
  class: string;
  roll: number;
}

/** The user orchestrators. Every failure is a `CallError`; a rejected call means that the user does not exist. */
export interface Customers {
  userByName(name: string): Promise<User>;
}

/** Structured log: one line per effect, with order, component and outcome in its fields. */
export interface Log {
  /** For work without an effect: most ticks of most orders. */
  debug(message: string, fields: object): void;
  info(message: string, fields: object): void;
  warn(message: string, fields: object): void;
  error(message: string, fields: object): void;
}
