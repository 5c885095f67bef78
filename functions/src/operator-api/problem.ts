/** The API's error responses: problem details (RFC 9457). */
import {
  AlreadyLinkedError,
  ConflictError,
  isCallError,
  StoreError,
  TokenError,
  ValidationError,
} from "../domain/errors.js";
import type { ProblemView } from "./schemas.js";

/** Every kind of problem, with its status and title. Source of the statuses: RFC 9110, RFC 6585. */
export const PROBLEMS = {
  malformed: { status: 400, title: "Invalid request" },
  "sign-in": { status: 401, title: "Sign in first" },
  role: { status: 403, title: "Your role does not allow this" },
  "not-found": { status: 404, title: "Not found" },
  method: { status: 405, title: "Method not allowed" },
  changed: { status: 409, title: "Modified since last read" },
  "not-waiting": { status: 409, title: "No decision pending" },
  "linked-already": { status: 409, title: "Already linked" },
  "too-large": { status: 413, title: "Request too large" },
  "media-type": { status: 415, title: "The body must be JSON" },
  "key-reused": { status: 422, title: "The key belongs to another request" },
  "unknown-name": { status: 422, title: "The food service does not know this name" },
  "too-many": { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "Internal server error" },
  unavailable: { status: 503, title: "Upstream service unavailable" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemKind = keyof typeof PROBLEMS;

/** An error that is answered with a problem. */
export class Problem extends Error {
  override readonly name = "Problem";

  /** @param detail a sentence that says what is wrong with this request and what to do */
  constructor(
    readonly kind: ProblemKind,
    detail: string,
    readonly headers: Record<string, string> = {},
    options?: ErrorOptions,
  ) {
    super(detail, options);
  }

  /** The response body. */
  get view(): ProblemView {
    const { status, title } = PROBLEMS[this.kind];
    return { type: `urn:diet-orchestrator:${this.kind}`, title, status, detail: this.message };
  }
}

export function unauthenticated(detail: string, cause?: unknown): Problem {
  return new Problem("sign-in", detail, { "WWW-Authenticate": "Bearer" }, { cause });
}

/** The problem for an error. For an unexpected error it reveals no details. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const problem = (kind: ProblemKind, detail: string, headers = {}) =>
    new Problem(kind, detail, headers, { cause: error });
  if (error instanceof TokenError) return unauthenticated(error.message, error);
  if (error instanceof ValidationError) return problem("malformed", error.message);
  if (error instanceof ConflictError) return problem("changed", "Modified concurrently. Reload and try again.");
  if (error instanceof AlreadyLinkedError) return problem("linked-already", `${error.message}.`);
  if (error instanceof StoreError || isCallError(error)) {
    const detail = "Nothing was decided, or the outcome is unknown. Try again with the same key.";
    return problem("unavailable", detail, { "Retry-After": "5" });
  }
  return problem("internal", "Unexpected error. See the server logs.");
}
