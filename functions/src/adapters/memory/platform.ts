/** The platform in one process: brings messages and document changes to the handlers until they are taken. */
import { isRetryable } from "../../domain/errors.js";
import { continuePoll, handleOrderMessage, reactionsTo, runReaction, SCHEDULED } from "../../pipeline/handlers.js";
import type { Ports } from "../../ports.js";
import type { RelationChange } from "../../relations/on-relation-written.js";
import { RELATIONS } from "../../relations/relation.js";
import { MemoryBus } from "./bus.js";
import { MemoryStore } from "./store.js";

/** The wait before something is brought again, in milliseconds; doubled each time up to the longest. */
const FIRST_WAIT = 200;
const LONGEST_WAIT = 10_000;

export class MemoryPlatform {
  readonly store = new MemoryStore((change) => this.onWrite(change));
  private readonly ports: Ports;
  private stopped = false;

  /** @param outside all that does not live in this process */
  constructor(outside: Omit<Ports, "store" | "bus">) {
    const bus = new MemoryBus(
      (stage, payload) => this.bring(() => handleOrderMessage(stage, payload, this.ports)),
      (payload) => this.bring(async () => void (await continuePoll(payload, this.ports))),
    );
    this.ports = { ...outside, store: this.store, bus };
  }

  /** Runs a scheduled function once. */
  async run(name: keyof typeof SCHEDULED): Promise<void> {
    await SCHEDULED[name](this.ports);
  }

  /** Brings nothing any more. */
  stop(): void {
    this.stopped = true;
  }

  private onWrite(change: RelationChange): void {
    const [collection, id, below] = (change.after ?? change.before)?.path.split("/") ?? [];
    if (collection !== RELATIONS || id === undefined || below !== undefined) return;
    for (const name of reactionsTo(change)) this.bring(() => runReaction(name, id, change, this.ports));
  }

  private bring(work: () => Promise<void>, wait = 0): void {
    setTimeout(() => {
      if (this.stopped) return;
      work().catch((error: unknown) => {
        if (isRetryable(error)) this.bring(work, Math.min(LONGEST_WAIT, Math.max(FIRST_WAIT, 2 * wait)));
        else this.ports.log.error("dropped", { outcome: "dropped", reason: String(error) });
      });
    }, wait).unref();
  }
}
