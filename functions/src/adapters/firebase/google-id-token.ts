/** ID tokens that Google signs for the functions' account, for a service that authenticates its callers. */
import type { Clock } from "../../ports.js";
import type { TokenSource } from "./grpc-credentials.js";

/** A token is refreshed this long before it expires. */
const RENEW_BEFORE_MS = 5 * 60_000;

/** The minimum time between requests: the metadata server returns the same token until shortly before it expires. */
const RENEW_INTERVAL_MS = 10_000;

/** The timeout of a request. */
const FETCH_TIMEOUT_MS = 10_000;

interface Token {
  text: string;
  /** Both in milliseconds since the epoch. */
  expiresAt: number;
  renewAt: number;
}

/** Fetches a token for an audience. */
type Fetch = (audience: string) => Promise<string>;

/**
 * Google ID tokens for this audience, cached and refreshed before they expire. If a refresh fails, the last token is used
 * until it expires.
 */
export function googleIdTokens(audience: string, clock: Clock, fetch: Fetch = fetchIdToken): TokenSource {
  let current: Token | undefined;
  let fetching: Promise<Token> | undefined;

  const renew = async (): Promise<Token> => {
    const text = await withinTime(fetch(audience));
    const expiresAt = expiryOf(text);
    const now = clock.now();
    return { text, expiresAt, renewAt: Math.max(expiresAt - RENEW_BEFORE_MS, now + RENEW_INTERVAL_MS) };
  };

  return {
    async token() {
      const last = current;
      if (last && clock.now() < Math.min(last.renewAt, last.expiresAt)) return last.text;
      // Concurrent calls share one request.
      fetching ??= renew().finally(() => {
        fetching = undefined;
      });
      try {
        current = await fetching;
        return current.text;
      } catch (cause) {
        if (last && clock.now() < last.expiresAt) {
          current = { ...last, renewAt: clock.now() + RENEW_INTERVAL_MS };
          return last.text;
        }
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`there is no Google ID token for ${audience}: ${reason}`, { cause });
      }
    },
    discard() {
      current = undefined;
    },
  };
}

/** Application Default Credentials: the metadata server in the cloud, a service account's key file elsewhere. */
async function fetchIdToken(audience: string): Promise<string> {
  // Loaded at first use: most deployments never need it.
  const { GoogleAuth } = await import("./google-auth.js");
  const { idTokenProvider } = await new GoogleAuth().getIdTokenClient(audience);
  return idTokenProvider.fetchIdToken(audience);
}

function expiryOf(token: string): number {
  let seconds: unknown;
  try {
    const [, payload = ""] = token.split(".");
    seconds = (JSON.parse(Buffer.from(payload, "base64url").toString()) as { exp?: unknown }).exp;
  } catch (cause) {
    throw new Error("the metadata server's reply is not a token", { cause });
  }
  if (typeof seconds !== "number") throw new Error("the token does not say when it expires");
  return seconds * 1000;
}

function withinTime<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const timeout = new Promise<never>((_, reject) => {
    const message = `no answer within ${FETCH_TIMEOUT_MS / 1000} s`;
    timer = setTimeout(() => reject(new Error(message)), FETCH_TIMEOUT_MS);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
