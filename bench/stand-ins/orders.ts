/** The orders of the stand-ins: how many of them have each status, and their names, which say their numbers. */
import type { ActiveStatus } from "../../functions/src/domain/order-lifecycle.js";

/** Minutes of an order's half hour in each status. */
const MINUTES = { NEW: 1, PREPARATION: 12, IN_FLIGHT: 17 } as const satisfies Record<ActiveStatus, number>;
const LIFE_MINUTES = 30;

/** The numbers of the orders with this status: the first of them, and how many. */
export function shareOf(status: ActiveStatus, count: number): { first: number; length: number } {
  const index = Object.keys(MINUTES).indexOf(status);
  const before = Object.values(MINUTES)
    .slice(0, index)
    .reduce((sum: number, minutes) => sum + minutes, 0);
  const first = Math.round((count * before) / LIFE_MINUTES);
  return { first, length: Math.round((count * (before + MINUTES[status])) / LIFE_MINUTES) - first };
}

/** The names of the orders from this number up to, not including, the other. */
export function listOrderNames(from: number, to: number): string[] {
  return Array.from(
    { length: to - from },
    (_, index) => `orders/${String(from + index).padStart(8, "0")}-7a5e-4a0c-9c0b-6f0f2f7d9b41`,
  );
}
