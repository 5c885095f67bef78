/**
 * An adaptive limit for the calls to a service that are in flight. It grows while calls are as fast as on an idle service,
 * shrinks when they begin to queue there, and halves when the service pushes back. Modeled on Netflix's concurrency-limits.
 */

interface LimitOptions {
  /** The deadline of a call, in milliseconds. */
  deadlineMs: number;
  initial: number;
  max: number;
}

/** Smaller differences, in milliseconds, say more about this process than about the service. */
const NOISE_MS = 100;

/** The rate at which a method's shortest time is forgotten: it doubles within this many milliseconds unless it is seen again. */
const BASELINE_DOUBLES_MS = 600_000;

/** The share of its deadline that a call is allowed to take, as predicted. */
const SAFE_SHARE = 0.7;

/** Pushbacks within this time count once. */
const PUSHBACK_WINDOW_MS = 1_000;

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

export class ConcurrencyLimit {
  private limit: number;
  /** The shortest duration of a call by method, in milliseconds, and when it was seen. */
  private readonly baselines = new Map<string, { ms: number; at: number }>();
  /** Whether the limit still doubles each round, until the first sign of a queue. */
  private isFirstGrowth = true;
  /** About the current round, which ends after as many calls as the limit allows. */
  private round = newRound();
  private pushbacks = 0;
  private pausedUntil = 0;
  private lastPushback = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: LimitOptions) {
    this.limit = options.initial;
  }

  /** The number of calls that may be in flight now; one at a time after a pushback, until one is answered. */
  get inFlight(): number {
    return this.isProbing ? 1 : Math.floor(this.limit);
  }

  /** Whether the service pushed back and has answered nothing since: send only what is safe to repeat. */
  get isProbing(): boolean {
    return this.pushbacks > 0;
  }

  /** Milliseconds until a call may be sent after a pushback, 0 if one may be sent now. */
  pauseAt(now: number): number {
    return Math.max(0, this.pausedUntil - now);
  }

  /** Records that a call was answered: its duration in milliseconds, and the number of calls in flight at its start. */
  answered(method: string, ms: number, inFlight: number, now: number): void {
    this.pushbacks = 0;
    const baseline = this.baselineOf(method, ms, now);
    const { round } = this;
    const { deadlineMs } = this.options;
    round.calls++;
    round.peak = Math.max(round.peak, inFlight);
    round.slowestMs = Math.max(round.slowestMs, ms);
    round.timesBaseline += Math.max(ms, NOISE_MS) / Math.max(baseline, NOISE_MS);
    const isQueued = ms > Math.max(2 * baseline, baseline + NOISE_MS);
    const isNearDeadline = ms > deadlineMs / 2 && ms > 1.3 * baseline;
    if (isQueued || isNearDeadline) round.slow++;
    if (round.calls >= this.limit) this.endRound();
  }

  /** Records a pushback: the service is overloaded, unavailable, or did not answer in time. */
  pushedBack(now: number): void {
    if (now - this.lastPushback < PUSHBACK_WINDOW_MS) return;
    this.lastPushback = now;
    this.isFirstGrowth = false;
    this.limit = Math.max(1, this.limit / 2);
    this.pausedUntil = now + Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.pushbacks);
    this.pushbacks++;
    this.round = newRound();
  }

  private baselineOf(method: string, ms: number, now: number): number {
    const known = this.baselines.get(method);
    const aged = known ? known.ms * 2 ** ((now - known.at) / BASELINE_DOUBLES_MS) : Number.POSITIVE_INFINITY;
    const baseline = Math.min(ms, aged);
    this.baselines.set(method, { ms: baseline, at: now });
    return baseline;
  }

  private endRound(): void {
    const { calls, slow, peak, timesBaseline, slowestMs } = this.round;
    this.round = newRound();
    if (slow > calls / 2) {
      this.isFirstGrowth = false;
      this.limit = Math.max(1, this.limit * 0.8);
      return;
    }
    const isUsed = peak >= Math.floor(this.limit);
    if (!isUsed || slow > 0 || timesBaseline / calls > 1.5) return;
    for (const larger of this.isFirstGrowth ? [this.limit * 2, this.limit + 1] : [this.limit + 1]) {
      // If the service is saturated, the duration of calls grows in proportion to their number.
      if ((slowestMs * larger) / this.limit > SAFE_SHARE * this.options.deadlineMs) continue;
      this.limit = Math.min(this.options.max, larger);
      return;
    }
  }
}

function newRound() {
  return { calls: 0, slow: 0, peak: 0, timesBaseline: 0, slowestMs: 0 };
}
