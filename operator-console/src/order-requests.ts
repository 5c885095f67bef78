/** The API's requests about orders; the shapes are the server's own. */
import type { Action } from "../../functions/src/attempts/reason-codes.js";
import type { CreatingStage } from "../../functions/src/domain/order-lifecycle.js";
import type {
  Decided,
  DecisionResults,
  Documents,
  FoodServiceView,
  OrderDetail,
} from "../../functions/src/operator-api/schemas.js";
import { type Api, ApiError } from "./api.js";

/** An attempt as an operator saw it. */
interface SeenVersion {
  id: string;
  stage: CreatingStage;
  version: string;
}

/** The same in a list of many. */
interface SeenClaim {
  id: string;
  stage: CreatingStage;
  claim: string;
}

/** The actions for many orders at once. Linking is not one of them, since each link has its own name. */
export type BulkAction = Exclude<Action, "link">;

/** Everything stored about an order; null when nothing is. */
export function readOrder(api: Api, id: string): Promise<OrderDetail | null> {
  return unlessMissing(api.send<OrderDetail>(addressOf(id)));
}

/** What the food service says right now; null for an order that it doesn't know. */
export function readFoodService(api: Api, id: string): Promise<FoodServiceView | null> {
  return unlessMissing(api.send<FoodServiceView>(`${addressOf(id)}/food-service`));
}

export function readDocuments(api: Api, id: string): Promise<Documents> {
  return api.send(`${addressOf(id)}/documents`);
}

/** Sends a decision. The same key makes a repeat harmless. */
export function decide(
  api: Api,
  { id, stage, version }: SeenVersion,
  action: Action,
  { reason, name }: { reason: string; name?: string },
  key: string,
): Promise<Decided> {
  return post(api, `${addressOf(id)}/${stage}/${action}`, { reason, version, ...(name && { name }) }, key);
}

/** Applies one decision to several attempts for one reason, each with its own audit entry. */
export function decideAll(
  api: Api,
  action: BulkAction,
  attempts: SeenClaim[],
  reason: string,
  key: string,
): Promise<DecisionResults> {
  return post(api, "/api/decisions", { action, reason, attempts }, key);
}

function post<T>(api: Api, address: string, body: object, key: string): Promise<T> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  return api.send(address, { method: "POST", headers, body: JSON.stringify(body) });
}

const addressOf = (id: string) => `/api/relations/${encodeURIComponent(id)}`;

async function unlessMissing<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
