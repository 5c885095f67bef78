/** Brings events to the functions as Eventarc and Cloud Scheduler do: at least once, in any order, until they are taken. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { openFirestore, snapshotOf } from "../functions/src/adapters/firebase/firestore-store.js";
import type { FunctionName } from "../functions/src/adapters/firebase/function-options.js";
import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import { CONTINUATION_TOPIC } from "../functions/src/pipeline/messages.js";
import type { Fields, Randomness } from "../functions/src/ports.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { valuesOf } from "./emulators/firestore-rest.js";

/** The topic of each function that takes messages. */
export const SUBSCRIBERS: Partial<Record<FunctionName, string>> = {
  sendToKitchen: STAGES.kitchen.topic,
  dispatchShipment: STAGES.shipment.topic,
  completeOrder: STAGES.completion.topic,
  continuePoll: CONTINUATION_TOPIC,
};

/** A share of the events comes twice, in this time, in milliseconds. */
const DOUBLED = 0.05;
const SOON = 300;

/**
 * The Pub/Sub emulator has two pushes of a subscription under way at a time, which is little: each topic has so many
 * subscriptions, and each of them takes only its own share of the messages.
 */
export const SHARES = 4;

/** A push that hangs for longer than this, in milliseconds, makes room and comes again. */
const PATIENCE = 2_000;

/** After so long at most an event comes again, in milliseconds. */
const LONGEST_BACKOFF = 3_000;

/** What runs the functions. */
export interface FunctionRunner {
  /** Brings an event or a tick to an instance and resolves with the status of its answer, undefined if there was none. */
  deliver(name: FunctionName, order: string | undefined, body: object): Promise<number | undefined>;
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
  fleet: FunctionRunner;
  project: string;
  random: Randomness;
  /** Counts each fault. */
  counts: { add(fault: BridgeFault): void };
  /** Whether faults strike at the moment. */
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

export class Bridge {
  /** Every change of a relation or an attempt that was seen. */
  readonly writes: DocumentWrite[] = [];
  private readonly server: Server;
  private readonly seen = new Set<string>();
  private unsubscribe: (() => void)[] = [];
  /** Firestore events that were not taken yet. */
  private underWay = 0;
  private stopped = false;

  constructor(private readonly options: BridgeOptions) {
    this.server = createServer((request, response) => void this.push(request, response));
  }

  get isIdle(): boolean {
    return this.underWay === 0 && this.options.fleet.isIdle;
  }

  /** Resolves with whether nothing comes any more, for as long as a redelivery may take, within so many milliseconds. */
  async settles(within: number, signal: AbortSignal): Promise<boolean> {
    const deadline = Date.now() + within;
    let idleSince = Date.now();
    let delivered = 0;
    while (Date.now() < deadline) {
      const { deliveries } = this.options.fleet;
      if (!this.isIdle || deliveries.length > delivered) idleSince = Date.now();
      delivered = deliveries.length;
      if (Date.now() - idleSince > LONGEST_BACKOFF) return true;
      await sleep(50, undefined, { signal });
    }
    return false;
  }

