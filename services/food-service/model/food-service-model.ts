/**
 * The food service in one process: orders, kitchen and drones that are independent of each other, as in the contract.
 * It has no timers: the times of all changes are drawn at creation, and a status is derived from the time when it is read.
 */

import { type CallError, callError, ValidationError } from "../../../functions/src/domain/errors.js";
import {
  CREATING_STAGES,
  type CreatingStage,
  type KitchenStatus,
  ORDER_STATUSES,
  type OrderStatus,
  type ReportedStatus,
  type ShipmentStatus,
} from "../../../functions/src/domain/order-lifecycle.js";
import { isStorableName } from "../../../functions/src/domain/resource-names.js";
import type {
  Clock,
  CreateOptions,
  FoodService,
  KitchenOrder,
  Order,
  Randomness,
  Shipment,
} from "../../../functions/src/ports.js";
import { DueQueue } from "./due-queue.js";
import { type EventOf, type FoodServiceEvent, parseEvent } from "./food-service-event.js";
import { PagedList, type Place } from "./paged-list.js";

const MINUTE = 60_000;

/** The minimum and maximum duration of each step at speed 1, in minutes. */
const STEPS = {
  toPreparation: [1, 3],
  toPackaged: [5, 11],
  toCollected: [2, 6],
  toOutcome: [7, 15],
} as const;

/** The expected duration of an order at speed 1, in minutes. */
const EXPECTED_LIFE = Object.values(STEPS).reduce((sum, [least, most]) => sum + (least + most) / 2, 0);

const USUAL_PAGE = 100;
const LARGEST_PAGE = 1000;

export interface FoodServiceOptions {
  clock: Pick<Clock, "now">;
  random: Randomness;
  /** Divides every duration. At 1, the default, the kitchen takes about 10 minutes and a drone about 15. */
  speed?: number;
  /** The share of shipments that end REJECTED, from 0 to 1. */
  rejected?: number;
  /** The share of orders whose customer tries to cancel at some time of the order's expected life, from 0 to 1. */
  cancelled?: number;
  /** Whether a create with a known key returns the resource of the first create. */
  honoursIdempotencyKey?: boolean;
  /** Called with each change before it is applied and acknowledged. If it throws, nothing changes. */
  onEvent?: (event: FoodServiceEvent) => void;
}

/** The additional fields of the wire format: times in milliseconds since the epoch. */
interface Stamps {
  createdAt: number;
  updatedAt: number;
}

export type OrderRecord = Order & Stamps;
export type KitchenOrderRecord = KitchenOrder & Stamps;
export type ShipmentRecord = Shipment & Stamps;

type Actor = "customer" | "orchestrator";

/** A status that was reached, and when, in RFC 3339. */
interface Change<S> {
  status: S;
  at: string;
}

/** A created resource. */
interface Created<S> {
  name: string;
  createdAt: string;
  /** The key of the create, whether or not keys are honoured. */
  idempotencyKey: string | null;
  status: S;
  /** Every status so far, the first one included. */
  changes: Change<S>[];
}

export interface PlacedOrder {
  name: string;
  customerId: string;
  status: OrderStatus;
  /** Every status so far, NEW included. */
  changes: (Change<OrderStatus> & { by: Actor })[];
}

/** The ground truth as plain JSON, in the order of creation. */
export interface GroundTruth {
  orders: PlacedOrder[];
  kitchenOrders: Created<KitchenStatus>[];
  shipments: Created<ShipmentStatus>[];
}

type CreatedResource = Created<KitchenStatus | ShipmentStatus>;

/** All that was created in one stage, in order of creation. */
export function createdBy(stage: CreatingStage, truth: GroundTruth): CreatedResource[] {
  return { kitchen: truth.kitchenOrders, shipment: truth.shipments }[stage];
}

/** All that was created, stage by stage. */
export function allCreated(truth: GroundTruth): CreatedResource[] {
  return CREATING_STAGES.flatMap((stage) => createdBy(stage, truth));
}

