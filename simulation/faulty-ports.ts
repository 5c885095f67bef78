/** The ports of one run of a handler, through which faults strike. */

import { withCheckedReplies } from "../functions/src/adapters/firebase/verified-replies.js";
import type { MemoryStore } from "../functions/src/adapters/memory/store.js";
import { BusError, callError, StoreError } from "../functions/src/domain/errors.js";
import { ORDER_STATUSES, type OrderStatus, stageOf } from "../functions/src/domain/order-lifecycle.js";
import { AdaptiveFlowControl, withFlowControl } from "../functions/src/flow-control.js";
import { RecentLinks } from "../functions/src/link-cache.js";
import type {
  Bus,
  Clock,
  CreateOptions,
  Customers,
  FlowControl,
  FoodService,
  LinkCache,
  Log,
  Order,
  Ports,
  Store,
} from "../functions/src/ports.js";
import type { Settings } from "../functions/src/settings.js";
import type { FoodServiceModel } from "../services/food-service/model/food-service-model.js";
import { FAULTS, type Fault, type Operation } from "./faults.js";
import type { Entry, Process, Service, World } from "./world.js";

/** Firestore's times begin with the year 1. */
const BEFORE_ALL_YEARS = new Date("0000-01-01T00:00:00Z");

/** No store accepts it: longer than a document, and not even valid UTF-8. */
const UNSTORABLE_TEXT = `refused \ud800 ${"at length ".repeat(110_000)}`;

/** What all processes share. */
export interface Outside {
  world: World;
  store: MemoryStore;
  food: FoodServiceModel;
  bus: Bus;
  settings: Settings;
  /** The names that some relation links so far. */
  linked: ReadonlySet<string>;
}

/** The longest time that the food service answers from an empty replica: shorter than MISSING_AFTER_MINUTES, whatever the clocks say. */
const EMPTY_MS = 240_000;

/** The shortest and the longest time for which something is lost, or everything: longer than MISSING_AFTER_MINUTES. */
const LONG_LOSS_MS = [900_000, 1_300_000] as const;

/** The shortest and the longest time for which the pages of a status fail, are slow or never end. */
const PAGES_TROUBLE_MS = [150_000, 300_000] as const;

/** How long a slow page takes: the time for listing is over after a few. */
const SLOW_PAGE_MS = 8_000;

const NO_ORDERS = { orders: [], nextPageToken: "" };

/** So few links are remembered that some are forgotten while their orders wait. */
const MAX_LINKS = 16;

/** As long as a report may back off after a few rejections. */
const REPORT_BACKOFF_MS = 600_000;

/** How long a client waits for an answer. */
const CALL_TIMEOUT_MS = 10_000;

/** A commit that creates or takes over an attempt, and does nothing else. */
const CLAIM = /^(create|update) attempts\/\S+$/;

/** Which service an operation needs: an outage makes all of its calls fail. */
const SERVICE_OF: Record<Operation, Service> = {
  read: "store",
  commit: "store",
  query: "store",
  ready: "food",
  listOrders: "food",
  getOrder: "food",
  getKitchenOrder: "food",
  getShipment: "food",
  updateOrder: "food",
  createKitchenOrder: "food",
  createShipment: "food",
  userByName: "users",
  publish: "bus",
  start: "platform",
  deliver: "platform",
  react: "platform",
  tick: "platform",
  link: "platform",
  retry: "platform",
  deploy: "platform",
};

/** After this time the platform has ended any run that hangs. */
const HANG_MS = 180_000;

interface Effect<T> {
  operation: Operation;
  about: string;
  subject?: string;
  apply(): Promise<T>;
  /** Takes note of what is asked for. */
  note?(entry: Entry): void;
  /** Takes note of what comes back. */
  record?(entry: Entry, reply: T): void;
  /** Changes what comes back, for faults of the reply. */
  distort?(fault: Fault, reply: T): T;
  /** The failure that a client sees. */
  failure(message: string): Error;
}

