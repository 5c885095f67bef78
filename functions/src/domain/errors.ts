/** All errors at the edges. The class says what to do: retry after a `RetryableError`, give up after a `TerminalError`. */
import { storableText } from "./storable.js";

/** The same work may succeed later. */
abstract class RetryableError extends Error {}

/** No retry can help: the request, the document or the reply itself is wrong. */
export abstract class TerminalError extends Error {}

/** The gRPC codes that mean that a call was not applied and never will be. Source: gRPC's list of status codes. */
const TERMINAL_CODES = [
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "FAILED_PRECONDITION",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
];

/** Another service rejected a call, so it certainly did not apply it. */
export class CallRejectedError extends TerminalError {
  override readonly name = "CallRejectedError";

  constructor(
    readonly code: string,
    message: string,
    readonly sent: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A call to another service failed. If it was sent, the service may have applied it. */
class CallFailedError extends RetryableError {
  override readonly name = "CallFailedError";

  constructor(
    readonly code: string,
    message: string,
    readonly sent: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A call was not sent, because the service is at its limit. The next poll brings the work again. */
export class NoSlotError extends CallFailedError {
  constructor(method: string) {
    super("NO_SLOT", `${method} was not sent: the service has as much to do as it sustains`, false);
  }
}

export type CallError = CallRejectedError | CallFailedError;

/**
 * The error of a failed call.
 * @param code the name of the gRPC status code
 * @param sent false only if the call certainly never left this process
 */
export function callError(code: string, message: string, sent: boolean, options?: ErrorOptions): CallError {
  const CallErrorClass = TERMINAL_CODES.includes(code) ? CallRejectedError : CallFailedError;
  return new CallErrorClass(code, message, sent, options);
}

export function isCallError(error: unknown): error is CallError {
  return error instanceof CallRejectedError || error instanceof CallFailedError;
}

/** The codes with which a food service replies to an unknown name. BAD_REPLY is a reply about something else. */
const NOT_FOUND_CODES = ["NOT_FOUND", "INVALID_ARGUMENT", "OUT_OF_RANGE", "BAD_REPLY"];

/** Whether a service does not know the requested name, or replied about another one. */
export function isNotFound(error: unknown): error is CallError {
  return isCallError(error) && NOT_FOUND_CODES.includes(error.code);
}

/** A write's precondition failed: another process wrote first, or a retried commit conflicts with its own earlier write. */
export class ConflictError extends RetryableError {
  override readonly name = "ConflictError";
}

/** The store did not answer, or reported a failure. A commit may have been applied. */
export class StoreError extends RetryableError {
  override readonly name = "StoreError";
}

/** The bus did not confirm a message. It may have accepted it. */
export class BusError extends RetryableError {
  override readonly name = "BusError";
}

/** The kitchen order or shipment is already linked to another order. */
export class AlreadyLinkedError extends TerminalError {
  override readonly name = "AlreadyLinkedError";

  constructor(
    readonly path: string,
    message: string,
  ) {
    super(message);
  }
}

/** An ID token that does not authenticate its bearer. */
export class TokenError extends TerminalError {
  override readonly name = "TokenError";
}

/** External input does not match its schema. */
export class ValidationError extends TerminalError {
  override readonly name = "ValidationError";
}

/** Whether the same work may succeed later. An error of an unknown class is a bug, and a retry would only repeat it. */
export function isRetryable(error: unknown): boolean {
  return error instanceof RetryableError;
}

/** The error in the form that logs and documents store. Its text may come from a service, so it is made storable. */
export function toErrorInfo(error: unknown): { code: string; message: string } {
  const { code, message } = codeAndMessage(error);
  return { code: storableText(code), message: storableText(message) };
}

function codeAndMessage(error: unknown): { code: string; message: string } {
  if (isCallError(error)) return error;
  if (error instanceof Error) return { code: error.name, message: error.message };
  return { code: "UNKNOWN", message: String(error) };
}
