/** Verifies ID tokens of Firebase Authentication. */
import type { App } from "firebase-admin/app";
import * as v from "valibot";
import { callError, TokenError } from "../../domain/errors.js";
import type { Tokens } from "../../operator-api/auth.js";
import { parse } from "../../parse.js";
import { openApp } from "./firebase-app.js";

/** The Admin SDK's error codes for a rejected token or user. */
const BAD_TOKEN = [
  "auth/argument-error",
  "auth/id-token-expired",
  "auth/id-token-revoked",
  "auth/invalid-id-token",
  "auth/user-disabled",
  "auth/user-not-found",
];

/** Also check for revocation: a token is valid for an hour, and a person whose access was revoked must not decide about orders. */
const CHECK_REVOKED = true;

/** The SDK reports the same code when it can't fetch Google's keys to check the signature. */
const NO_KEYS = /^Error (?:fetching|while making request)/;

const claims = v.object({ uid: v.string(), email: v.optional(v.string()), role: v.optional(v.unknown()) });

/** Verifies tokens of this app's project. */
export function firebaseTokens(open: () => App = openApp): Tokens {
  return {
    async verify(token) {
      const { uid, email, role } = parse(claims, await verified(token, open), "The token has invalid claims");
      return { id: uid, name: email ?? uid, role };
    },
  };
}

async function verified(token: string, open: () => App): Promise<unknown> {
  try {
    // Only the API needs it, and it is slow to load.
    const { getAuth } = await import("firebase-admin/auth");
    return await getAuth(open()).verifyIdToken(token, CHECK_REVOKED);
  } catch (error) {
    throw refusalOf(error as { code?: string; message: string });
  }
}

function refusalOf(cause: { code?: string; message: string }): Error {
  const { code = "", message } = cause;
  if (!BAD_TOKEN.includes(code) || NO_KEYS.test(message)) {
    return callError("UNAVAILABLE", `tokens can't be checked: ${message}`, false, { cause });
  }
  if (code === "auth/id-token-expired") {
    return new TokenError("The ID token is no longer valid; get a new one.", { cause });
  }
  return new TokenError("This is not an ID token of this project.", { cause });
}
