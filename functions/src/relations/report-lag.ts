/** The report lag: how long relations have had a state that the food service does not show yet. The sweep sees both. */
import { mayReport, type OrderStatus, RELATION_STATES } from "../domain/order-lifecycle.js";
import type { Fields } from "../ports.js";
import type { Relation } from "./relation.js";

export class ReportLag {
  private unreported = 0;
  private maxMs = 0;

  /** @param listedAt when the orders were listed, in milliseconds since the epoch: later states are not late */
  constructor(private readonly listedAt: number) {}

  /** @param status the order's status in the list, undefined if it was not listed */
  see({ state, times }: Relation, status: OrderStatus | undefined): void {
    if (!state || !status) return;
    const { reports } = RELATION_STATES[state];
    const since = times[state]?.getTime();
    if (!reports || since === undefined || since > this.listedAt || !mayReport(status, reports)) return;
    this.unreported++;
    this.maxMs = Math.max(this.maxMs, this.listedAt - since);
  }

  /** The fields to store when the sweep ends at this time. */
  fieldsAt(now: number): Fields {
    return { health: { at: new Date(now), unreported: this.unreported, reportLagMs: this.maxMs } };
  }
}
