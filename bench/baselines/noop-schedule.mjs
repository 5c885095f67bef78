/** Runs on a schedule and does nothing. */
import { onSchedule } from "firebase-functions/v2/scheduler";

export const floor = onSchedule("every 1 minutes", () => {});
