/**
 * Absence is not an end. "Not found" may come from a replica that is behind, a restore or a wrong address, so something counts as gone
 * only after several lookups, spread over longer than an outage lasts.
 */

/** The number of lookups that must find nothing. */
const LOOKS = 3;

/** The lookups so far that found nothing. Stored in the document whose order or link is missing. */
export interface Absence {
  /** The time of the first lookup. */
  since: Date;
  /** The time of the latest counted lookup. */
  last: Date;
  looks: number;
}

/**
 * Counts a lookup that found nothing.
 * @param now in milliseconds since the epoch
 * @param windowMs how long something must be missing, in milliseconds
 * @returns what to store, undefined if this lookup is too soon after the latest one to count; and whether it counts as gone
 */
export function countLook(
  earlier: Absence | null | undefined,
  now: number,
  windowMs: number,
): { absence: Absence | undefined; isBelieved: boolean } {
  if (!earlier) return { absence: { since: new Date(now), last: new Date(now), looks: 1 }, isBelieved: false };
  if (earlier.looks >= LOOKS) return { absence: undefined, isBelieved: true };
  if (now < earlier.last.getTime() + windowMs / (LOOKS - 1)) return { absence: undefined, isBelieved: false };
  const absence = { since: earlier.since, last: new Date(now), looks: earlier.looks + 1 };
  return { absence, isBelieved: absence.looks >= LOOKS };
}

/** Whether too many of the open orders are missing to close them automatically: more than a fifth, and more than one. */
export function isLargeShare(missing: number, open: number): boolean {
  return missing > Math.max(1, open / 5);
}
