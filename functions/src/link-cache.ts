/**
 * What an instance remembers of active orders: the kitchen order or shipment that each one waits for. A link never changes once it is
 * set, so an idle tick that finds it here reads no document. An entry can only say that an order still waits; whatever advances an
 * order reads its relation.
 */
import type { CreatingStage } from "./domain/order-lifecycle.js";
import type { Clock, LinkCache, WaitingOrder } from "./ports.js";

/** At some 250 bytes each, a twentieth of an instance's memory. */
const MAX_ENTRIES = 50_000;

/** The longest time for which an entry is believed, in milliseconds. */
const MAX_AGE_MS = 1_800_000;

interface Entry {
  link: string;
  placedAt: number | undefined;
  until: number;
}

/**
 * Keeps the entries that were used last, in two generations: when the younger one is full, it becomes the older one, and what was not
 * used since the last such turn is forgotten.
 */
export class RecentLinks implements LinkCache {
  private younger = new Map<string, Entry>();
  private older = new Map<string, Entry>();
  private readonly maxAgeMs: number;

  constructor(
    private readonly clock: Pick<Clock, "now">,
    { MISSING_AFTER_MINUTES }: { MISSING_AFTER_MINUTES: number },
    private readonly maxEntries = MAX_ENTRIES,
  ) {
    // An order or its link must be missing for twice that time before a relation is closed as GONE, or an operator is asked about a lost
    // link. Then no instance has an entry left from before, when the order comes back or has another link.
    this.maxAgeMs = Math.min(MAX_AGE_MS, (MISSING_AFTER_MINUTES * 60_000) / 2);
  }

  find(stage: CreatingStage, { id, placedAt }: WaitingOrder): string | undefined {
    const key = keyOf(stage, id);
    const entry = this.younger.get(key) ?? this.older.get(key);
    if (!entry) return undefined;
    // Another creation time means another order.
    if (entry.until <= this.clock.now() || entry.placedAt !== placedAt) {
      this.remove(key);
      return undefined;
    }
    this.put(key, entry);
    return entry.link;
  }

  remember(stage: CreatingStage, { id, placedAt }: WaitingOrder, link: string): void {
    this.put(keyOf(stage, id), { link, placedAt, until: this.clock.now() + this.maxAgeMs });
  }

  forget(stage: CreatingStage, { id }: WaitingOrder): void {
    this.remove(keyOf(stage, id));
  }

  private put(key: string, entry: Entry): void {
    this.younger.set(key, entry);
    if (this.younger.size < this.maxEntries / 2) return;
    this.older = this.younger;
    this.younger = new Map();
  }

  private remove(key: string): void {
    this.younger.delete(key);
    this.older.delete(key);
  }
}

function keyOf(stage: CreatingStage, id: string): string {
  return [stage, id].join(" ");
}
