/** Limits each user's requests: one token bucket per user, in this instance's memory. */
import type { Clock } from "../ports.js";

/** The size of a burst, and the requests per second after it. */
const BURST = 60;
const PER_SECOND = 10;

/** The maximum of users with a bucket. Beyond it, the least recent user is dropped and starts with a full bucket. */
const MOST_PEOPLE = 1_000;

export class RateLimit {
  private readonly buckets = new Map<string, { tokens: number; at: number }>();

  constructor(private readonly clock: Pick<Clock, "now">) {}

  /** Takes one token from a user's bucket. Returns 0, or if the bucket is empty, the seconds until the next token. */
  consume(person: string): number {
    const now = this.clock.now();
    const { tokens, at } = this.buckets.get(person) ?? { tokens: BURST, at: now };
    const left = Math.min(BURST, tokens + (PER_SECOND * Math.max(0, now - at)) / 1000);
    const allowed = left >= 1;
    // The map is in insertion order, so this moves the user to its end.
    this.buckets.delete(person);
    this.buckets.set(person, { tokens: allowed ? left - 1 : left, at: now });
    const oldest = this.buckets.keys().next();
    if (this.buckets.size > MOST_PEOPLE && !oldest.done) this.buckets.delete(oldest.value);
    return allowed ? 0 : Math.max(1, Math.ceil((1 - left) / PER_SECOND));
  }
}
