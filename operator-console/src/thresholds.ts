/** When a figure needs attention. `red` is where the alert of the same name fires: deploy/monitoring.test.ts holds both together. */
export const THRESHOLDS = {
  /** Time since the last poll, "Poll not completing". */
  pollAgeMs: { amber: 150_000, red: 300_000 },
  /** Failed polls in `FAILED_POLLS_MS`, "Poll errors". */
  failedPolls: { amber: 0, red: 2 },
  /** Age of the oldest active order, "Order stuck". */
  oldestOrderMs: { amber: 3_600_000, red: 7_200_000 },
  /** Time for which the food service doesn't show a state yet, "Status report lag high". */
  reportLagMs: { amber: 30_000, red: 60_000 },
} as const satisfies Record<string, { amber: number; red: number }>;

/** The period in which the alert "Poll errors" counts. */
export const FAILED_POLLS_MS = 300_000;

/** A report lag that was measured longer ago than this says nothing. The sweep measures it every ten minutes by default. */
export const STALE_LAG_MS = 5_400_000;

export type Level = "ok" | "amber" | "red" | "unknown";

export function levelOf(name: keyof typeof THRESHOLDS, value: number | undefined): Level {
  if (value === undefined) return "unknown";
  const { amber, red } = THRESHOLDS[name];
  return value > red ? "red" : value > amber ? "amber" : "ok";
}
