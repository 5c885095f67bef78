import assert from "node:assert/strict";
import fc from "fast-check";
import { ConflictError, StoreError, ValidationError } from "./domain/errors.js";
import { acquireLease, type Lease, releaseLease, resumeLease } from "./lease.js";
import { type TestBed, testBed } from "./testing/test-bed.js";

const PATH = "leases/poll";
const LEASE_MS = 50_000;

const take = (bed: TestBed) => acquireLease(PATH, LEASE_MS, bed.ports);

async function taken(bed: TestBed): Promise<Lease> {
  return (await take(bed)) ?? assert.fail("the lease is held");
}

describe("a lease", () => {
  it("belongs to one holder until it expires, and is free afterwards", async () => {
    const bed = testBed();
    const first = await taken(bed);
    bed.clock.advance(LEASE_MS - 1);
    assert.equal(await take(bed), undefined);
    bed.clock.advance(1);
    assert.notEqual((await taken(bed)).holder, first.holder);
  });

  it("has the fields of its document, and costs one read and one write", async () => {
    const bed = testBed();
    await bed.store.set(PATH, { holder: "", step: 3, until: new Date(0), health: { at: new Date(1) } });
    bed.store.hooks.once("read", "after", () =>
      bed.store.hooks.once("read", "before", () => assert.fail("a second read")),
    );
    const { fields } = await taken(bed);
    assert.deepEqual(fields, await bed.store.fields(PATH));
    assert.deepEqual(fields.health, { at: new Date(1) });
  });

  it("can be acquired immediately after its release", async () => {
    const bed = testBed();
    await releaseLease(await taken(bed), bed.ports);
    assert.ok(await take(bed));
  });

  it("is not released by a former holder", async () => {
    const bed = testBed();
    const slow = await taken(bed);
    bed.clock.advance(LEASE_MS);
    await taken(bed);
    await releaseLease(slow, bed.ports);
    assert.equal(await take(bed), undefined);
  });

  it("goes to one of several concurrent runs, however they interleave", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, expired) => {
        const pause = (label: string) => scheduler.schedule(Promise.resolve(), label);
        const bed = testBed({}, { pause });
        if (expired) await bed.store.set(PATH, { holder: "dead", step: 3, until: new Date(0) });
        const all = Promise.all([take(bed), take(bed), take(bed)]);
        await scheduler.waitFor(all);
        assert.equal((await all).filter(Boolean).length, 1);
      }),
      { numRuns: 50 },
    );
  });

  it("is continued once: a duplicate continuation does nothing", async () => {
    const bed = testBed();
    const { holder, step } = await taken(bed);
    assert.equal(await resumeLease(PATH, { holder, step: step + 1 }, LEASE_MS, bed.ports), undefined);
    const next = await resumeLease(PATH, { holder, step }, LEASE_MS, bed.ports);
    assert.equal(next?.step, 1);
    assert.notEqual(next.holder, holder);
    assert.equal(await resumeLease(PATH, { holder, step }, LEASE_MS, bed.ports), undefined);
  });

  it("is continued by one of two duplicates that meet, each of which began at another time", async () => {
    const bed = testBed();
    const { holder, step } = await taken(bed);
    const resume = () => resumeLease(PATH, { holder, step }, LEASE_MS, bed.ports);
    let faster: Lease | undefined;
    bed.store.hooks.once("commit", "before", async () => {
      bed.clock.advance(1);
      faster = await resume();
    });
    assert.equal(await resume(), undefined);
    assert.equal(faster?.step, 1);
  });

  it("is continued by one of two duplicates that meet at the same millisecond", async () => {
    const bed = testBed();
    const { holder, step } = await taken(bed);
    const resume = () => resumeLease(PATH, { holder, step }, LEASE_MS, bed.ports);
    const both = await Promise.all([resume(), resume()]);
    assert.equal(both.filter(Boolean).length, 1);
  });

  it("is continued if the commit was applied and answered with a conflict", async () => {
    const bed = testBed();
    const { holder, step } = await taken(bed);
    bed.store.hooks.once("commit", "after", () => {
      throw new ConflictError("changed");
    });
    const next = await resumeLease(PATH, { holder, step }, LEASE_MS, bed.ports);
    assert.equal(next?.step, 1, "its own earlier write was mistaken for another run's");
  });

  it("lasts its whole term again when it is continued", async () => {
    const bed = testBed();
    const { holder, step } = await taken(bed);
    bed.clock.advance(LEASE_MS - 1);
    await resumeLease(PATH, { holder, step }, LEASE_MS, bed.ports);
    bed.clock.advance(LEASE_MS - 1);
    assert.equal(await take(bed), undefined);
  });

  it("is not resumed if another run holds it, it was released, or it never existed", async () => {
    const bed = testBed();
    assert.equal(await resumeLease(PATH, { holder: "a", step: 0 }, LEASE_MS, bed.ports), undefined);
    const lost = await taken(bed);
    bed.clock.advance(LEASE_MS);
    const held = await taken(bed);
    assert.equal(await resumeLease(PATH, lost, LEASE_MS, bed.ports), undefined);
    await releaseLease(held, bed.ports);
    assert.equal(await resumeLease(PATH, held, LEASE_MS, bed.ports), undefined);
  });

  it("is acquired if the commit was applied and answered with a conflict", async () => {
    const bed = testBed();
    bed.store.hooks.once("commit", "after", () => {
      throw new ConflictError("exists already");
    });
    assert.ok(await take(bed), "its own earlier write was mistaken for another run's");
  });

  it("reports a store failure, and blocks other runs no longer than its term", async () => {
    const bed = testBed();
    bed.store.hooks.once("commit", "after", () => {
      throw new StoreError("no answer");
    });
    await assert.rejects(take(bed), StoreError);
    bed.clock.advance(LEASE_MS);
    assert.ok(await take(bed));
  });

  for (const [what, broken] of [
    ["of wrong types", { holder: 7, step: "0", until: "soon" }],
    ["without an end", { holder: "a", step: 0 }],
    ["with half a step", { holder: "a", step: 0.5, until: new Date(0) }],
    ["that is empty", {}],
  ] as const) {
    it(`${what} is rejected with a message that says what to do, and not overwritten`, async () => {
      const bed = testBed();
      await bed.store.set(PATH, broken);
      await assert.rejects(take(bed), (error: unknown) => {
        assert.ok(error instanceof ValidationError);
        assert.match(error.message, /leases\/poll is not a lease: delete it/);
        return true;
      });
      await assert.rejects(resumeLease(PATH, { holder: "a", step: 0 }, LEASE_MS, bed.ports), ValidationError);
      assert.deepEqual(await bed.store.fields(PATH), broken);
    });
  }
});
