/** Runs on a schedule and does nothing. */
import { onSchedule } from "firebase-functions/v2/scheduler";

export const baseline = onSchedule("every 1 minutes", () => {});
