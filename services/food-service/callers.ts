/** Authenticates the callers of the food service, if it requires a token. */
import { ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder, status } from "@grpc/grpc-js";

export interface CallerChecks {
  /** The bearer token that every call must carry. */
  token?: string;
  /** The audience of the Google ID token that every call must carry. */
  audience?: string;
}

/** Interceptors that answer UNAUTHENTICATED to calls without the right token; none if there is nothing to check. */
export function callerInterceptors(checks: CallerChecks, now: () => number): ServerInterceptor[] {
  if (checks.token === undefined && checks.audience === undefined) return [];
  const interceptor: ServerInterceptor = (_method, call) => {
    const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, next) => {
      const [authorization] = metadata.get("authorization");
      const problem = problemOf(String(authorization ?? ""), checks, now());
      if (problem === undefined) next(metadata);
      else call.sendStatus({ code: status.UNAUTHENTICATED, details: problem });
    });
    return new ServerInterceptingCall(call, { start: (next) => next(listener.build()) });
  };
  return [interceptor];
}

function problemOf(authorization: string, { token, audience }: CallerChecks, now: number): string | undefined {
  const [, given] = /^Bearer (\S+)$/.exec(authorization) ?? [];
  if (given === undefined) return "the call carries no bearer token";
  if (token !== undefined) return given === token ? undefined : "the token is not the right one";
  const { aud, exp } = claimsOf(given);
  if (aud !== audience) return `the token is for the audience ${String(aud)}, not for ${audience}`;
  return typeof exp === "number" && exp * 1000 > now ? undefined : "the token has expired";
}

/** The claims of an ID token. Its signature is not checked, which a simulated food service does not need. */
function claimsOf(token: string): { aud?: unknown; exp?: unknown } {
  try {
    return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as object;
  } catch {
    return {};
  }
}
