/** Serves the operator API over HTTP. */
import type { Request } from "firebase-functions/v2/https";
import { onRequest } from "firebase-functions/v2/https";
import { readSettings } from "../../config.js";
import type { Api, ApiRequest } from "../../operator-api/api.js";
import { openPorts } from "./compose.js";
import { optionsOf } from "./function-options.js";

// Otherwise the HTTP framework answers a body that is not JSON with a stack trace.
process.env.NODE_ENV ??= "production";

/** The function that serves the operator API. The API itself authenticates requests; the first request creates it. */
export function operatorsApi(open: () => Promise<Pick<Api, "answer">> | Pick<Api, "answer"> = openApi) {
  let api: Pick<Api, "answer"> | undefined;
  return onRequest({ ...optionsOf("api"), invoker: "public", cors: false }, async (request, response) => {
    api ??= await open();
    const { status, headers, body } = await api.answer(requestOf(request));
    response.status(status).set(headers).end(JSON.stringify(body));
  });
}

/** Loads modules that only the API needs: without them, the other functions start in half the time. */
async function openApi(): Promise<Api> {
  const [{ Api }, { FirestoreStore, openFirestore }, { firebaseTokens }] = await Promise.all([
    import("../../operator-api/api.js"),
    import("./firestore-store.js"),
    import("./id-tokens.js"),
  ]);
  return new Api({ ...openPorts(readSettings), store: new FirestoreStore(openFirestore()) }, firebaseTokens());
}

function requestOf(request: Request): ApiRequest {
  const [path = "", ...query] = request.originalUrl.split("?");
  const { method, headers } = request;
  return { method, path, query: query.join("?"), headers, body: request.rawBody ?? new Uint8Array() };
}
