/** Refusals in the form in which Google's APIs give them. */

const STATUS = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  409: "ALREADY_EXISTS",
  501: "UNIMPLEMENTED",
} as const;

export class GoogleError extends Error {
  override readonly name = "GoogleError";

  constructor(
    readonly code: keyof typeof STATUS,
    message: string,
    readonly details: object[] = [],
    readonly status: string = STATUS[code],
  ) {
    super(message);
  }

  get body(): object {
    const { code, message, status, details } = this;
    return { error: { code, message, status, ...(details.length > 0 && { details }) } };
  }
}

export const invalid = (message: string) => new GoogleError(400, message);
export const notFound = (what: string) => new GoogleError(404, `Resource not found: ${what}`);
export const exists = (what: string) => new GoogleError(409, `Resource already exists: ${what}`);

/** @throws GoogleError that the request is invalid, unless it is good */
export function demand(isGood: unknown, problem: string): asserts isGood {
  if (!isGood) throw invalid(problem);
}

/**
 * The entry of this name.
 * @throws GoogleError by default that it is not found
 */
export function found<T>(table: Record<string, T>, name: string, refusal = notFound(name)): T {
  const entry = table[name];
  if (entry === undefined) throw refusal;
  return entry;
}