  /** Resolves with the port that pushes go to. */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(0, "127.0.0.1", () => resolve((this.server.address() as { port: number }).port));
    });
  }

  /** Watches relations, whose changes are events, and other collections, which trigger nothing, for the history alone. */
  watch(...others: string[]): void {
    const firestore = openFirestore(this.options.project);
    for (const collection of [RELATIONS, ...others]) {
      const known = new Map<string, { fields: Fields; value: object }>();
      const stop = firestore.collection(collection).onSnapshot(
        (found) => {
          for (const { doc, type } of found.docChanges()) {
            const snapshot = type === "removed" ? undefined : snapshotOf(doc);
            const before = known.get(doc.ref.path);
            const at = doc.updateTime.toMillis();
            this.writes.push({ path: doc.ref.path, before: before?.fields, after: snapshot?.fields, at });
            const value = snapshot && {
              name: `projects/${this.options.project}/databases/(default)/documents/${doc.ref.path}`,
              fields: valuesOf(snapshot.fields),
              createTime: doc.createTime.toDate().toISOString(),
              updateTime: doc.updateTime.toDate().toISOString(),
            };
            if (snapshot && value) known.set(doc.ref.path, { fields: snapshot.fields, value });
            else known.delete(doc.ref.path);
            if (collection === RELATIONS) this.changed(doc.ref.path, value, before?.value);
          }
        },
        (error) => console.error(`The listener on ${collection} ended: ${error.message}`),
      );
      this.unsubscribe.push(stop);
    }
  }

  /** Fires a schedule once. */
  async tick(name: "pollOrders" | "sweep"): Promise<void> {
    await this.options.fleet.deliver(name, undefined, {});
  }

  /** Fires a schedule so often, missing and doubling ticks while faults strike. */
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

  /** Takes a push of Pub/Sub's and answers it as the function does; what is not answered with success comes again. */
  private async push(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { fleet, random, counts, project, isTroubled } = this.options;
    try {
      const data = JSON.parse(await text(request)) as {
        message: { messageId: string; data: string; publishTime: string };
      };
      const [, name, share] = (request.url ?? "").split("/") as [string, FunctionName, string];
      const { messageId, data: payload, publishTime } = data.message;
      if (Number(messageId) % SHARES !== Number(share)) {
        response.writeHead(204).end();
        return;
      }
      if (this.seen.has(messageId)) counts.add("message redelivered");
      this.seen.add(messageId);
      const { order } = JSON.parse(Buffer.from(payload, "base64").toString()) as { order?: string };
      const event = {
        specversion: "1.0",
        id: messageId,
        source: `//pubsub.googleapis.com/projects/${project}/topics/${SUBSCRIBERS[name]}`,
        type: "google.cloud.pubsub.topic.v1.messagePublished",
        time: publishTime,
        datacontenttype: "application/json",
        data,
      };
      if (isTroubled() && random.fraction() < DOUBLED) {
        counts.add("message doubled");
        void sleep(random.fraction() * SOON).then(() => fleet.deliver(name, order, event));
      }
      const late = sleep(PATIENCE, undefined, { ref: false });
      const status = await Promise.race([fleet.deliver(name, order, event), late]);
      response.writeHead(status ?? 503).end();
    } catch {
      response.writeHead(500).end();
    }
  }

  /** Brings a change of a relation to its function until it is taken. */
  private changed(path: string, value: object | undefined, oldValue: object | undefined): void {
    const { project, random, counts, isTroubled } = this.options;
    const event = {
      specversion: "1.0",
      id: `${path}-${this.writes.length}`,
      source: `//firestore.googleapis.com/projects/${project}/databases/(default)`,
      type: "google.cloud.firestore.document.v1.written",
      time: new Date().toISOString(),
      subject: `documents/${path}`,
      datacontenttype: "application/json",
      project,
      database: "(default)",
      namespace: "(default)",
      location: "us-central1",
      document: path,
      data: { ...(value && { value }), ...(oldValue && { oldValue }) },
    };
    const order = `orders/${path.slice(RELATIONS.length + 1)}`;
    void this.deliverUntilTaken(order, event);
    if (!isTroubled() || random.fraction() >= DOUBLED) return;
    counts.add("event doubled");
    void sleep(random.fraction() * SOON).then(() => this.deliverUntilTaken(order, event));
  }

  private async deliverUntilTaken(order: string, event: object): Promise<void> {
    const { fleet, counts } = this.options;
    this.underWay++;
    for (let backoff = 500; !this.stopped; backoff = Math.min(2 * backoff, LONGEST_BACKOFF)) {
      const status = await fleet.deliver("onRelationWritten", order, event);
      if (status !== undefined && status < 300) break;
      counts.add("event redelivered");
      await sleep(backoff, undefined, { ref: false });
    }
    this.underWay--;
  }
}
