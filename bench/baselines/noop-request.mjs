/** Answers requests with nothing. */
import { onRequest } from "firebase-functions/v2/https";

export const baseline = onRequest((_request, response) => void response.end());
