/** The operators' API as the console uses it; the shapes are the server's own. */

import type { Action } from "../../functions/src/attempts/reason-codes.js";
import type { CreatingStage } from "../../functions/src/domain/order-lifecycle.js";
import type {
  Decided,
  DecisionResults,
  Documents,
  FoodServiceView,
  OrderDetail,
  SearchPage,
  StatisticsView,
} from "../../functions/src/operator-api/schemas.js";

/** An attempt as an operator saw it. */
interface SeenVersion {
  id: string;
  stage: CreatingStage;
  version: string;
}

/** The same in a list of many. */
export interface SeenClaim {
  id: string;
  stage: CreatingStage;
  claim: string;
}

/** What can be decided about many orders at once. Each link has a name of its own. */
export type BulkAction = Exclude<Action, "link">;

/** The API's answer when it refused, in its own words. */
class ApiError extends Error {
  override readonly name = "ApiError";

  /** @param status the HTTP status, 0 when no answer came */
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class Api {
  constructor(private readonly token: () => Promise<string>) {}

  /** Everything stored about an order; undefined when nothing is. */
  order(id: string): Promise<OrderDetail | undefined> {
    return unlessMissing(this.get<OrderDetail>(orderAddress(id)));
  }

  /** What the food service says right now; undefined for an order that it doesn't know. */
  foodService(id: string): Promise<FoodServiceView | undefined> {
    return unlessMissing(this.get<FoodServiceView>(`${orderAddress(id)}/food-service`));
  }

  documents(id: string): Promise<Documents> {
    return this.get(`${orderAddress(id)}/documents`);
  }

  search(query: URLSearchParams): Promise<SearchPage> {
    return this.get(`/api/orders?${query}`);
  }

  statistics(): Promise<StatisticsView> {
    return this.get("/api/statistics");
  }

  /** Sends a decision. The same key makes a repeat harmless. */
  decide(
    { id, stage, version }: SeenVersion,
    action: Action,
    { reason, name }: { reason: string; name?: string },
    key: string,
  ): Promise<Decided> {
    return this.post(`${orderAddress(id)}/${stage}/${action}`, { reason, version, ...(name && { name }) }, key);
  }

  /** Applies one decision to several attempts for one reason, each with an audit entry of its own. */
  decideAll(action: BulkAction, attempts: SeenClaim[], reason: string, key: string): Promise<DecisionResults> {
    return this.post("/api/decisions", { action, reason, attempts }, key);
  }

  private get<T>(address: string): Promise<T> {
    return this.send(address);
  }

  private post<T>(address: string, body: object, key: string): Promise<T> {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    return this.send(address, { method: "POST", headers, body: JSON.stringify(body) });
  }

  private async send<T>(address: string, request: RequestInit = {}): Promise<T> {
    const headers = { ...request.headers, Authorization: `Bearer ${await this.token()}` };
    const response = await fetch(address, { ...request, headers }).catch(() => {
      throw new ApiError(0, "Couldn't reach the server. Your change may not have been saved; try again.");
    });
    const answer: unknown = await response.json().catch(() => undefined);
    if (response.ok) return answer as T;
    const { title, detail } = (answer ?? {}) as { title?: string; detail?: string };
    const message = [title, detail].filter(Boolean).join(". ") || `The server answered ${response.status}.`;
    throw new ApiError(response.status, message);
  }
}

const orderAddress = (id: string) => `/api/relations/${encodeURIComponent(id)}`;

async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}
