import assert from "node:assert/strict";
import { CallRate } from "./call-rate.js";

/** A service that rejects calls above so many a second. */
interface Service {
  accepts(now: number): boolean;
}

/** Counts anew each second. */
function fixedWindow(perSecond: number): Service {
  let [second, count] = [0, 0];
  return {
    accepts(now) {
      if (Math.floor(now / 1_000) !== second) [second, count] = [Math.floor(now / 1_000), 0];
      return ++count <= perSecond;
    },
  };
}

/** Has so many tokens at first, and gets so many a second. */
function tokenBucket(perSecond: number, size: number): Service {
  let [tokens, at] = [size, 0];
  return {
    accepts(now) {
      tokens = Math.min(size, tokens + ((now - at) / 1_000) * perSecond);
      at = now;
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}

/** Sends as many calls as the rate allows, one create for every three reads, each answered after a few milliseconds. */
function load(service: Service, forMs: number) {
  const rate = new CallRate();
  const answers: { at: number; isCreate: boolean; count: number; isAccepted: boolean }[] = [];
  const counts = { reads: 0, creates: 0, rejectedReads: 0, rejectedCreates: 0 };
  for (let now = 0, calls = 0; now < forMs; now++) {
    const isCreate = calls % 4 === 3 && rate.waitMs(true, now) === 0;
    if (isCreate || rate.waitMs(false, now) === 0) {
      calls++;
      answers.push({ at: now + 3, isCreate, count: rate.start(now), isAccepted: service.accepts(now) });
    }
    while (answers[0] && answers[0].at <= now) {
      const { isCreate, count, isAccepted } = answers.shift() ?? assert.fail();
      if (isAccepted) rate.accept(isCreate, count, now);
      else rate.reject(now);
      if (isCreate) counts[isAccepted ? "creates" : "rejectedCreates"]++;
      else counts[isAccepted ? "reads" : "rejectedReads"]++;
    }
  }
  return counts;
}

describe("the rate of calls", () => {
  it("is not limited by a service that rejects nothing", () => {
    const { reads, creates } = load({ accepts: () => true }, 10_000);
    assert.ok(reads + creates > 9_000, `${reads + creates}`);
    assert.ok(creates > 2_000, `${creates}`);
  });

  for (const perSecond of [3, 10, 50, 400]) {
    it(`has only reads rejected by a service that takes ${perSecond} calls a second, and uses most of that rate`, () => {
      const { reads, creates, rejectedReads, rejectedCreates } = load(fixedWindow(perSecond), 600_000);
      assert.equal(rejectedCreates, 0);
      assert.ok((reads + creates) / 600 > 0.6 * perSecond, `${(reads + creates) / 600} calls a second`);
      assert.ok(creates / 600 > 0.1 * perSecond, `${creates / 600} creates a second`);
      assert.ok(rejectedReads < 0.03 * reads, `${rejectedReads} of ${reads} reads were rejected`);
    });

    it(`has few creates rejected by a token bucket of ${perSecond} calls a second`, () => {
      const { reads, creates, rejectedCreates } = load(tokenBucket(perSecond, 2 * perSecond), 600_000);
      assert.ok(rejectedCreates <= 8, `${rejectedCreates} of ${creates}`);
      assert.ok((reads + creates) / 600 > 0.6 * perSecond, `${(reads + creates) / 600} calls a second`);
    });
  }

  it("recovers when a service takes more again", () => {
    const few = fixedWindow(10);
    const many = fixedWindow(200);
    let taken = 0;
    const accepts = (now: number) => {
      if (now >= 300_000) taken++;
      return now < 60_000 ? few.accepts(now) : many.accepts(now);
    };
    load({ accepts }, 360_000);
    assert.ok(taken / 60 > 100, `${taken / 60} calls a second`);
  });
});
