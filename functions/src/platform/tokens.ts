/** ID tokens of Firebase Authentication. */
import { TokenError } from "../errors.js";
import type { Tokens } from "../operators/api.js";
import { openApp } from "./store.js";

/** What the Admin SDK says of a token that it has looked at; every other failure is of the look itself. */
const BAD_TOKEN = [
  "auth/argument-error",
  "auth/id-token-expired",
  "auth/id-token-revoked",
  "auth/invalid-id-token",
  "auth/user-disabled",
  "auth/user-not-found",
];

/** A token is good for an hour; whoever is shut out before must not decide about orders until then. */
const CHECK_REVOKED = true;

export const firebaseTokens: Tokens = {
  async verify(token) {
    try {
      // Nothing but the API needs it, and it is slow to load.
      const { getAuth } = await import("firebase-admin/auth");
      const { uid, email, role } = await getAuth(openApp()).verifyIdToken(token, CHECK_REVOKED);
      return { id: uid, name: email ?? uid, role };
    } catch (error) {
      const { code } = error as { code?: string };
      if (!BAD_TOKEN.includes(code ?? "")) throw error;
      const isOver = code === "auth/id-token-expired";
      throw new TokenError(
        isOver ? "The ID token is no longer valid; get a new one." : "This is no ID token of this project.",
        {
          cause: error,
        },
      );
    }
  },
};
