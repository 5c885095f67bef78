/** Delivers events to functions as Eventarc and Cloud Scheduler do: at least once, in any order, until they succeed. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { openFirestore, snapshotOf } from "../functions/src/adapters/firebase/firestore-store.js";
import type { FunctionName } from "../functions/src/adapters/firebase/function-options.js";
import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import { CONTINUATION_TOPIC, unpackOrders } from "../functions/src/pipeline/messages.js";
import type { Fields, Randomness } from "../functions/src/ports.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { documentChanged, documentVersion, messagePublished } from "./cloud-events.js";
import { valuesOf } from "./emulators/firestore-rest.js";
import { PubSubTopics } from "./emulators/pubsub-rest.js";
import { listenLocally } from "./listen.js";

/** The topic of each function that takes messages. */
const SUBSCRIBERS: Partial<Record<FunctionName, string>> = {
  ...Object.fromEntries(Object.values(STAGES).map((stage) => [stage.function, stage.topic])),
  continuePoll: CONTINUATION_TOPIC,
};

/** The share of events that are delivered twice, and the time within which. */
const DOUBLED_SHARE = 0.05;
const DOUBLED_WITHIN_MS = 300;

/**
 * The Pub/Sub emulator has two pushes of a subscription under way at a time, which is little: each topic has so many
 * subscriptions, and each of them takes only its own share of the messages.
 */
const SHARES = 4;

/** A push that hangs for longer than this is abandoned and redelivered. */
const PUSH_TIMEOUT_MS = 2_000;

/** The maximum wait before a redelivery. */
const MAX_BACKOFF_MS = 3_000;

/** What runs the functions. */
export interface FunctionRunner {
  /** Delivers an event about these orders, or a tick, to an instance and resolves with the status of its reply, or undefined without one. */
  deliver(name: FunctionName, orders: readonly string[], body: object): Promise<number | undefined>;
  /** Every delivery so far. */
  readonly deliveries: { readonly length: number };
  readonly isIdle: boolean;
}

/** Faults that the bridge itself causes or sees. */
type BridgeFault =
  | "tick missed"
  | "tick doubled"
  | "message doubled"
  | "message redelivered"
  | "event doubled"
  | "event redelivered";

export interface BridgeOptions {
  functions: FunctionRunner;
  project: string;
  random: Randomness;
  /** Counts each fault. */
  counts: { add(fault: BridgeFault): void };
  /** Whether faults are enabled now. */
  isTroubled(): boolean;
}

/** A change of a document, in the order in which its changes happened. */
export interface DocumentWrite {
  path: string;
  before: Fields | undefined;
  after: Fields | undefined;
  /** Milliseconds since the epoch. */
  at: number;
}

type QueryDocument = Awaited<
  ReturnType<ReturnType<ReturnType<typeof openFirestore>["collection"]>["get"]>
>["docs"][number];

/** The last known state of a document, and its form in an event. */
interface Version {
  fields: Fields;
  value: object;
}

export class Bridge {
  /** Every change of a relation or an attempt that was seen. */
  readonly writes: DocumentWrite[] = [];
  private readonly server: Server;
  private readonly seen = new Set<string>();
  private unsubscribe: (() => void)[] = [];
  /** Firestore events that are not acknowledged yet. */
  private underWay = 0;
  private stopped = false;

  constructor(private readonly options: BridgeOptions) {
    this.server = createServer((request, response) => void this.push(request, response));
  }

  get isIdle(): boolean {
    return this.underWay === 0 && this.options.functions.isIdle;
  }

  /** Resolves with whether no event arrives for as long as a redelivery may take, within this many milliseconds. */
  async settles(within: number, signal: AbortSignal): Promise<boolean> {
    const deadline = Date.now() + within;
    let idleSince = Date.now();
    let delivered = 0;
    while (Date.now() < deadline) {
      const { deliveries } = this.options.functions;
      if (!this.isIdle || deliveries.length > delivered) idleSince = Date.now();
      delivered = deliveries.length;
      if (Date.now() - idleSince > MAX_BACKOFF_MS) return true;
      await sleep(50, undefined, { signal });
    }
    return false;
  }

  /** Has the Pub/Sub emulator at this host:port push every message of the functions' topics here. */
  async subscribe(pubsub: string): Promise<void> {
    const port = await listenLocally(this.server);
    const topics = new PubSubTopics(pubsub, this.options.project);
    for (const [name, topic] of Object.entries(SUBSCRIBERS)) {
      const shares = Array.from({ length: SHARES }, (_, share) => `http://127.0.0.1:${port}/${name}/${share}`);
      await topics.pushTo(topic, shares);
    }
  }