class StoredOrder {
  status: OrderStatus = "NEW";
  /** Its place in the list of its status, and in the list of all orders. */
  place: Place<StoredOrder>;
  readonly placeInAll: Place<StoredOrder>;
  readonly changes: { status: OrderStatus; at: number; by: Actor }[];

  constructor(
    readonly name: string,
    readonly customerId: string,
    at: number,
    lists: Record<"NEW" | "UNKNOWN", PagedList<StoredOrder>>,
  ) {
    this.changes = [{ status: "NEW", at, by: "customer" }];
    this.place = lists.NEW.add(this);
    this.placeInAll = lists.UNKNOWN.add(this);
  }
}

/** A planned cancellation. */
interface Cancellation {
  at: number;
  number: number;
  order: StoredOrder;
}

export class FoodServiceModel implements FoodService {
  private readonly orders = new Map<string, StoredOrder>();
  private readonly kitchenOrders = new Map<string, EventOf<"kitchenOrder">>();
  private readonly shipments = new Map<string, EventOf<"shipment">>();
  /** The resource of the first create with each key. */
  private readonly kitchenKeys = new Map<string, EventOf<"kitchenOrder">>();
  private readonly shipmentKeys = new Map<string, EventOf<"shipment">>();
  private readonly cancellations = new DueQueue<Cancellation>();
  /** Orders by status; under UNKNOWN are those of every status. */
  private readonly lists: Record<OrderStatus, PagedList<StoredOrder>>;
  private readonly options: Required<FoodServiceOptions>;
  private latest = 0;

  constructor(options: FoodServiceOptions) {
    const usual = { speed: 1, rejected: 0, cancelled: 0, honoursIdempotencyKey: false, onEvent: () => {} };
    this.options = { ...usual, ...options };
    const statuses = Object.keys(ORDER_STATUSES) as OrderStatus[];
    const lists = statuses.map((status) => [status, new PagedList<StoredOrder>()]);
    this.lists = Object.fromEntries(lists) as Record<OrderStatus, PagedList<StoredOrder>>;
  }

  async ready(): Promise<void> {}

  /**
   * Places an order.
   * @throws CallError INVALID_ARGUMENT for a customer that is no usable text
   */
  placeOrder(customerId: string): OrderRecord {
    if (!isStorableName(customerId)) {
      throw refusal("INVALID_ARGUMENT", "order.customer_id must have 1 to 1400 bytes and no control characters");
    }
    const at = this.now();
    const { cancelled, random, speed } = this.options;
    const name = this.newName("orders/", this.orders);
    // The number of draws is independent of the shares, so another share does not change the rest of a seed's run.
    const cancels = random.fraction() < cancelled;
    const cancelAt = Math.round(at + (random.fraction() * EXPECTED_LIFE * MINUTE) / speed);
    this.commit({ kind: "order", name, at, customerId, cancelAt: cancels ? cancelAt : null });
    return this.recordOf(name);
  }

  /**
   * Cancels an order as its customer.
   * @throws CallError NOT_FOUND, or FAILED_PRECONDITION for an order that has ended
   */
  cancelOrder(name: string): OrderRecord {
    const at = this.now();
    const { status } = this.storedOrder(name);
    if (ORDER_STATUSES[status].ended) throw refusal("FAILED_PRECONDITION", `the order ${name} is ${status} already`);
    this.commit({ kind: "update", name, at, status: "CANCELLED", by: "customer" });
    return this.recordOf(name);
  }

  /**
   * Sets an order's status as UpdateOrder does: without a precondition, and no other field.
   * @throws CallError NOT_FOUND, or INVALID_ARGUMENT for UNKNOWN and for a mask that is not exactly `status`
   */
  changeOrder(name: string, status: OrderStatus, mask: readonly string[]): OrderRecord {
    const at = this.now();
    if (mask.length !== 1 || mask[0] !== "status") {
      throw refusal("INVALID_ARGUMENT", "update_mask must name status and nothing else");
    }
    if (status === "UNKNOWN") throw refusal("INVALID_ARGUMENT", "order.status must be one of the known statuses");
    if (this.storedOrder(name).status !== status) {
      this.commit({ kind: "update", name, at, status, by: "orchestrator" });
    }
    return this.recordOf(name);
  }

