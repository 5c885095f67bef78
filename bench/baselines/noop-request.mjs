/** Answers requests with nothing. */
import { onRequest } from "firebase-functions/v2/https";

export const floor = onRequest((_request, response) => void response.end());
