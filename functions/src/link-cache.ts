/**
 * An instance's cache of links: the kitchen order or shipment that each active order waits for. A link never changes once it is
 * set, so an idle tick with a cached link reads no document. An entry only tells that an order still waits; everything that advances
 * an order reads its relation.
 */
import type { CreatingStage } from "./domain/order-lifecycle.js";
import type { Clock, LinkCache, WaitingOrder } from "./ports.js";

/** At about 250 bytes each, this is a twentieth of an instance's memory. */
const MAX_ENTRIES = 50_000;

/** The maximum age of an entry, in milliseconds. */
const MAX_AGE_MS = 1_800_000;

interface Entry {
  link: string;
  placedAt: number | undefined;
  until: number;
}

/**
 * An approximate LRU cache of two generations: when the younger generation is full, it becomes the older one, and entries that were
 * not used since are dropped.
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
    // An order or its link must be missing for twice this time before a relation is closed as GONE, or an operator is asked about a lost
    // link. So when the order reappears or gets another link, no instance has an old entry.
    this.maxAgeMs = Math.min(MAX_AGE_MS, (MISSING_AFTER_MINUTES * 60_000) / 2);
  }

  find(stage: CreatingStage, { id, placedAt }: WaitingOrder): string | undefined {
    const key = keyOf(stage, id);
    const entry = this.younger.get(key) ?? this.older.get(key);
    if (!entry) return undefined;
    // A different creation time means a different order.
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
