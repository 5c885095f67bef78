import assert from "node:assert/strict";
import { ConcurrencyLimit } from "./concurrency-limit.js";

const DEADLINE_MS = 10_000;

interface Service {
  /** How many calls it works on at a time; others queue. */
  workers: number;
  /** How long a call takes once a worker has it, in milliseconds. */
  callMs: number;
}

/** Keeps as many calls in flight as the limits of all callers allow, for so long. */
function load(service: Service, forMs: number, callers = 1) {
  const limits = Array.from(
    { length: callers },
    () => new ConcurrencyLimit({ deadlineMs: DEADLINE_MS, initial: 2, max: 200 }),
  );
  const inFlight = limits.map(() => 0);
  const freeAt = Array.from({ length: service.workers }, () => 0);
  const ends: { at: number; caller: number; startedAt: number; peak: number }[] = [];
  let [now, answered, late, slowest] = [0, 0, 0, 0];
  while (now < forMs) {
    for (const [caller, limit] of limits.entries()) {
      while ((inFlight[caller] ?? 0) < limit.inFlight && limit.pauseAt(now) === 0) {
        inFlight[caller] = (inFlight[caller] ?? 0) + 1;
        const worker = freeAt.indexOf(Math.min(...freeAt));
        const at = Math.max(now, freeAt[worker] ?? 0) + service.callMs;
        freeAt[worker] = at;
        ends.push({ at, caller, startedAt: now, peak: inFlight[caller] ?? 0 });
      }
    }
    ends.sort((one, other) => one.at - other.at);
    const end = ends.shift();
    if (!end) {
      now += 10;
      continue;
    }
    now = end.at;
    inFlight[end.caller] = (inFlight[end.caller] ?? 0) - 1;
    const ms = now - end.startedAt;
    slowest = Math.max(slowest, ms);
    if (ms > DEADLINE_MS) {
      late++;
      limits[end.caller]?.pushedBack(now);
    } else {
      answered++;
      limits[end.caller]?.answered("get", ms, end.peak, now);
    }
  }
  return { perSecond: (answered * 1_000) / forMs, late, slowest, limits };
}

describe("the limit of calls in flight", () => {
  const services: Record<string, Service> = {
    "5 workers that take 500 ms": { workers: 5, callMs: 500 },
    "5 workers that take 2 s": { workers: 5, callMs: 2_000 },
    "1 worker that takes 100 ms": { workers: 1, callMs: 100 },
    "100 workers that take 2 s": { workers: 100, callMs: 2_000 },
    "20 workers that take 20 ms": { workers: 20, callMs: 20 },
    "2 workers that take 4 s": { workers: 2, callMs: 4_000 },
  };
  for (const [what, service] of Object.entries(services)) {
    it(`reaches what a service with ${what} sustains, and no call exceeds its deadline`, () => {
      const { perSecond, late } = load(service, 600 * service.callMs);
      const sustained = (service.workers * 1_000) / service.callMs;
      assert.equal(late, 0);
      assert.ok(perSecond > 0.9 * sustained, `${perSecond} of ${sustained} calls a second`);
    });
  }

  it("does not grow if queued calls might then miss their deadline", () => {
    const { late, limits } = load({ workers: 2, callMs: 0.75 * DEADLINE_MS }, 300_000);
    assert.equal(late, 0);
    assert.equal(limits[0]?.inFlight, 2);
  });

  it("lets 20 instances that start at once share a service that is small for a single one", () => {
    const { perSecond, late } = load({ workers: 5, callMs: 500 }, 300_000, 20);
    assert.equal(late, 0);
    assert.ok(perSecond > 9, `${perSecond} calls a second`);
  });

  it("follows a service that gets slower, and one that gets faster again", () => {
    const limit = new ConcurrencyLimit({ deadlineMs: DEADLINE_MS, initial: 2, max: 200 });
    let now = 0;
    const answers = (count: number, ms: number) => {
      for (let call = 0; call < count; call++) {
        now += ms / limit.inFlight;
        limit.answered("get", ms, limit.inFlight, now);
      }
    };
    answers(2_000, 150);
    const fast = limit.inFlight;
    assert.equal(fast, 200);
    answers(2_000, 900);
    assert.ok(limit.inFlight < fast / 10, String(limit.inFlight));
    answers(4_000, 150);
    assert.ok(limit.inFlight > fast / 4, String(limit.inFlight));
  });

  it("halves when the service pushes back, once for simultaneous pushbacks, with growing pauses", () => {
    const limit = new ConcurrencyLimit({ deadlineMs: DEADLINE_MS, initial: 64, max: 200 });
    for (let call = 0; call < 30; call++) limit.pushedBack(1_000);
    assert.equal(limit.inFlight, 1);
    assert.ok(limit.isProbing);
    const first = limit.pauseAt(1_000);
    limit.answered("get", 10, 1, 2_000);
    assert.equal(limit.inFlight, 32);
    assert.equal(limit.isProbing, false);
    const pauses = [3_000, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000, 140_000].map((now) => {
      limit.pushedBack(now);
      return limit.pauseAt(now);
    });
    assert.equal(pauses[0], first);
    assert.deepEqual(
      pauses,
      [...pauses].sort((one, other) => one - other),
    );
    assert.equal(pauses.at(-1), 5_000);
    assert.equal(limit.pauseAt(200_000), 0);
  });

  it("does not grow while it is not used", () => {
    const limit = new ConcurrencyLimit({ deadlineMs: DEADLINE_MS, initial: 8, max: 200 });
    for (let call = 0; call < 1_000; call++) limit.answered("get", 50, 1, call * 100);
    assert.equal(limit.inFlight, 8);
  });

  it("distinguishes slow methods from slow replies", () => {
    const limit = new ConcurrencyLimit({ deadlineMs: DEADLINE_MS, initial: 8, max: 8 });
    for (let call = 0; call < 1_000; call++)
      limit.answered(call % 2 ? "get" : "create", call % 2 ? 100 : 900, 8, call * 100);
    assert.equal(limit.inFlight, 8);
  });
});