  async updateOrder(name: string, status: ReportedStatus): Promise<void> {
    this.changeOrder(name, status, ["status"]);
  }

  /** The status of an order, undefined if there is none with this name. */
  statusOf(name: string): OrderStatus | undefined {
    this.now();
    return this.orders.get(name)?.status;
  }

  async getOrder(name: string): Promise<OrderRecord> {
    this.now();
    return this.recordOf(name);
  }

  /**
   * Lists orders in the order in which they reached the status; UNKNOWN lists all orders as they were placed.
   * An order that keeps its status while pages are read is on exactly one of them. A page size of 0 is the default.
   * @throws CallError INVALID_ARGUMENT for a negative page size or a token that was not given for this status
   */
  async listOrders(request: {
    status: OrderStatus;
    pageSize: number;
    pageToken: string;
  }): Promise<{ orders: OrderRecord[]; nextPageToken: string }> {
    this.now();
    const { status, pageSize, pageToken } = request;
    if (!Number.isInteger(pageSize) || pageSize < 0) {
      throw refusal("INVALID_ARGUMENT", `page_size is ${pageSize}: it must not be negative`);
    }
    const list = this.lists[status];
    const from = pageToken === "" ? 0 : numberIn(pageToken, status);
    if (from === undefined || (from > 0 && from >= list.length)) {
      throw refusal("INVALID_ARGUMENT", "page_token is not one that was given for this status_filter");
    }
    const { items, next } = list.page(from, Math.min(pageSize || USUAL_PAGE, LARGEST_PAGE));
    return { orders: items.map(orderRecord), nextPageToken: next === undefined ? "" : `${status}:${next}` };
  }

  async createKitchenOrder({ idempotencyKey, deadline }: CreateOptions): Promise<KitchenOrderRecord> {
    this.expectInTime(deadline);
    return this.makeKitchenOrder(idempotencyKey);
  }

  async createShipment({ idempotencyKey, deadline }: CreateOptions): Promise<ShipmentRecord> {
    this.expectInTime(deadline);
    return this.makeShipment(idempotencyKey);
  }

  /** Honors idempotency keys from now on. Earlier creates are not found by their keys. */
  startHonouringKeys(): void {
    this.options.honoursIdempotencyKey = true;
    this.kitchenKeys.clear();
    this.shipmentKeys.clear();
  }

  /**
   * Loses an order and places another one under its name, like a food service that lost its state and assigns names from the start.
   * It emits no event.
   */
  replaceOrder(name: string): void {
    const at = this.now();
    const old = this.storedOrder(name);
    this.lists[old.status].remove(old.place);
    this.lists.UNKNOWN.remove(old.placeInAll);
    this.keepOrder({ kind: "order", name, at, customerId: old.customerId, cancelAt: null });
  }

  /** Forgets the key of a resource, so the same key creates another one. */
  forgetKey(name: string): void {
    for (const keys of [this.kitchenKeys, this.shipmentKeys]) {
      for (const [key, made] of keys) if (made.name === name) keys.delete(key);
    }
  }

  /** Creates a kitchen order as the wire does; the key may be missing. */
  makeKitchenOrder(key: string | null): KitchenOrderRecord {
    const at = this.now();
    const first = this.options.honoursIdempotencyKey && key !== null ? this.kitchenKeys.get(key) : undefined;
    if (first) return kitchenRecord(first, at);
    const name = this.newName("kitchenorders/", this.kitchenOrders);
    const preparationAt = this.draw(at, STEPS.toPreparation);
    const packagedAt = this.draw(preparationAt, STEPS.toPackaged);
    const event = { kind: "kitchenOrder", name, at, key, preparationAt, packagedAt } as const;
    this.commit(event);
    return kitchenRecord(event, at);
  }

