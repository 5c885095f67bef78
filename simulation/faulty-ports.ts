/** The ports of one run of a handler, through which faults strike. */

import { withCheckedReplies } from "../functions/src/adapters/firebase/verified-replies.js";
import type { MemoryStore } from "../functions/src/adapters/memory/store.js";
import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
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
import { relationPath } from "../functions/src/relations/relation.js";
import type { Settings } from "../functions/src/settings.js";
import type { FoodServiceModel } from "../services/food-service/model/food-service-model.js";
import { FAULTS, type Fault, keyOfOthers, type Operation } from "./faults.js";
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
const LONG_LOSS_MS = [900_000, 1_000_000] as const;

/** The shortest and the longest outage: some are longer than MISSING_AFTER_MINUTES. */
const OUTAGE_MS = [60_000, 700_000] as const;

/** How often something is lost briefly, for how long, and how long after the last time. In between, a sweep notices that it is there. */
const BRIEF_LOSSES = 3;
const BRIEF_LOSS_MS = 200_000;
const BRIEF_LOSSES_EVERY_MS = 620_000;

/** The shortest and the longest time for which the pages of a status fail, are slow or never end. */
const PAGES_TROUBLE_MS = [150_000, 300_000] as const;

/** How long a slow page takes: the time for listing is over after a few. */
const SLOW_PAGE_MS = 8_000;

const NO_ORDERS = { orders: [], nextPageToken: "" };

/** So few links are remembered that some are forgotten while their orders wait. */
const MAX_LINKS = 16;

/** How long the creates with a key are refused: for more tries than an order has. */
const REFUSALS_MS = 300_000;

/** How long the reports of an order fail: so many times that an operator is asked. */
const FAILING_REPORTS_MS = 600_000;

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
  continue: "platform",
  dismiss: "platform",
};

/** The share of processes that crash when another program links what they create. */
const CRASH_SHARE = 0.5;

/** After this time the platform has ended any run that hangs. */
const HANG_MS = 180_000;

interface Effect<T> {
  operation: Operation;
  about: string;
  subject?: string;
  apply(): Promise<T>;
  /** Records the request. */
  note?(entry: Entry): void;
  /** Records the reply. */
  record?(entry: Entry, reply: T): void;
  /** Changes what comes back, for faults of the reply. */
  distort?(fault: Fault, reply: T): T;
  /** The failure that a client sees. */
  failure(message: string): Error;
}

