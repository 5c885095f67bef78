/** How many requests one person may make: a token bucket for each, in this instance's memory. */
import type { Clock } from "../ports.js";

/** As many requests at once, and so many more a second. */
const BURST = 60;
const PER_SECOND = 10;

/** At most this many people are remembered. Beyond that, the least recent is forgotten and starts with a full bucket. */
const MOST_PEOPLE = 1_000;

export class RateLimit {
  private readonly buckets = new Map<string, { tokens: number; at: number }>();

  constructor(private readonly clock: Pick<Clock, "now">) {}

  /** Takes one token from a person's bucket. Returns 0, or if the bucket is empty, the seconds until the next token. */
  consume(person: string): number {
    const now = this.clock.now();
    const { tokens, at } = this.buckets.get(person) ?? { tokens: BURST, at: now };
    const left = Math.min(BURST, tokens + (PER_SECOND * Math.max(0, now - at)) / 1000);
    const allowed = left >= 1;
    // The map keeps insertion order, so this moves the person to its end.
    this.buckets.delete(person);
    this.buckets.set(person, { tokens: allowed ? left - 1 : left, at: now });
    const oldest = this.buckets.keys().next();
    if (this.buckets.size > MOST_PEOPLE && !oldest.done) this.buckets.delete(oldest.value);
    return allowed ? 0 : Math.max(1, Math.ceil((1 - left) / PER_SECOND));
  }
}