/** The ports as they are for run number `run` on this process. Its effects are added to `effects`. */
export function portsOf(outside: Outside, process: Process, run: number, effects: Entry[]): Ports {
  const { world, settings } = outside;
  const perform = <T>(effect: Effect<T>): Promise<T> => performIn(world, process, run, effect, outside.food, effects);
  const clock: Clock = {
    now: () => world.now + process.skew,
    sleep: (milliseconds) => new Promise((resolve) => world.after(milliseconds, () => world.resume(process, resolve))),
  };
  const flow = noting(flowOf(process, clock, settings), world, run);
  return {
    settings,
    store: faultyStore(outside.store, perform),
    food: withFlowControl(withCheckedReplies(faultyFood(outside, process, perform)), flow),
    flow,
    links: linksOf(process, clock, settings),
    bus: faultyBus(outside.bus, perform),
    customers: faultyCustomers(perform),
    random: world.random,
    log: logOf(world, run),
    clock,
  };
}

/** A log of which only the errors count. */
function logOf(world: World, run: number): Log {
  const see = (_message: string, { reason }: { reason?: unknown }) => {
    if (reason && typeof reason === "object") world.seeError(run, reason as { code: string; message: string });
  };
  return { debug: () => {}, info: () => {}, warn: see, error: see };
}

const flows = new WeakMap<Process, FlowControl>();

/** All runs of a process share its flow control. */
function flowOf(process: Process, clock: Clock, settings: Settings): FlowControl {
  const known = flows.get(process);
  if (known) return known;
  const flow = new AdaptiveFlowControl(clock, settings);
  flows.set(process, flow);
  return flow;
}

/** The same flow control, which notes the lists that find no slot. */
function noting(flow: FlowControl, { listsWithoutSlot }: World, run: number): FlowControl {
  return {
    acquire: async (kind) => {
      const slot = await flow.acquire(kind);
      if (!slot && kind === "list") listsWithoutSlot.set(run, (listsWithoutSlot.get(run) ?? 0) + 1);
      return slot;
    },
  };
}

const links = new WeakMap<Process, LinkCache>();

/** All runs of a process share what it remembers; with the process it is lost. */
function linksOf(process: Process, clock: Clock, settings: Settings): LinkCache {
  const known = links.get(process);
  if (known) return known;
  const cache = new RecentLinks(clock, settings, MAX_LINKS);
  links.set(process, cache);
  return cache;
}

type Perform = <T>(effect: Effect<T>) => Promise<T>;

function faultyStore(store: MemoryStore, perform: Perform): Store {
  const failure = (message: string) => new StoreError(message);
  return {
    read: (...paths) =>
      perform({ operation: "read", about: paths.join(" "), apply: () => store.read(...paths), failure }),
    commit: (writes) =>
      perform({
        operation: "commit",
        about: writes.map(written).join(" "),
        apply: () => store.commit(writes),
        failure,
      }),
    count: (matching) =>
      perform({ operation: "query", about: matching.collection, apply: () => store.count(matching), failure }),
    query: (query) =>
      perform({ operation: "query", about: query.collection, apply: () => store.query(query), failure }),
  };
}

const written = (write: { kind: string; path: string }) => `${write.kind} ${write.path}`;

