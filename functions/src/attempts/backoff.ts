/** How long to wait before the next try. */
import type { Randomness } from "../ports.js";

/** The longest wait between two tries of a create. */
export const MAX_BACKOFF_MS = 300_000;
const FIRST_BACKOFF_MS = 5_000;

/** Milliseconds to wait after this many tries: doubling, capped, and spread over the upper half so that tries do not come at once. */
export function backoffAfter(tries: number, random: Randomness): number {
  const longest = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, tries - 1));
  return Math.round(longest * (0.5 + random.fraction() / 2));
}
