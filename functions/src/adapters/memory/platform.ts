/** The platform in one process: delivers messages and document changes to the handlers, with retries as Pub/Sub does. */
import { setTimeout as sleep } from "node:timers/promises";
import { isRetryable } from "../../domain/errors.js";
import type { Stage } from "../../domain/order-lifecycle.js";
import { continuePoll, handleOrderMessage, reactionsTo, runReaction, SCHEDULED } from "../../pipeline/handlers.js";
import type { OrderMessage, Ports, Store } from "../../ports.js";
import type { RelationChange } from "../../relations/on-relation-written.js";
import { RELATIONS } from "../../relations/relation.js";
import { MemoryBus } from "./bus.js";

/** The backoff before a redelivery, as in the cloud's subscriptions: it doubles each time up to the maximum. */
const FIRST_RETRY_MS = 10_000;
const LONGEST_RETRY_MS = 600_000;

/** The maximum of messages handled at a time. It also limits what a crash can leave uncertain, however many orders a poll publishes. */
const MAX_CONCURRENT_MESSAGES = 20;

/** A change that could not be delivered for this long is dropped, like a Firestore trigger's event. */
const MAX_CHANGE_AGE_MS = 24 * 3_600_000;

/** Accepts each change of a document. The promise resolves when the change is delivered, and never after `stop`. */
export type DeliverChange = (change: RelationChange) => Promise<void>;

export class InProcessPlatform {
  readonly ports: Ports;
  private stopped = false;
  private readonly running = new Set<Promise<unknown>>();
  /** Orders whose message is being handled or queued, and orders whose message waits for its redelivery. */
  private readonly active = new Set<string>();
  private readonly queue: (() => Promise<void>)[] = [];
  private handling = 0;
  private readonly retries = new Map<string, NodeJS.Timeout>();

  /**
   * @param outside the ports that this process does not provide itself
   * @param openStore opens a store that gives each change of a relation to `deliver`
   */
  constructor(outside: Omit<Ports, "store" | "bus">, openStore: (deliver: DeliverChange) => Store) {
    const bus = new MemoryBus(
      (stage, message) => this.deliverMessage(stage, message),
      (continuation) => this.deliverContinuation(() => continuePoll(continuation, this.ports)),
    );
    this.ports = { ...outside, bus, store: openStore((change) => this.deliverChange(change)) };
  }

  /** Runs a scheduled function once. */
  async run(name: keyof typeof SCHEDULED): Promise<void> {
    if (this.stopped) return;
    const running = SCHEDULED[name](this.ports);
    this.running.add(running);
    try {
      await running;
    } finally {
      this.running.delete(running);
    }
  }

  /** Stops deliveries. Resolves when the running handlers have ended, or after this many milliseconds. */
  async stop(patienceMs: number): Promise<void> {
    this.stopped = true;
    for (const timer of this.retries.values()) clearTimeout(timer);
    this.retries.clear();
    const patience = new AbortController();
    const timeout = sleep(patienceMs, undefined, { signal: patience.signal }).catch(() => undefined);
    await Promise.race([Promise.allSettled(this.running), timeout]);
    patience.abort();
  }

  /**
   * Queues a message, unless one of the same order is being handled or queued: then the next poll publishes the order
   * again. A message of the order that waits for its redelivery is dropped, since this one is newer.
   */
  private deliverMessage(stage: Stage, message: OrderMessage, failures = 0): void {
    const { order } = message;
    if (this.active.has(order)) return;
    clearTimeout(this.retries.get(order));
    this.retries.delete(order);
    this.active.add(order);
    this.queue.push(async () => {
      const retry = await this.attempt(() => handleOrderMessage(stage, message, this.ports));
      this.active.delete(order);
      if (!retry) return;
      const next = setTimeout(() => this.deliverMessage(stage, message, failures + 1), retryDelay(failures));
      this.retries.set(order, next.unref());
    });
    setImmediate(() => this.handleQueued());
  }

  private handleQueued(): void {
    while (this.handling < MAX_CONCURRENT_MESSAGES) {
      const next = this.queue.shift();
      if (!next) return;
      this.handling++;
      void next().finally(() => {
        this.handling--;
        this.handleQueued();
      });
    }
  }

  private deliverContinuation(work: () => Promise<unknown>, failures = 0): void {
    setTimeout(
      async () => {
        if (await this.attempt(work)) this.deliverContinuation(work, failures + 1);
      },
      failures === 0 ? 0 : retryDelay(failures - 1),
    ).unref();
  }

  /** Resolves when every reaction to the change has handled it or dropped it. */
  private async deliverChange(change: RelationChange): Promise<void> {
    const [collection, id, below] = (change.after ?? change.before)?.path.split("/") ?? [];
    if (collection !== RELATIONS || id === undefined || below !== undefined) return;
    await Promise.all(
      reactionsTo(change).map((name) => this.untilTaken(() => runReaction(name, id, change, this.ports), change)),
    );
  }

  private async untilTaken(work: () => Promise<void>, change: RelationChange): Promise<void> {
    const { clock, log } = this.ports;
    const giveUpAt = clock.now() + MAX_CHANGE_AGE_MS;
    await new Promise((resolve) => setImmediate(resolve));
    for (let failures = 0; await this.attempt(work); failures++) {
      if (clock.now() > giveUpAt) {
        log.error("dropped: the change is too old", {
          outcome: "dropped",
          path: (change.after ?? change.before)?.path,
        });
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, retryDelay(failures)).unref());
    }
  }

  /** Runs the work once and returns whether to retry it. After `stop`, work that needs a retry never resolves. */
  private async attempt(work: () => Promise<unknown>): Promise<boolean> {
    if (this.stopped) return new Promise(() => {});
    const running = work();
    this.running.add(running);
    try {
      await running;
      return false;
    } catch (error) {
      if (isRetryable(error)) return this.stopped ? new Promise(() => {}) : true;
      this.ports.log.error("dropped", { outcome: "dropped", reason: String(error) });
      return false;
    } finally {
      this.running.delete(running);
    }
  }
}

/** Milliseconds before the next delivery; `failures` counts those before the last one. */
function retryDelay(failures: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
}
