/** The operators' API as the page uses it. */
import type { Auth } from "firebase/auth";
import type { AttemptState } from "../../functions/src/attempts/attempt.js";
import type { CreatingStage } from "../../functions/src/domain/order-lifecycle.js";

export interface Attempt {
  stage: CreatingStage;
  state: AttemptState;
  tries: number;
  version: string;
  reason?: { code: string; message: string };
  claimedAt?: string;
  nextTryAt?: string;
}

export interface Decision {
  stage: CreatingStage;
  action: "link" | "try again";
  name?: string;
  by: string;
  reason: string;
  at: string;
}

export interface Detail {
  attempts: Attempt[];
  audit: Decision[];
  unreadable: { id: string; reason: string }[];
}

/** What the API did not do, in its own words. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** All that is known of an order, undefined where nothing is. */
export async function detailOf(auth: Auth, id: string): Promise<Detail | undefined> {
  try {
    return (await ask(auth, `/api/relations/${encodeURIComponent(id)}`)) as Detail;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** Sends a decision; the same key makes a repeat harmless. */
export async function decide(
  auth: Auth,
  { id, stage, action }: { id: string; stage: CreatingStage; action: "link" | "retry" },
  body: { reason: string; version: string; name?: string },
  key: string,
): Promise<void> {
  await ask(auth, `/api/relations/${encodeURIComponent(id)}/${stage}/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(body),
  });
}

async function ask(auth: Auth, address: string, request: RequestInit = {}): Promise<unknown> {
  const token = (await auth.currentUser?.getIdToken()) ?? "";
  const headers = { ...request.headers, Authorization: `Bearer ${token}` };
  const response = await fetch(address, { ...request, headers }).catch(() => {
    throw new ApiError(0, "The server can't be reached. Nothing may have changed; try again.");
  });
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer;
  const { title, detail } = (answer ?? {}) as { title?: string; detail?: string };
  throw new ApiError(
    response.status,
    [title, detail].filter(Boolean).join(". ") || `The server answered ${response.status}.`,
  );
}