function faultyFood({ world, food, linked }: Outside, process: Process, perform: Perform): FoodService {
  const failure = (message: string) => callError("UNAVAILABLE", message, true);
  const get = <R extends { name: string; status: string }>(
    operation: Operation,
    name: string,
    apply: () => Promise<R>,
  ) => perform<R>({ operation, about: name, subject: name, apply, failure, distort: distortGet });
  const create = <R extends { name: string }>(
    operation: Operation,
    options: CreateOptions,
    apply: () => R,
    prefix: string,
  ) => {
    const now = world.now + process.skew;
    if (options.deadline <= now) return Promise.reject(callError("DEADLINE_EXCEEDED", "not sent in time", false));
    return perform<R>({
      operation,
      about: options.idempotencyKey,
      subject: options.idempotencyKey,
      apply: async () => apply(),
      failure: (message) => callError("UNAVAILABLE", message, true),
      note: (entry) => {
        entry.deadline = options.deadline;
      },
      distort: (fault, reply) => distortCreate(fault, reply, prefix, linked),
    });
  };
  return {
    ready: () =>
      perform({
        operation: "ready",
        about: "",
        apply: async () => {},
        failure: () => callError("UNAVAILABLE", "no connection", false),
      }),
    listOrders: (request) =>
      perform({
        operation: "listOrders",
        about: `${request.status} ${request.pageToken}`,
        subject: request.status,
        apply: () => listPage(request, world, food),
        failure,
        record: (entry, { orders, nextPageToken: next }) => {
          entry.page = { orders: orders.map(({ name, status }) => ({ name, status })), next };
        },
        distort: (fault, page) => {
          if (fault === "page repeated") return { ...page, nextPageToken: request.pageToken || page.nextPageToken };
          if (fault === "page with gaps") return { ...page, orders: page.orders.filter((_, index) => index % 2 === 1) };
          const hostile = ["orders/a/b", "orders/", "orders/..", "pizza"].map((name) => ({
            name,
            customerId: "",
            status: request.status,
          }));
          return { ...page, orders: [...hostile, ...page.orders] as typeof page.orders };
        },
      }),
    getOrder: (name) => get("getOrder", name, async () => withPlacedAt(await food.getOrder(name))),
    getKitchenOrder: (name) => get("getKitchenOrder", name, () => food.getKitchenOrder(name)),
    getShipment: (name) => get("getShipment", name, () => food.getShipment(name)),
    updateOrder: (name, status) =>
      perform({
        operation: "updateOrder",
        about: `${name} ${status}`,
        subject: status,
        apply: () => food.updateOrder(name, status),
        failure,
      }),
    createKitchenOrder: (options) =>
      create("createKitchenOrder", options, () => food.makeKitchenOrder(options.idempotencyKey), "kitchenorders/"),
    createShipment: (options) =>
      create("createShipment", options, () => food.makeShipment(options.idempotencyKey), "shipments/"),
  };
}

type ListRequest = Parameters<FoodService["listOrders"]>[0];

/** The token of a page after which another one always comes. */
const ENDLESS = "endless ";

/** A page as the food service lists it now, without the orders that it does not find. */
async function listPage(request: ListRequest, world: World, food: FoodServiceModel) {
  const { status, pageToken } = request;
  const isEndless = world.now < (world.endlessUntil.get(status) ?? 0);
  const number = pageToken.startsWith(ENDLESS) ? Number(pageToken.slice(ENDLESS.length)) : 0;
  const page = await (world.isFilterIgnored
    ? allOrders(food)
    : food.listOrders(number > 0 ? { ...request, pageToken: "" } : request));
  const orders = page.orders.filter(({ name }) => !world.isUnlisted(name)).map(withPlacedAt);
  return { orders, nextPageToken: isEndless ? `${ENDLESS}${number + 1}` : page.nextPageToken };
}

/** The order with the time at which it was placed, as the wire shows it. */
function withPlacedAt<O extends Order & { createdAt: number }>(order: O): O {
  return { ...order, placedAt: new Date(order.createdAt) };
}

/** Every order, whatever was asked for. */
function allOrders(food: FoodServiceModel): ReturnType<FoodServiceModel["listOrders"]> {
  return food.listOrders({ status: "UNKNOWN", pageSize: 1_000, pageToken: "" });
}

function distortGet<R extends { name: string; status: string }>(fault: Fault, reply: R): R {
  if (fault === "unknown status") return { ...reply, status: "UNKNOWN" };
  if (fault === "unstorable order") return { ...reply, placedAt: BEFORE_ALL_YEARS, customerId: "\ud800" };
  // The resource of another order, further along than ours may be.
  const status = { orders: "NEW", kitchenorders: "PACKAGED", shipments: "DELIVERED" }[reply.name.split("/")[0] ?? ""];
  return { ...reply, name: `${reply.name}x`, status };
}