  /** Creates a shipment as the wire does; the key may be missing. */
  makeShipment(key: string | null): ShipmentRecord {
    const at = this.now();
    const first = this.options.honoursIdempotencyKey && key !== null ? this.shipmentKeys.get(key) : undefined;
    if (first) return shipmentRecord(first, at);
    const name = this.newName("shipments/", this.shipments);
    const collectedAt = this.draw(at, STEPS.toCollected);
    const endedAt = this.draw(collectedAt, STEPS.toOutcome);
    const outcome = this.options.random.fraction() < this.options.rejected ? "REJECTED" : "DELIVERED";
    const event = { kind: "shipment", name, at, key, collectedAt, endedAt, outcome } as const;
    this.commit(event);
    return shipmentRecord(event, at);
  }

  async getKitchenOrder(name: string): Promise<KitchenOrderRecord> {
    return kitchenRecord(found(this.kitchenOrders, name, "kitchen order"), this.now());
  }

  async getShipment(name: string): Promise<ShipmentRecord> {
    return shipmentRecord(found(this.shipments, name, "shipment"), this.now());
  }

  /** The ground truth so far. */
  truth(): GroundTruth {
    const now = this.now();
    return {
      orders: [...this.orders.values()].map(({ name, customerId, status, changes }) => ({
        name,
        customerId,
        status,
        changes: changes.map(({ status, at, by }) => ({ status, at: rfc3339(at), by })),
      })),
      kitchenOrders: [...this.kitchenOrders.values()].map((made) => created(made, kitchenLife(made, now))),
      shipments: [...this.shipments.values()].map((made) => created(made, shipmentLife(made, now))),
    };
  }

  /**
   * Replays an event of an earlier run, in the order of `onEvent`. It draws and emits nothing.
   * @throws ValidationError for an invalid event, or one that contradicts the events before it
   */
  replay(given: unknown): void {
    const event = parseEvent(given);
    const known = this.orders.has(event.name) || this.kitchenOrders.has(event.name) || this.shipments.has(event.name);
    if (event.kind === "update" && !known)
      throw new ValidationError(`an update of ${event.name}, which does not exist`);
    if (event.kind !== "update" && known) throw new ValidationError(`${event.name} was created before`);
    this.settle(event.at);
    this.apply(event);
  }

  /** Applies everything that is due, and returns the time. It never goes back, even if the clock does. */
  private now(): number {
    this.settle(this.options.clock.now());
    return this.latest;
  }

  /** Applies the cancellations that are due at this time. */
  private settle(until: number): void {
    this.latest = Math.max(this.latest, until);
    for (let due = this.cancellations.take(this.latest); due; due = this.cancellations.take(this.latest)) {
      const { order } = due;
      const isReplaced = this.orders.get(order.name) !== order;
      if (!isReplaced && !ORDER_STATUSES[order.status].ended) this.move(due.order, "CANCELLED", due.at, "customer");
    }
  }

  private commit(event: FoodServiceEvent): void {
    this.options.onEvent(event);
    this.apply(event);
  }

  private apply(event: FoodServiceEvent): void {
    switch (event.kind) {
      case "order":
        this.keepOrder(event);
        break;
      case "kitchenOrder":
        this.kitchenOrders.set(event.name, event);
        keepKey(this.kitchenKeys, event);
        break;
      case "shipment":
        this.shipments.set(event.name, event);
        keepKey(this.shipmentKeys, event);
        break;
      case "update":
        this.move(this.storedOrder(event.name), event.status, event.at, event.by);
    }
  }

  private keepOrder({ name, customerId, at, cancelAt }: EventOf<"order">): void {
    const order = new StoredOrder(name, customerId, at, this.lists);
    this.orders.set(name, order);
    const { number } = order.placeInAll;
    if (cancelAt !== null) this.cancellations.add({ at: cancelAt, number, order });
  }

