/** Everything that can go wrong at an edge, sorted into what is worth a retry and what is not. */

/** The codes by which gRPC says that a call was not carried out. Source: gRPC's list of status codes. */
const REFUSALS = [
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "FAILED_PRECONDITION",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
];

/** A call to another service failed. */
export class CallError extends Error {
  override readonly name = "CallError";

  /**
   * @param code the gRPC status code's name
   * @param sent false where the call certainly never left this process
   */
  constructor(
    readonly code: string,
    message: string,
    readonly sent: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Whether the service certainly did not carry the call out and will not the next time either. */
  get refused(): boolean {
    return REFUSALS.includes(this.code);
  }
}

/** A document is not as the write demands: somebody else was first, or our own write that was retried. */
export class ConflictError extends Error {
  override readonly name = "ConflictError";
}

/** Another document has the value that a write demands for itself alone. */
export class DuplicateError extends Error {
  override readonly name = "DuplicateError";

  constructor(
    readonly path: string,
    message: string,
  ) {
    super(message);
  }
}

/** The store did not answer, or not with success; a commit may have been applied. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

/** The bus did not take a message, or may have without saying so. */
export class BusError extends Error {
  override readonly name = "BusError";
}

/** A token that nobody may come in with. */
export class TokenError extends Error {
  override readonly name = "TokenError";
}

/** Something at an edge is not of the form that it must have. Trying again would change nothing. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

/** Whether the same work may well succeed in a while. */
export function isWorthRetrying(error: unknown): boolean {
  if (error instanceof CallError) return !error.refused;
  return error instanceof StoreError || error instanceof BusError || error instanceof ConflictError;
}

/** The failure in a form for logs and documents. */
export function describe(error: unknown): { code: string; message: string } {
  if (error instanceof CallError) return { code: error.code, message: error.message };
  if (error instanceof Error) return { code: error.name, message: error.message };
  return { code: "UNKNOWN", message: String(error) };
}
