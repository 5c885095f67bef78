/** Ports for tests: every effect is recorded, and a test can make it fail, wait, or run other code before or after it. */

import { setImmediate as later } from "node:timers/promises";
import { ManualClock } from "../adapters/memory/clock.js";
import { seededRandomness } from "../adapters/memory/random.js";
import { MemoryStore } from "../adapters/memory/store.js";
import { callError } from "../domain/errors.js";
import type { ReportedStatus, Stage } from "../domain/order-lifecycle.js";
import { NO_FLOW_CONTROL } from "../flow-control.js";
import { RecentLinks } from "../link-cache.js";
import type {
  Customers,
  Field,
  Fields,
  FoodService,
  KitchenOrder,
  Log,
  Matching,
  Order,
  OrderMessage,
  OrderPage,
  PollContinuation,
  Ports,
  Query,
  Shipment,
  Snapshot,
  Store,
  Write,
} from "../ports.js";
import type { Settings } from "../settings.js";

export const TEST_SETTINGS: Settings = {
  FOOD_SERVICE_ADDRESS: "localhost:50051",
  FOOD_SERVICE_SECURITY: "tls",
  FOOD_SERVICE_CA: "system",
  FOOD_SERVICE_AUTH: "none",
  FOOD_SERVICE_AUDIENCE: "none",
  FOOD_SERVICE_CLIENT_AUTH: "none",
  USERS_ADDRESS: "localhost:9000",
  USERS_SECURITY: "tls",
  CALL_DEADLINE_SECONDS: 10,
  POLL_PASSES: 1,
  POLL_PAGE_SIZE: 500,
  CREATE_POLICY: "park",
  CREATE_LEASE_SECONDS: 60,
  CREATE_TRIES: 3,
  MISSING_AFTER_MINUTES: 60,
};

type Action = () => unknown;

/** The actions that a test runs around single operations. */
class Hooks<O extends string> {
  private readonly waiting: { operation: O; when: "before" | "after"; action: Action }[] = [];

  /** @param pause awaited around every operation, so a test controls the order of effects */
  constructor(private readonly pause: (label: string) => Promise<unknown>) {}

  /** Runs the action before or after the next such operation. If the action throws, the operation throws the same error. */
  once(operation: O, when: "before" | "after", action: Action): void {
    this.waiting.push({ operation, when, action });
  }

  async around<T>(operation: O, work: () => Promise<T>): Promise<T> {
    await this.pause(`before ${operation}`);
    await this.run(operation, "before");
    const result = await work();
    await this.pause(`after ${operation}`);
    await this.run(operation, "after");
    return result;
  }

  private async run(operation: O, when: "before" | "after"): Promise<void> {
    const index = this.waiting.findIndex((hook) => hook.operation === operation && hook.when === when);
    const [hook] = index < 0 ? [] : this.waiting.splice(index, 1);
    await hook?.action();
  }
}

/** A store whose operations can be disturbed. Operations on `memory` itself are not. */
class WatchedStore implements Store {
  readonly memory: MemoryStore;
  /** Every applied commit, including those of triggers. */
  readonly commits: Write[][] = [];
  readonly changes: { before: Snapshot | undefined; after: Snapshot | undefined }[] = [];

  constructor(readonly hooks: Hooks<"read" | "commit" | "query">) {
    this.memory = new MemoryStore((change) => this.changes.push(change));
  }

  /** The writes of all commits. */
  get writes(): Write[] {
    return this.commits.flat();
  }

  read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }> {
    return this.hooks.around("read", () => this.memory.read(...paths));
  }

  commit(writes: Write[]): Promise<string[]> {
    return this.hooks.around("commit", async () => {
      const versions = await this.memory.commit(writes);
      this.commits.push(writes);
      return versions;
    });
  }

  query(query: Query): Promise<Snapshot[]> {
    return this.hooks.around("query", () => this.memory.query(query));
  }

  count(matching: Matching): Promise<number> {
    return this.hooks.around("query", () => this.memory.count(matching));
  }

  /** The current fields of a document, or undefined if it does not exist. */
  async fields(path: string): Promise<Fields | undefined> {
    return (await this.memory.read(path))[0]?.fields;
  }

  /** One field of a document as it is now. */
  async field(path: string, name: string): Promise<Field | undefined> {
    return (await this.fields(path))?.[name];
  }

  /** Sets fields as another program would, without a precondition. */
  async set(path: string, fields: Fields): Promise<void> {
    const [there] = await this.memory.read(path);
    const write: Write = there
      ? { kind: "update", path, version: there.version, fields }
      : { kind: "create", path, fields };
    await this.memory.commit([write]);
  }
}

