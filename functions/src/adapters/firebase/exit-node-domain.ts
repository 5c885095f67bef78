/** The domain of Node.js's in which functions-framework runs every event. */

/**
 * Leaves it. In a domain each promise and each callback costs as much again as what it does: a quarter of all CPU time of an
 * event. All that it would do for us is to answer an error that nobody awaited; without it such an error ends the process,
 * and the event comes again.
 */
export function exitNodeDomain(): void {
  (process as { domain?: { exit(): void } | null }).domain?.exit();
}
