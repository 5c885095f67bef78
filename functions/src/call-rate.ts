/**
 * The call rate that a service sustains, learned from its rejections with RESOURCE_EXHAUSTED. A rejected read is harmless, but the
 * outcome of a rejected create is unknown. So only reads probe for a higher rate, in short probes without creates, and creates are
 * sent only at a proven rate.
 */

/** The time over which calls are counted, in milliseconds. */
const WINDOW_MS = 1_000;

/** The calls per window that count as proven from the start. */
const INITIAL_PROVEN = 2;

/** The share of the proven rate to use after a rejection: calls do not arrive as evenly as they are sent. */
const USED_SHARE = 0.8;

/** After a rejection, no create is sent for this long, in milliseconds. */
const PROBATION_MS = 2_000;

/** The duration of a probe, in milliseconds, and the factor by which it may exceed the proven rate. */
const PROBE_MS = 2_000;
const PROBE_FACTOR = 1.5;

/** The time until the next probe, in milliseconds. Each rejection doubles it. */
const FIRST_PROBE_AFTER_MS = 2_000;
const LONGEST_PROBE_AFTER_MS = 600_000;

export class CallRate {
  /** The proven rate: the most calls in a window whose last call was an answered read. */
  private proven = INITIAL_PROVEN;
  /** Whether a call was ever rejected. Until then, reads are not limited. */
  private isLimited = false;
  private readonly started = new CallWindow();
  private readonly accepted = new CallWindow();
  private rejectedAt = Number.NEGATIVE_INFINITY;
  private loweredAt = Number.NEGATIVE_INFINITY;
  private nextProbeAt = 0;
  private probedAt = Number.NEGATIVE_INFINITY;
  private probeUntil = Number.NEGATIVE_INFINITY;
  private probeAfterMs = FIRST_PROBE_AFTER_MS;

  /** How long a call must wait, in milliseconds; 0 if it may start now. */
  waitMs(isCreate: boolean, now: number): number {
    const pause = isCreate ? Math.max(this.rejectedAt + PROBATION_MS, this.probeUntil) - now : 0;
    if (pause > 0) return pause;
    const most = this.mostCalls(isCreate, now);
    const wait = this.started.untilFewerThan(most, now);
    if (wait === 0 || isCreate || now < this.nextProbeAt) return wait;
    // More reads are waiting than the limit allows.
    if (this.rejectedAt < this.probedAt) this.probeAfterMs = FIRST_PROBE_AFTER_MS;
    this.probedAt = now;
    this.probeUntil = now + PROBE_MS;
    this.nextProbeAt = this.probeUntil + this.probeAfterMs;
    return this.started.untilFewerThan(this.mostCalls(isCreate, now), now);
  }

  /** Whether a create that was allowed some time ago may still be sent. */
  maySendCreate(now: number): boolean {
    return !this.isLimited || (now >= this.probeUntil && this.started.countAt(now) <= this.proven);
  }

  /** Records the start of a call. Returns how many calls have started in the window that ends with it. */
  start(now: number): number {
    return this.started.add(now);
  }

  /** Records that a call was answered. `count` is what `start` returned for it. */
  accept(isCreate: boolean, count: number, now: number): void {
    this.accepted.add(now);
    if (!isCreate) this.proven = Math.max(this.proven, count);
  }

  /** Records that a call was rejected because there were too many. Rejections within a window lower the rate once. */
  reject(now: number): void {
    this.rejectedAt = now;
    if (now - this.loweredAt < WINDOW_MS) return;
    this.loweredAt = now;
    this.isLimited = true;
    this.proven = Math.max(1, Math.min(this.proven, this.accepted.countAt(now)));
    this.probeUntil = now;
    this.nextProbeAt = now + this.probeAfterMs;
    this.probeAfterMs = Math.min(LONGEST_PROBE_AFTER_MS, 2 * this.probeAfterMs);
  }

  private mostCalls(isCreate: boolean, now: number): number {
    if (!this.isLimited) return isCreate ? this.proven : Number.POSITIVE_INFINITY;
    if (now < this.probeUntil) return Math.max(this.proven + 1, Math.floor(PROBE_FACTOR * this.proven));
    return Math.max(1, Math.floor(USED_SHARE * this.proven));
  }
}

/** The times of the calls in the last window, oldest first. */
class CallWindow {
  private readonly times: number[] = [];

  /** Adds a call and returns the new count. */
  add(now: number): number {
    this.forget(now);
    return this.times.push(now);
  }

  countAt(now: number): number {
    this.forget(now);
    return this.times.length;
  }

  /** Milliseconds until fewer than this many calls are left, if none is added. At least 1. */
  untilFewerThan(most: number, now: number): number {
    this.forget(now);
    const last = this.times[this.times.length - most];
    return last === undefined ? 0 : last + WINDOW_MS - now;
  }

  private forget(now: number): void {
    while (this.times[0] !== undefined && this.times[0] <= now - WINDOW_MS) this.times.shift();
  }
}