/** A food service under a test's control: statuses change only when the test changes them. */
class StubFoodService implements FoodService {
  readonly orders = new Map<string, Order>();
  readonly kitchenOrders = new Map<string, KitchenOrder>();
  readonly shipments = new Map<string, Shipment>();
  /** The key of every applied create. */
  readonly created: { stage: "kitchen" | "shipment"; key: string }[] = [];
  readonly updates: { name: string; status: ReportedStatus }[] = [];
  /** The names with which the next creates are answered, instead of new ones. */
  readonly nextNames: string[] = [];

  constructor(readonly hooks: Hooks<keyof FoodService>) {}

  ready = () => this.hooks.around("ready", async () => {});

  listOrders = ({ status }: Parameters<FoodService["listOrders"]>[0]): Promise<OrderPage> =>
    this.hooks.around("listOrders", async () => {
      const orders = [...this.orders.values()].filter((order) => order.status === status);
      return { orders, nextPageToken: "" };
    });

  getOrder = (name: string) => this.hooks.around("getOrder", async () => ({ ...found(this.orders, name) }));

  updateOrder = (name: string, status: ReportedStatus) =>
    this.hooks.around("updateOrder", async () => {
      found(this.orders, name).status = status;
      this.updates.push({ name, status });
    });

  createKitchenOrder = ({ idempotencyKey: key }: Parameters<FoodService["createKitchenOrder"]>[0]) =>
    this.hooks.around("createKitchenOrder", async (): Promise<KitchenOrder> => {
      this.created.push({ stage: "kitchen", key });
      const name = this.nextNames.shift() ?? `kitchenorders/${this.created.length}`;
      this.kitchenOrders.set(name, { name, status: "NEW" });
      return { name, status: "NEW" };
    });

  getKitchenOrder = (name: string) =>
    this.hooks.around("getKitchenOrder", async () => ({ ...found(this.kitchenOrders, name) }));

  createShipment = ({ idempotencyKey: key }: Parameters<FoodService["createShipment"]>[0]) =>
    this.hooks.around("createShipment", async (): Promise<Shipment> => {
      this.created.push({ stage: "shipment", key });
      const name = this.nextNames.shift() ?? `shipments/${this.created.length}`;
      this.shipments.set(name, { name, status: "NEW" });
      return { name, status: "NEW" };
    });

  getShipment = (name: string) => this.hooks.around("getShipment", async () => ({ ...found(this.shipments, name) }));
}

function found<T>(things: ReadonlyMap<string, T>, name: string): T {
  const thing = things.get(name);
  if (thing === undefined) throw callError("NOT_FOUND", `there is no ${name}`, true);
  return thing;
}

interface LogLine {
  level: "debug" | "info" | "warn" | "error";
  message: string;
  fields: Record<string, unknown>;
}

export interface TestBed {
  ports: Ports;
  clock: ManualClock;
  store: WatchedStore;
  food: StubFoodService;
  lines: LogLine[];
  published: { stage: Stage; message: OrderMessage }[];
  continuations: PollContinuation[];
  bus: Hooks<"publishOrders" | "publishContinuation">;
  customers: Hooks<keyof Customers>;
}

/** New, empty ports. No operation completes synchronously, so an effect that a handler does not await is too late. */
export function testBed(
  settings: Partial<Settings> = {},
  { seed = 1, pause = () => later() }: { seed?: number; pause?: (label: string) => Promise<unknown> } = {},
): TestBed {
  const clock = new ManualClock();
  const store = new WatchedStore(new Hooks(pause));
  const food = new StubFoodService(new Hooks(pause));
  const bus: TestBed["bus"] = new Hooks(pause);
  const customers: TestBed["customers"] = new Hooks(pause);
  const lines: LogLine[] = [];
  const published: TestBed["published"] = [];
  const continuations: PollContinuation[] = [];
  const line = (level: LogLine["level"]) => (message: string, fields: object) =>
    void lines.push({ level, message, fields: { ...fields } });
  const log: Log = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  const ports: Ports = {
    clock,
    random: seededRandomness(seed),
    store,
    food,
    flow: NO_FLOW_CONTROL,
    links: new RecentLinks(clock, { ...TEST_SETTINGS, ...settings }),
    log,
    settings: { ...TEST_SETTINGS, ...settings },
    customers: {
      userByName: (name) => customers.around("userByName", async () => ({ name, class: "7", roll: 70 })),
    },
    bus: {
      publishOrders: (stage, messages) =>
        bus.around(
          "publishOrders",
          async () => void published.push(...messages.map((message) => ({ stage, message }))),
        ),
      publishContinuation: (continuation) =>
        bus.around("publishContinuation", async () => void continuations.push(continuation)),
    },
  };
  return { ports, clock, store, food, lines, published, continuations, bus, customers };
}
