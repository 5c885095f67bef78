/** Hourly figures, fetched again each minute while a view shows them. */
import type { StatisticsView } from "../../functions/src/operator-api/schemas.js";
import type { Api } from "./api.js";

const REFRESH_MS = 60_000;

export class Statistics {
  current: StatisticsView | undefined;
  error: string | undefined;
  private fetchedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly api: Api,
    private readonly onChange: () => void,
  ) {}

  /** Fetches the figures unless they are fresh or the page is hidden. */
  refresh(): void {
    const isHidden = document.visibilityState === "hidden";
    if ((isHidden && this.current) || performance.now() - this.fetchedAt < REFRESH_MS) return;
    this.fetchedAt = performance.now();
    this.api.send<StatisticsView>("/api/statistics").then(
      (found) => {
        this.current = found;
        this.error = undefined;
        this.onChange();
      },
      (error: Error) => {
        this.error = error.message;
        this.onChange();
      },
    );
  }
}
