/** The platform in one process: delivers messages and document changes to the handlers, with retries as Pub/Sub does. */
import { setTimeout as sleep } from "node:timers/promises";
import { isRetryable } from "../../domain/errors.js";
import type { Stage } from "../../domain/order-lifecycle.js";
import { continuePoll, handleOrderMessage, reactionsTo, runReaction, SCHEDULED } from "../../pipeline/handlers.js";
import type { OrderMessage, Ports, Store } from "../../ports.js";
import type { RelationChange } from "../../relations/on-relation-written.js";
import { RELATIONS } from "../../relations/relation.js";
import { MemoryBus } from "./bus.js";

/** The wait before something is delivered again, as in the cloud's subscriptions: doubled each time up to the longest. */
const FIRST_RETRY_MS = 10_000;
const LONGEST_RETRY_MS = 600_000;

/** So many messages are handled at a time. What a crash leaves uncertain is among them, however many orders a poll brings. */
const MAX_CONCURRENT_MESSAGES = 20;

/** A change that could not be delivered for so long is dropped, as a Firestore trigger's event is. */
const MAX_CHANGE_AGE_MS = 24 * 3_600_000;

/** Takes each change of a document. The change is delivered when the promise resolves, which it does not after `stop`. */
export type DeliverChange = (change: RelationChange) => Promise<void>;

export class InProcessPlatform {
  readonly ports: Ports;
  private stopped = false;
  private readonly running = new Set<Promise<unknown>>();
  /** Orders whose message is being handled or queued, and those whose message waits for its next delivery. */
  private readonly active = new Set<string>();
  private readonly queue: (() => Promise<void>)[] = [];
  private handling = 0;
  private readonly retries = new Map<string, NodeJS.Timeout>();

  /**
   * @param outside all that does not live in this process
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

  /** Delivers nothing any more, and resolves when what is being handled has ended, or after so many milliseconds at most. */
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
   * Delivers a message in its turn, unless one of the same order is being handled or queued: then the next poll brings the order
   * again. One that waits for its next delivery is dropped, since this one is newer.
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

  /** Resolves when every reaction to the change has taken it or dropped it for good. */
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

  /** Does the work once; whether it should be done again. After `stop` what would be done again never resolves. */
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

/** Milliseconds before the next delivery, after this many failed ones before the last. */
function retryDelay(failures: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
}