  /** Watches relations, whose changes are events, and other collections only for the record. */
  watch(...others: string[]): void {
    const firestore = openFirestore(this.options.project);
    for (const collection of [RELATIONS, ...others]) {
      const known = new Map<string, Version>();
      const stop = firestore.collection(collection).onSnapshot(
        (found) => {
          for (const { doc, type } of found.docChanges()) this.see(doc, type === "removed", known);
        },
        (error) => console.error(`The listener on ${collection} ended: ${error.message}`),
      );
      this.unsubscribe.push(stop);
    }
  }

  /** Records a change of a document, and delivers it if it is of a relation. */
  private see(doc: QueryDocument, isRemoved: boolean, known: Map<string, Version>): void {
    const { path, parent } = doc.ref;
    const snapshot = isRemoved ? undefined : snapshotOf(doc);
    const before = known.get(path);
    this.writes.push({ path, before: before?.fields, after: snapshot?.fields, at: doc.updateTime.toMillis() });
    const times = { created: doc.createTime.toDate(), updated: doc.updateTime.toDate() };
    const value = snapshot && documentVersion(this.options.project, path, valuesOf(snapshot.fields), times);
    if (snapshot && value) known.set(path, { fields: snapshot.fields, value });
    else known.delete(path);
    if (parent.id === RELATIONS) this.changed(path, value, before?.value);
  }

  /** Fires a schedule once. */
  async tick(name: "pollOrders" | "sweep"): Promise<void> {
    await this.options.functions.deliver(name, [], {});
  }

  /** Fires a schedule at this interval, with missed and duplicated ticks while faults are enabled. */
  async tickEvery(milliseconds: number, name: "pollOrders" | "sweep", signal: AbortSignal): Promise<void> {
    const { random, counts, isTroubled } = this.options;
    while (!signal.aborted) {
      const draw = isTroubled() ? random.fraction() : 1;
      if (draw < 0.1) counts.add("tick missed");
      else void this.tick(name);
      if (draw > 0.1 && draw < 0.2) {
        counts.add("tick doubled");
        void this.tick(name);
      }
      await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
    }
  }

  stop(): void {
    this.stopped = true;
    for (const stop of this.unsubscribe) stop();
    this.server.close();
    this.server.closeAllConnections();
  }

  /** Responds to a push with the function's status; a failed push is redelivered. */
  private async push(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { functions, project, random, counts, isTroubled } = this.options;
    try {
      const data = JSON.parse(await text(request)) as {
        message: { messageId: string; data: string; publishTime: string };
      };
      const [, name, share] = (request.url ?? "").split("/") as [string, FunctionName, string];
      const { messageId, data: payload } = data.message;
      if (Number(messageId) % SHARES !== Number(share)) {
        response.writeHead(204).end();
        return;
      }
      if (this.seen.has(messageId)) counts.add("message redelivered");
      this.seen.add(messageId);
      const orders = ordersIn(JSON.parse(Buffer.from(payload, "base64").toString()));
      const event = messagePublished(project, SUBSCRIBERS[name] ?? "", data);
      if (isTroubled() && random.fraction() < DOUBLED_SHARE) {
        counts.add("message doubled");
        void sleep(random.fraction() * DOUBLED_WITHIN_MS).then(() => functions.deliver(name, orders, event));
      }
      const late = sleep(PUSH_TIMEOUT_MS, undefined, { ref: false });
      const status = await Promise.race([functions.deliver(name, orders, event), late]);
      response.writeHead(status ?? 503).end();
    } catch {
      response.writeHead(500).end();
    }
  }

  /** Delivers a change of a relation to its function until it succeeds. */
  private changed(path: string, value: object | undefined, oldValue: object | undefined): void {
    const { project, random, counts, isTroubled } = this.options;
    const event = documentChanged(project, path, { value, oldValue });
    const order = `orders/${path.slice(RELATIONS.length + 1)}`;
    void this.deliverUntilTaken(order, event);
    if (!isTroubled() || random.fraction() >= DOUBLED_SHARE) return;
    counts.add("event doubled");
    void sleep(random.fraction() * DOUBLED_WITHIN_MS).then(() => this.deliverUntilTaken(order, event));
  }

  private async deliverUntilTaken(order: string, event: object): Promise<void> {
    const { functions, counts } = this.options;
    this.underWay++;
    for (let backoff = 500; !this.stopped; backoff = Math.min(2 * backoff, MAX_BACKOFF_MS)) {
      const status = await functions.deliver("onRelationWritten", [order], event);
      if (status !== undefined && status < 300) break;
      counts.add("event redelivered");
      await sleep(backoff, undefined, { ref: false });
    }
    this.underWay--;
  }
}

/** The names of the orders that a message is about; a continuation of a poll has none. */
function ordersIn(payload: unknown): string[] {
  return unpackOrders(payload).flatMap((one) => (one as { order?: string }).order ?? []);
}
