/** What an API request can't be answered with: problem details as RFC 9457 has them. */

/** Every kind of problem, with its status and title. Source of the statuses: RFC 9110, RFC 6585. */
export const PROBLEMS = {
  malformed: { status: 400, title: "The request is malformed" },
  "sign-in": { status: 401, title: "Sign in first" },
  role: { status: 403, title: "Your role does not allow this" },
  "not-found": { status: 404, title: "There is no such thing" },
  method: { status: 405, title: "This address does not know that method" },
  changed: { status: 409, title: "It has changed since you looked" },
  "not-waiting": { status: 409, title: "There is nothing to decide" },
  "linked-already": { status: 409, title: "It is linked already" },
  "too-large": { status: 413, title: "The request is too large" },
  "media-type": { status: 415, title: "The body must be JSON" },
  "key-reused": { status: 422, title: "The key belongs to another request" },
  "unknown-name": { status: 422, title: "The food service does not know this name" },
  "too-many": { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "Something is wrong here" },
  unavailable: { status: 503, title: "A service behind this can't be reached" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemKind = keyof typeof PROBLEMS;

/** A request that is answered with a problem. */
export class Problem extends Error {
  override readonly name = "Problem";

  /** @param detail what is wrong with this very request and what to do, in a sentence */
  constructor(
    readonly kind: ProblemKind,
    detail: string,
    readonly headers: Record<string, string> = {},
    options?: ErrorOptions,
  ) {
    super(detail, options);
  }
}