function distortCreate<R extends { name: string }>(
  fault: Fault,
  reply: R,
  prefix: string,
  linked: ReadonlySet<string>,
): R {
  if (fault === "empty name") return { ...reply, name: "" };
  if (fault === "foreign name") return { ...reply, name: "orders/foreign" };
  const other = [...linked].find((name) => name.startsWith(prefix) && name !== reply.name);
  return { ...reply, name: other ?? "" };
}

/** Users as the user data service has them. */
function faultyCustomers(perform: Perform): Customers {
  return {
    userByName: (name) =>
      perform({
        operation: "userByName",
        about: name,
        apply: async () => ({ name, class: String(name.length), roll: 10 * name.length }),
        failure: (message) => callError("UNAVAILABLE", message, true),
      }),
  };
}

function faultyBus(bus: Bus, perform: Perform): Bus {
  const failure = (message: string) => new BusError(message);
  return {
    publishOrders: (stage, messages) =>
      perform({
        operation: "publish",
        about: `${stage} ${messages.length}`,
        apply: () => bus.publishOrders(stage, messages),
        failure,
        note: (entry) => {
          entry.published = { orders: messages.map(({ order }) => order) };
        },
      }),
    publishContinuation: (continuation) =>
      perform({
        operation: "publish",
        about: "continuation",
        apply: () => bus.publishContinuation(continuation),
        failure,
        note: (entry) => {
          entry.published = { positions: continuation.positions ?? [] };
        },
      }),
  };
}

