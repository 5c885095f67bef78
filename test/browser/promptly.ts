/** What must be there within a second, on a machine that may be busy with other work. */
import assert from "node:assert/strict";

const WITHIN_MS = 1_000;

/** A machine that is busy for longer than this is too busy to say anything. */
const GIVE_UP_MS = 240_000;

/**
 * Fails unless one of many tries takes less than a second: a busy machine delays some of them, a slow console all.
 * @param once does it once and returns how long it took, in milliseconds
 */
export async function withinASecond(once: (attempt: number) => Promise<number>): Promise<void> {
  const began = performance.now();
  let quickest = Number.POSITIVE_INFINITY;
  for (let attempt = 0; performance.now() - began < GIVE_UP_MS; attempt++) {
    quickest = Math.min(quickest, await once(attempt));
    if (quickest < WITHIN_MS) return;
  }
  assert.fail(`the quickest took ${quickest} ms`);
}
