/** Takes messages and does nothing. */
import { onMessagePublished } from "firebase-functions/v2/pubsub";

export const baseline = onMessagePublished("baseline", () => {});