/** Tries one effect under the fault that strikes it. */
function performIn<T>(
  world: World,
  process: Process,
  run: number,
  effect: Effect<T>,
  food: FoodServiceModel,
  effects: Entry[],
): Promise<T> {
  const { operation, about, subject = "" } = effect;
  const entry = world.effect({ process: process.id, run, operation, about, subject });
  effects.push(entry);
  effect.note?.(entry);
  const service = SERVICE_OF[operation];
  // A connection may stand while every call on it fails: then `ready` gives no warning.
  if (!entry.fault && operation !== "ready" && world.now < world.outageUntil[service]) entry.fault = "outage";
  const isLookup = (FAULTS[operation] as readonly Fault[]).includes("empty replica");
  if (!entry.fault && isLookup && world.now < world.emptyUntil) entry.fault = "empty replica";
  entry.fault ??= absenceFault(effect, world);
  const isFailing = operation === "listOrders" && world.now < (world.failingUntil.get(subject) ?? 0);
  if (!entry.fault && isFailing) entry.fault = "failing pages";
  return new Promise<T>((resolve, reject) => {
    const apply = async (): Promise<T> => {
      const done = effect.apply();
      // Applied is what did not fail; a refused precondition changed nothing.
      return done.then((reply) => {
        entry.applied = true;
        if (operation === "commit" && CLAIM.test(about)) world.claimed(process);
        return reply;
      });
    };
    const succeed = (reply: T) =>
      world.resume(process, () => {
        entry.result = summary(reply, subject);
        effect.record?.(entry, reply);
        resolve(reply);
      });
    const fail = (error: unknown) =>
      world.resume(process, () => {
        entry.result = `${(error as Error).name} ${(error as Error).message}`;
        reject(error);
      });
    const isSlow =
      operation === "listOrders" && world.now < Math.max(world.slowPagesUntil, world.endlessUntil.get(subject) ?? 0);
    const latency = world.between(1, 30) + (isSlow ? SLOW_PAGE_MS : 0);
    const { fault } = entry;
    switch (fault) {
      case "crash before":
        return world.after(0, () => world.kill(process));
      case "crash after":
        return world.after(
          latency,
          () =>
            void apply()
              .catch(() => {})
              .finally(() => world.kill(process)),
        );
      case "hang":
        world.faultLasts(HANG_MS);
        return undefined;
      case "pause":
      case "suspend":
        return world.after(latency, () => {
          if (fault === "pause") world.pause(process, world.between(20_000, 150_000));
          else world.suspend(process);
          apply().then(succeed, fail);
        });
      case "error":
        return world.after(latency, () => fail(effect.failure("failed before it was carried out")));
      case "error after":
        return world.after(
          latency,
          () =>
            void apply()
              .catch(() => {})
              .finally(() => fail(effect.failure("the answer was lost"))),
        );
      case "slow":
        world.faultLasts(CALL_TIMEOUT_MS);
        return world.after(CALL_TIMEOUT_MS, () => fail(effect.failure("no answer in time")));
      case "late": {
        const lateness = world.between(CALL_TIMEOUT_MS, 120_000);
        world.faultLasts(lateness);
        world.after(lateness, () => void apply().catch(() => {}));
        return world.after(CALL_TIMEOUT_MS, () => fail(effect.failure("no answer in time")));
      }
      case "outage": {
        if (world.now >= world.outageUntil[service]) {
          const length = world.between(60_000, 900_000);
          world.outageUntil[service] = world.now + length;
          world.faultLasts(length);
        }
        const error =
          service === "food" ? callError("UNAVAILABLE", "no connection", false) : effect.failure("unavailable");
        return world.after(latency, () => fail(error));
      }
      case "empty replica": {
        if (world.now >= world.emptyUntil) {
          const length = world.between(5_000, EMPTY_MS);
          world.emptyUntil = world.now + length;
          world.emptied.push({ name: undefined, fault, from: world.now, until: world.emptyUntil });
          world.faultLasts(length);
        }
        if (operation === "listOrders") return world.after(latency, () => succeed(NO_ORDERS as T));
        return world.after(latency, () => fail(callError("NOT_FOUND", `there is no ${subject}`, true)));
      }
      case "lost for a while":
      case "lost for good":
        if (!world.absenceOf(subject)) {
          if (fault === "lost for good") food.forgetKey(subject);
          world.lose(subject, fault, fault === "lost for good" ? undefined : world.between(...LONG_LOSS_MS));
        }
        return world.after(latency, () => fail(callError("NOT_FOUND", `there is no ${subject}`, true)));
      case "foreign replies for a while":
      case "foreign replies for good":
        if (!world.absenceOf(subject)) {
          world.lose(subject, fault, fault === "foreign replies for good" ? undefined : world.between(...LONG_LOSS_MS));
        }
        return world.after(latency, () => {
          apply().then((reply) => succeed(effect.distort ? effect.distort("foreign reply", reply) : reply), fail);
        });
      case "empty for long":
        if (!world.absenceOf("")) world.lose(undefined, fault, world.between(...LONG_LOSS_MS));
        if (operation === "listOrders") return world.after(latency, () => succeed(NO_ORDERS as T));
        return world.after(latency, () => fail(callError("NOT_FOUND", `there is no ${subject}`, true)));
      case "failing pages":
        lasting(world, world.failingUntil, subject);
        return world.after(latency, () => fail(callError("INTERNAL", "the page can't be read", true)));
      case "endless pages":
        lasting(world, world.endlessUntil, subject);
        return world.after(latency + SLOW_PAGE_MS, () => void apply().then(succeed, fail));
      case "slow pages": {
        const length = world.between(...PAGES_TROUBLE_MS);
        world.slowPagesUntil = world.now + length;
        world.faultLasts(length);
        return world.after(latency + SLOW_PAGE_MS, () => void apply().then(succeed, fail));
      }
      case "page too large":
        return world.after(latency, () => fail(callError("RESOURCE_EXHAUSTED", "message larger than max", true)));
      case "filter ignored":
        world.isFilterIgnored = true;
        return world.after(latency, () => void apply().then(succeed, fail));
      case "rejected":
        // The backoff after a few rejections is longer than the longest between two creates.
        world.faultLasts(REPORT_BACKOFF_MS);
        return world.after(latency, () => fail(callError("FAILED_PRECONDITION", "not now", true)));
      case "ignored":
        world.faultLasts(REPORT_BACKOFF_MS);
        return world.after(latency, () => succeed(undefined as T));
      case "refused":
        return world.after(latency, () => fail(callError("INVALID_ARGUMENT", "refused", true)));
      case "refused at length":
        return world.after(latency, () => fail(callError("INVALID_ARGUMENT", UNSTORABLE_TEXT, true)));
      case "unsent":
        return world.after(latency, () => fail(callError("UNAVAILABLE", "no connection", false)));
      case "cancel":
        return world.after(latency, () => {
          cancelSomething(food, world);
          apply().then(succeed, fail);
        });
      case "ended by others":
      case "set back":
        return world.after(latency, () => {
          changeByOthers(fault, subject, food, world);
          apply().then(succeed, fail);
        });
      default:
        return world.after(latency, () => {
          // A request that was under way when its process died may or may not arrive.
          if (!process.alive && world.random.fraction() < 0.5) return;
          apply().then((reply) => succeed(fault && effect.distort ? effect.distort(fault, reply) : reply), fail);
        });
    }
  });
}

