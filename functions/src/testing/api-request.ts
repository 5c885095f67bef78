/** Requests to the operators' API, as a client would send them. */
import type { ApiRequest } from "../operator-api/api.js";

export interface Sent {
  /** The bearer token. */
  as?: string | undefined;
  /** The idempotency key. */
  key?: string | undefined;
  headers?: ApiRequest["headers"];
  /** Sent as JSON. */
  body?: unknown;
  /** Sent instead of `body`. */
  raw?: Uint8Array;
}

/** @param address the path, with or without a query */
export function apiRequest(method: string, address: string, sent: Sent = {}): ApiRequest {
  const { as, key, headers = {}, body, raw } = sent;
  const [path = "", query = ""] = address.split("?");
  return {
    method,
    path,
    query,
    headers: {
      ...(as !== undefined && { authorization: `Bearer ${as}` }),
      ...(key !== undefined && { "idempotency-key": key }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    body: raw ?? (body === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(body))),
  };
}
