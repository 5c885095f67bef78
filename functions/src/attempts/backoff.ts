/** The backoff before the next try. */
import type { Randomness } from "../ports.js";

/** The maximum backoff between two tries of a create. */
export const MAX_BACKOFF_MS = 300_000;
const FIRST_BACKOFF_MS = 5_000;

/** The backoff after this many tries, in milliseconds: doubling, capped, with jitter over the upper half. */
export function backoffAfter(tries: number, random: Randomness): number {
  const longest = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, tries - 1));
  return Math.round(longest * (0.5 + random.fraction() / 2));
}
