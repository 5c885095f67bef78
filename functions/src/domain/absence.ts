/**
 * Absence is not an end. "Not found" may come from a replica that is behind, a restore or a wrong address, so it is believed only
 * after several looks, spread over longer than an outage lasts.
 */

/** So many looks must find nothing. */
const LOOKS = 3;

/** What the looks so far have found: nothing. It is stored with the document whose order or link is missing. */
export interface Absence {
  /** When the first look was. */
  since: Date;
  /** When the latest counted look was. */
  last: Date;
  looks: number;
}

/**
 * Counts a look that found nothing.
 * @param now in milliseconds since the epoch
 * @param windowMs how long something must be missing, in milliseconds
 * @returns what to store, undefined if this look comes too soon after the latest one to count; and whether the absence is believed
 */
export function countLook(
  earlier: Absence | undefined,
  now: number,
  windowMs: number,
): { absence: Absence | undefined; isBelieved: boolean } {
  if (!earlier) return { absence: { since: new Date(now), last: new Date(now), looks: 1 }, isBelieved: false };
  if (earlier.looks >= LOOKS) return { absence: undefined, isBelieved: true };
  if (now < earlier.last.getTime() + windowMs / (LOOKS - 1)) return { absence: undefined, isBelieved: false };
  const absence = { since: earlier.since, last: new Date(now), looks: earlier.looks + 1 };
  return { absence, isBelieved: absence.looks >= LOOKS };
}

/** Whether so many missing orders are too large a share of the open ones to be closed without a person: a fifth, and more than one. */
export function isLargeShare(missing: number, open: number): boolean {
  return missing > Math.max(1, open / 5);
}