/** The fault with which the food service answers while it does not find a name, or any. */
function absenceFault({ operation, subject = "", about }: Effect<unknown>, world: World): Fault | undefined {
  if (operation === "listOrders") return world.absences.find(({ name, until }) => !name && until > world.now)?.fault;
  if (operation === "updateOrder") return world.isUnlisted(about.split(" ")[0] ?? "") ? "rejected" : undefined;
  if (!GETS.includes(operation)) return undefined;
  return world.absenceOf(subject)?.fault;
}

const GETS: readonly Operation[] = ["getOrder", "getKitchenOrder", "getShipment"];

/** Lets a fault of a status's pages last for a while. */
function lasting(world: World, until: Map<string, number>, status: string): void {
  if (world.now < (until.get(status) ?? 0)) return;
  const length = world.between(...PAGES_TROUBLE_MS);
  until.set(status, world.now + length);
  world.faultLasts(length);
}

function isEarlier(status: OrderStatus, than: OrderStatus | undefined): boolean {
  return !than || (ORDER_STATUSES[status].rank ?? 0) < (ORDER_STATUSES[than].rank ?? Number.POSITIVE_INFINITY);
}

/** Others than we and the customer end an order, or set it back to an earlier status. */
function changeByOthers(
  fault: "ended by others" | "set back",
  order: string,
  food: FoodServiceModel,
  world: World,
): void {
  const now = food.statusOf(order);
  const earlier = ["NEW", "PREPARATION", "IN_FLIGHT"] as const;
  const choices: readonly OrderStatus[] =
    fault === "ended by others"
      ? ["DELIVERED", "REJECTED", "CANCELLED"]
      : earlier.filter((status) => isEarlier(status, now));
  const status = choices[Math.floor(world.random.fraction() * choices.length)];
  if (!now || !status || now === status) return;
  food.changeOrder(order, status, ["status"]);
  world.setByOthers.push({ order, status, at: world.now });
}

/** A customer cancels an order that has not ended. */
function cancelSomething(food: FoodServiceModel, world: World): void {
  const going = food.truth().orders.filter(({ status }) => stageOf(status) !== undefined);
  const order = going[Math.floor(world.random.fraction() * going.length)];
  if (order) food.cancelOrder(order.name);
}

function summary(reply: unknown, asked: string): string {
  if (!reply || typeof reply !== "object" || !("status" in reply)) return "ok";
  const isOther = asked.includes("/") && "name" in reply && reply.name !== asked;
  return isOther ? `about ${String(reply.name)}` : String(reply.status);
}
