/** Names of hours that sort by time. */

/** The UTC hour of a time, such as 2026-11-26T15; `at` in milliseconds since the epoch. */
export function hourOf(at: number): string {
  return new Date(at).toISOString().slice(0, 13);
}