/** The ports as they are for run number `run` on this process. Its effects are added to `effects`. */
export function portsOf(outside: Outside, process: Process, run: number, effects: Entry[]): Ports {
  const { world, settings } = outside;
  const perform = <T>(effect: Effect<T>): Promise<T> => performIn(outside, process, run, effect, effects);
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

/** The token of the page that follows an empty one. */
const AFTER_EMPTY = "after an empty page";

/** The token of a page after which another one always comes. */
const ENDLESS = "endless ";

/** A page as the food service lists it now, without the orders that it does not find. */
async function listPage(request: ListRequest, world: World, food: FoodServiceModel) {
  const { status } = request;
  if (world.areFirstPagesEmpty && request.pageToken === "") return { orders: [], nextPageToken: AFTER_EMPTY };
  const pageToken = request.pageToken === AFTER_EMPTY ? "" : request.pageToken;
  const isEndless = world.now < (world.endlessUntil.get(status) ?? 0);
  const number = pageToken.startsWith(ENDLESS) ? Number(pageToken.slice(ENDLESS.length)) : 0;
  const page = await (world.isFilterIgnored
    ? allOrders(food)
    : food.listOrders({ ...request, pageToken: number > 0 ? "" : pageToken }));
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
  outside: Outside,
  process: Process,
  run: number,
  effect: Effect<T>,
  effects: Entry[],
): Promise<T> {
  const { world } = outside;
  const { operation, about, subject = "" } = effect;
  const entry = world.effect({ process: process.id, run, operation, about, subject });
  effects.push(entry);
  effect.note?.(entry);
  entry.fault ??= lastingFault(effect, world);
  return new Promise<unknown>((resolve, reject) => {
    const call = new Call(outside, process, effect, entry, { resolve, reject });
    const strike = (call.fault && STRIKES[call.fault]) ?? answerUnlessLost;
    strike(call);
  }) as Promise<T>;
}

/** The fault that an earlier effect met, if it still lasts and strikes this effect too. */
function lastingFault(effect: Effect<unknown>, world: World): Fault | undefined {
  const { operation, subject = "" } = effect;
  // A connection may stand while every call on it fails: then `ready` gives no warning.
  if (operation !== "ready" && world.now < world.outageUntil[SERVICE_OF[operation]]) return "outage";
  const isLookup = (FAULTS[operation] as readonly Fault[]).includes("empty replica");
  if (isLookup && world.now < world.emptyUntil) return "empty replica";
  const absence = absenceFault(effect, world);
  if (absence) return absence;
  if (operation.startsWith("create") && world.now < (world.refusedUntil.get(subject) ?? 0)) return "refused";
  const isFailing = operation === "listOrders" && world.now < (world.failingUntil.get(subject) ?? 0);
  return isFailing ? "failing pages" : undefined;
}

/** One effect in progress, with the ways in which it can end. */
class Call {
  readonly world: World;
  readonly food: FoodServiceModel;
  readonly operation: Operation;
  readonly subject: string;
  readonly service: Service;
  readonly fault: Fault | undefined;
  private readonly latencyMs: number;

  constructor(
    readonly outside: Outside,
    readonly process: Process,
    readonly effect: Effect<unknown>,
    private readonly entry: Entry,
    private readonly caller: { resolve(reply: unknown): void; reject(error: unknown): void },
  ) {
    const { world, food } = outside;
    this.world = world;
    this.food = food;
    this.operation = effect.operation;
    this.subject = effect.subject ?? "";
    this.service = SERVICE_OF[effect.operation];
    this.fault = entry.fault;
    const slowUntil = Math.max(world.slowPagesUntil, world.endlessUntil.get(this.subject) ?? 0);
    const isSlow = effect.operation === "listOrders" && world.now < slowUntil;
    this.latencyMs = world.between(1, 30) + (isSlow ? SLOW_PAGE_MS : 0);
  }

  /** Does the work after the usual latency, and `extraMs` more. */
  afterLatency(work: () => void, extraMs = 0): void {
    this.world.after(this.latencyMs + extraMs, work);
  }

  async apply(): Promise<unknown> {
    // The store applies a commit at once.
    this.world.writer = this.entry.run;
    const reply = this.effect.apply();
    this.world.writer = 0;
    // Applied is what did not fail; a refused precondition changed nothing.
    return reply.then((reply) => {
      this.entry.applied = true;
      if (this.operation === "commit" && CLAIM.test(this.effect.about)) this.world.claimed(this.process);
      return reply;
    });
  }

  /** Applies the effect, and then does something else than answer. */
  applyThen(next: () => void): void {
    void this.apply()
      .catch(() => {})
      .finally(next);
  }

  /** Applies the effect and answers with its reply, which a fault may distort. */
  answer(distortion?: Fault): void {
    const { effect } = this;
    void this.apply().then(
      (reply) => this.succeed(distortion && effect.distort ? effect.distort(distortion, reply) : reply),
      (error) => this.fail(error),
    );
  }

  succeed(reply: unknown): void {
    this.world.resume(this.process, () => {
      this.entry.result = summary(reply, this.subject);
      this.effect.record?.(this.entry, reply);
      this.caller.resolve(reply);
    });
  }

  fail(error: unknown): void {
    this.world.resume(this.process, () => {
      this.entry.result = `${(error as Error).name} ${(error as Error).message}`;
      this.caller.reject(error);
    });
  }

  /** Fails after the usual latency. */
  failLater(...[code, message, sent]: Parameters<typeof callError>): void {
    this.afterLatency(() => this.fail(callError(code, message, sent)));
  }

  /** Fails when the client stops waiting. */
  timeOut(): void {
    this.world.after(CALL_TIMEOUT_MS, () => this.fail(this.effect.failure("no answer in time")));
  }

  /** Answers as if there were nothing to list or to get. */
  findNothing(): void {
    if (this.operation === "listOrders") this.afterLatency(() => this.succeed(NO_ORDERS));
    else this.failLater("NOT_FOUND", `there is no ${this.subject}`, true);
  }
}

/** What a fault does to the call that it strikes. All others only distort the reply. */
const STRIKES: { readonly [F in Fault]?: (call: Call) => void } = {
  "crash before": ({ world, process }) => world.after(0, () => world.kill(process)),
  "crash after": (call) => call.afterLatency(() => call.applyThen(() => call.world.kill(call.process))),
  hang: ({ world }) => world.faultLasts(HANG_MS),
  pause: (call) =>
    call.afterLatency(() => {
      call.world.pause(call.process, call.world.between(20_000, 150_000));
      call.answer();
    }),
  suspend: (call) =>
    call.afterLatency(() => {
      call.world.suspend(call.process);
      call.answer();
    }),
  error: (call) => call.afterLatency(() => call.fail(call.effect.failure("failed before it was carried out"))),
  "error after": (call) =>
    call.afterLatency(() => call.applyThen(() => call.fail(call.effect.failure("the answer was lost")))),
  slow: (call) => {
    call.world.faultLasts(CALL_TIMEOUT_MS);
    call.timeOut();
  },
  late: (call) => {
    const lateness = call.world.between(CALL_TIMEOUT_MS, 120_000);
    call.world.faultLasts(lateness);
    call.world.after(lateness, () => void call.apply().catch(() => {}));
    call.timeOut();
  },
  outage: (call) => {
    startOutage(call);
    if (call.service === "food") call.failLater("UNAVAILABLE", "no connection", false);
    else call.afterLatency(() => call.fail(call.effect.failure("unavailable")));
  },
  "empty replica": (call) => {
    emptyReplica(call.world);
    call.findNothing();
  },
  "empty for long": (call) => {
    if (!call.world.absenceOf("")) call.world.lose(undefined, "empty for long", call.world.between(...LONG_LOSS_MS));
    call.findNothing();
  },
  "lost for a while": (call) => {
    loseForAWhile(call, "lost for a while");
    call.findNothing();
  },
  "lost again and again": (call) => {
    if (!call.world.absenceOf(call.subject)) loseAgainAndAgain(call.world, call.subject);
    call.findNothing();
  },
  "lost for good": (call) => {
    if (!call.world.absenceOf(call.subject)) {
      call.food.forgetKey(call.subject);
      call.world.lose(call.subject, "lost for good", undefined);
    }
    call.findNothing();
  },
  "foreign replies for a while": (call) => {
    loseForAWhile(call, "foreign replies for a while");
    call.afterLatency(() => call.answer("foreign reply"));
  },
  "foreign replies for good": (call) => {
    if (!call.world.absenceOf(call.subject)) call.world.lose(call.subject, "foreign replies for good", undefined);
    call.afterLatency(() => call.answer("foreign reply"));
  },
  "failing pages": (call) => {
    lasting(call.world, call.world.failingUntil, call.subject);
    call.failLater("INTERNAL", "the page can't be read", true);
  },
  "endless pages": (call) => {
    lasting(call.world, call.world.endlessUntil, call.subject);
    call.afterLatency(() => call.answer(), SLOW_PAGE_MS);
  },
  "slow pages": (call) => {
    const length = call.world.between(...PAGES_TROUBLE_MS);
    call.world.slowPagesUntil = call.world.now + length;
    call.world.faultLasts(length);
    call.afterLatency(() => call.answer(), SLOW_PAGE_MS);
  },
  "page too large": (call) => call.failLater("RESOURCE_EXHAUSTED", "message larger than max", true),
  "empty pages": (call) => {
    call.world.areFirstPagesEmpty = true;
    call.afterLatency(() => call.answer());
  },
  "filter ignored": (call) => {
    call.world.isFilterIgnored = true;
    call.afterLatency(() => call.answer());
  },
  rejected: (call) => {
    // The backoff after a few rejections is longer than the longest between two creates.
    call.world.faultLasts(REPORT_BACKOFF_MS);
    call.failLater("FAILED_PRECONDITION", "not now", true);
  },
  "rejected for long": (call) => {
    failReports(call, "rejected for long");
    call.failLater("FAILED_PRECONDITION", "not now", true);
  },
  "ignored for long": (call) => {
    failReports(call, "ignored for long");
    call.afterLatency(() => call.succeed(undefined));
  },
  ignored: (call) => {
    call.world.faultLasts(REPORT_BACKOFF_MS);
    call.afterLatency(() => call.succeed(undefined));
  },
  refused: (call) => call.failLater("INVALID_ARGUMENT", "refused", true),
  "refused again": (call) => {
    call.world.refusedUntil.set(call.subject, call.world.now + REFUSALS_MS);
    call.world.faultLasts(REFUSALS_MS);
    call.failLater("INVALID_ARGUMENT", "refused", true);
  },
  "refused at length": (call) => call.failLater("INVALID_ARGUMENT", UNSTORABLE_TEXT, true),
  unsent: (call) => call.failLater("UNAVAILABLE", "no connection", false),
  cancel: (call) =>
    call.afterLatency(() => {
      cancelSomething(call.food, call.world);
      call.answer();
    }),
  "linked by others": (call) =>
    call.afterLatency(() => {
      const crashes = call.world.random.fraction() < CRASH_SHARE;
      void linkByOthers(call).finally(() => {
        if (crashes) call.applyThen(() => call.world.kill(call.process));
        else call.answer();
      });
    }),
  overtaken: (call) =>
    call.afterLatency(() => {
      const order = orderOf(call);
      if (order) changeByOthers("advanced by others", order.name, call.food, call.world);
      call.world.pause(call.process, call.world.between(20_000, 150_000));
      call.answer();
    }),
  "ended by others": (call) =>
    call.afterLatency(() => {
      changeByOthers("ended by others", call.subject, call.food, call.world);
      call.answer();
    }),
  "set back": (call) =>
    call.afterLatency(() => {
      changeByOthers("set back", call.subject, call.food, call.world);
      call.answer();
    }),
  "advanced by others": (call) =>
    call.afterLatency(() => {
      changeByOthers("advanced by others", call.subject, call.food, call.world);
      call.answer();
    }),
};

function answerUnlessLost(call: Call): void {
  call.afterLatency(() => {
    // A request that was in transit when its process died may or may not arrive.
    if (!call.process.alive && call.world.random.fraction() < 0.5) return;
    call.answer(call.fault);
  });
}

function startOutage({ world, service }: Call): void {
  if (world.now < world.outageUntil[service]) return;
  const length = world.between(...OUTAGE_MS);
  world.outageUntil[service] = world.now + length;
  world.faultLasts(length);
}

/** Lets the updates of an order's status fail for a while. */
function failReports({ world, effect }: Call, fault: Fault): void {
  const [order = ""] = effect.about.split(" ");
  if (world.failingReportsOf(order)) return;
  world.failingReports.set(order, { fault, until: world.now + FAILING_REPORTS_MS });
  // The backoff, which doubles, may be as long as the fault itself.
  world.faultLasts(2 * FAILING_REPORTS_MS);
}

/** Lets the food service answer from an empty replica for a while. */
function emptyReplica(world: World): void {
  if (world.now < world.emptyUntil) return;
  const length = world.between(5_000, EMPTY_MS);
  world.emptyUntil = world.now + length;
  world.emptied.push({ name: undefined, fault: "empty replica", from: world.now, until: world.emptyUntil });
  world.faultLasts(length);
}

/** Hides the subject of a call, for longer than MISSING_AFTER_MINUTES. */
function loseForAWhile({ world, subject }: Call, fault: Fault): void {
  if (!world.absenceOf(subject)) world.lose(subject, fault, world.between(...LONG_LOSS_MS));
}

/** Hides a name several times, each time for a short while, and long enough after the last time for that to be over. */
function loseAgainAndAgain(world: World, name: string): void {
  for (let time = 0; time < BRIEF_LOSSES; time++) {
    const lose = () => world.lose(name, "lost again and again", BRIEF_LOSS_MS);
    if (time === 0) lose();
    else world.after(time * BRIEF_LOSSES_EVERY_MS, lose);
  }
  world.faultLasts(BRIEF_LOSSES * BRIEF_LOSSES_EVERY_MS);
}

/** The fault with which the food service answers while it does not find a name, or any. */
function absenceFault({ operation, subject = "", about }: Effect<unknown>, world: World): Fault | undefined {
  if (operation === "listOrders") return world.absences.find(({ name, until }) => !name && until > world.now)?.fault;
  if (operation === "updateOrder") {
    const [order = ""] = about.split(" ");
    return world.isUnlisted(order) ? "rejected" : world.failingReportsOf(order);
  }
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

const ACTIVE = ["NEW", "PREPARATION", "IN_FLIGHT"] as const;

/** By fault, the statuses that others than we and the customer give to an order. */
const CHANGES_BY_OTHERS = {
  "ended by others": ["DELIVERED", "REJECTED", "CANCELLED"],
  "set back": ACTIVE,
  "advanced by others": ACTIVE,
} as const satisfies Record<string, readonly OrderStatus[]>;

/** Others than we and the customer end an order, set it back to an earlier status, or to a later one without a link. */
function changeByOthers(
  fault: keyof typeof CHANGES_BY_OTHERS,
  order: string,
  food: FoodServiceModel,
  world: World,
): void {
  const now = food.statusOf(order);
  if (!now || (fault === "advanced by others" && !stageOf(now))) return;
  const choices = CHANGES_BY_OTHERS[fault].filter(
    (status) => fault === "ended by others" || isEarlier(status, now) === (fault === "set back"),
  );
  const status = choices[Math.floor(world.random.fraction() * choices.length)];
  if (!status || now === status) return;
  food.changeOrder(order, status, ["status"]);
  world.setByOthers.push({ order, status, at: world.now });
}

/** Another program creates a kitchen order or a shipment for the order of a create, and links it, if nothing is linked yet. */
async function linkByOthers(call: Call): Promise<void> {
  const { food, store, world } = call.outside;
  const { subject } = call;
  const stage = stageOfCreate(call);
  const order = orderOf(call);
  if (!order || world.replaced.has(order.name)) return;
  const path = relationPath(order.name.slice("orders/".length));
  const relation = store.peek(path);
  if (relation?.fields[stage] !== undefined) return;
  const key = keyOfOthers(subject);
  const { name } = stage === "kitchen" ? food.makeKitchenOrder(key) : food.makeShipment(key);
  const fields = { [stage]: name };
  await store.commit([
    relation ? { kind: "update", path, version: relation.version, fields } : { kind: "create", path, fields },
  ]);
}

const stageOfCreate = ({ operation }: Call) => (operation === "createKitchenOrder" ? "kitchen" : "shipment");

/** The order of a create. */
function orderOf(call: Call) {
  const stage = stageOfCreate(call);
  return call.food.truth().orders.find(({ name }) => idempotencyKey(name, stage) === call.subject);
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