  private move(order: StoredOrder, status: OrderStatus, at: number, by: Actor): void {
    this.lists[order.status].remove(order.place);
    order.status = status;
    order.place = this.lists[status].add(order);
    order.changes.push({ status, at, by });
  }

  private storedOrder(name: string): StoredOrder {
    return found(this.orders, name, "order");
  }

  private recordOf(name: string): OrderRecord {
    return orderRecord(this.storedOrder(name));
  }

  private newName(prefix: string, taken: ReadonlyMap<string, unknown>): string {
    const name = prefix + this.options.random.uuid();
    if (taken.has(name)) throw new Error(`the randomness gave ${name} twice`);
    return name;
  }

  private draw(after: number, [least, most]: readonly [number, number]): number {
    const { random, speed } = this.options;
    return Math.round(after + ((least + (most - least) * random.fraction()) * MINUTE) / speed);
  }

  private expectInTime(deadline: number): void {
    if (this.options.clock.now() <= deadline) return;
    throw callError("DEADLINE_EXCEEDED", "the deadline had passed before the call was sent", false);
  }
}

function found<T>(things: ReadonlyMap<string, T>, name: string, kind: string): T {
  const thing = things.get(name);
  if (thing !== undefined) return thing;
  if (isStorableName(name)) throw refusal("NOT_FOUND", `there is no ${kind} ${name}`);
  throw refusal("INVALID_ARGUMENT", "name must have 1 to 1400 bytes and no control characters");
}

function keepKey<E extends { key: string | null }>(keys: Map<string, E>, event: E): void {
  if (event.key !== null && !keys.has(event.key)) keys.set(event.key, event);
}

function refusal(code: string, message: string): CallError {
  return callError(code, message, true);
}

/** The number in a page token of this status, undefined for any other text. */
function numberIn(token: string, status: OrderStatus): number | undefined {
  const [, of, number] = /^([A-Z_]+):(\d{1,15})$/.exec(token) ?? [];
  return of === status ? Number(number) : undefined;
}

interface Step<S> {
  status: S;
  at: number;
}

function kitchenLife({ at, preparationAt, packagedAt }: EventOf<"kitchenOrder">, now: number): Step<KitchenStatus>[] {
  const life: Step<KitchenStatus>[] = [{ status: "NEW", at }];
  if (preparationAt <= now) life.push({ status: "PREPARATION", at: preparationAt });
  if (packagedAt <= now) life.push({ status: "PACKAGED", at: packagedAt });
  return life;
}

function shipmentLife({ at, collectedAt, endedAt, outcome }: EventOf<"shipment">, now: number): Step<ShipmentStatus>[] {
  const life: Step<ShipmentStatus>[] = [{ status: "NEW", at }];
  if (collectedAt <= now) life.push({ status: "COLLECTED", at: collectedAt });
  if (endedAt <= now) life.push({ status: outcome, at: endedAt });
  return life;
}

function orderRecord({ name, customerId, status, changes }: StoredOrder): OrderRecord {
  return { name, customerId, status, createdAt: first(changes).at, updatedAt: last(changes).at };
}

function kitchenRecord(made: EventOf<"kitchenOrder">, now: number): KitchenOrderRecord {
  const { status, at } = last(kitchenLife(made, now));
  return { name: made.name, status, createdAt: made.at, updatedAt: at };
}

function shipmentRecord(made: EventOf<"shipment">, now: number): ShipmentRecord {
  const { status, at } = last(shipmentLife(made, now));
  return { name: made.name, status, createdAt: made.at, updatedAt: at };
}

function created<S>(made: { name: string; at: number; key: string | null }, life: Step<S>[]): Created<S> {
  return {
    name: made.name,
    createdAt: rfc3339(made.at),
    idempotencyKey: made.key,
    status: last(life).status,
    changes: life.map(({ status, at }) => ({ status, at: rfc3339(at) })),
  };
}

function first<T>(things: T[]): T {
  return things[0] as T;
}

function last<T>(things: T[]): T {
  return things[things.length - 1] as T;
}

function rfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
