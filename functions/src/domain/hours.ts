/** Hours of the day, as names that sort in time. */

/** The hour in UTC that a time is in, such as 2026-11-26T15; `at` in milliseconds since the epoch. */
export function hourOf(at: number): string {
  return new Date(at).toISOString().slice(0, 13);
}
