/**
 * How many calls a second a service takes, learned from its rejections with RESOURCE_EXHAUSTED. A rejected read costs nothing, but the
 * outcome of a rejected create is unknown. So only reads find out whether more calls are taken: creates follow at a rate that is proven.
 */

/** The time over which calls are counted, in milliseconds. */
const WINDOW_MS = 1_000;

/** So many calls in a window are taken for proven from the start. */
const INITIAL_PROVEN = 2;

/** After a rejection, the share of the calls that were accepted in the last window. */
const BACKOFF_SHARE = 0.8;

/** After a rejection no create is sent for so long, in milliseconds: the lower rate is not proven yet. */
const PROBATION_MS = 2_000;

/** A limit that is used is raised by this factor after a time without rejections. Each rejection doubles that time, in milliseconds. */
const GROWTH = 1.25;
const FIRST_GROWTH_AFTER_MS = 2_000;
const LONGEST_GROWTH_AFTER_MS = 600_000;

export class CallRate {
  /** Calls in a window; no limit is known before the first rejection. */
  private limit = Number.POSITIVE_INFINITY;
  /** The most calls in a window of which a read was the last, and was answered. */
  private proven = INITIAL_PROVEN;
  private readonly started = new CallWindow();
  private readonly accepted = new CallWindow();
  private rejectedAt = Number.NEGATIVE_INFINITY;
  /** When the limit was last changed. */
  private changedAt = Number.NEGATIVE_INFINITY;
  private growthAfterMs = FIRST_GROWTH_AFTER_MS / 2;

  /** How long a call has to wait, in milliseconds; 0 if it may start now. */
  waitMs(isCreate: boolean, now: number): number {
    this.grow(now);
    const probation = isCreate ? this.rejectedAt + PROBATION_MS - now : 0;
    if (probation > 0) return probation;
    const most = Math.floor(isCreate ? Math.min(this.proven, this.limit) : this.limit);
    return this.started.untilFewerThan(most, now);
  }

  /** Takes note of a call that starts; how many have started in the window that ends with it. */
  start(now: number): number {
    return this.started.add(now);
  }

  /** Takes note of a call that was answered. `count` is what `start` returned for it. */
  accept(isCreate: boolean, count: number, now: number): void {
    this.accepted.add(now);
    if (!isCreate && count <= this.limit) this.proven = Math.max(this.proven, count);
  }

  /** Takes note of a call that was rejected because there were too many. Rejections within a window lower the limit once. */
  reject(now: number): void {
    this.rejectedAt = now;
    if (now - this.changedAt < WINDOW_MS) return;
    this.changedAt = now;
    this.limit = Math.max(1, BACKOFF_SHARE * Math.min(this.limit, this.accepted.countAt(now)));
    this.proven = Math.min(this.proven, Math.floor(this.limit));
    this.growthAfterMs = Math.min(LONGEST_GROWTH_AFTER_MS, 2 * this.growthAfterMs);
  }

  private grow(now: number): void {
    if (this.limit === Number.POSITIVE_INFINITY || now - this.changedAt < this.growthAfterMs) return;
    this.changedAt = now;
    // A rate that was not needed is not proven.
    if (this.proven >= Math.floor(this.limit)) this.limit = Math.max(this.limit + 1, GROWTH * this.limit);
  }
}

/** The times of the calls in the last window, oldest first. */
class CallWindow {
  private readonly times: number[] = [];

  /** Adds a call; how many there are with it. */
  add(now: number): number {
    this.forget(now);
    return this.times.push(now);
  }

  countAt(now: number): number {
    this.forget(now);
    return this.times.length;
  }

  /** Milliseconds until there are fewer calls than this, at least one, if none is added. */
  untilFewerThan(most: number, now: number): number {
    this.forget(now);
    const last = this.times[this.times.length - most];
    return last === undefined ? 0 : last + WINDOW_MS - now;
  }

  private forget(now: number): void {
    while (this.times[0] !== undefined && this.times[0] <= now - WINDOW_MS) this.times.shift();
  }
}
