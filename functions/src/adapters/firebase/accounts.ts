/** The accounts of Firebase Authentication, and the role that each has as a custom claim. */
import { getAuth } from "firebase-admin/auth";
import type { Role } from "../../operator-api/roles.js";
import { openApp } from "./firebase-app.js";

/**
 * Sets the role of the account with this email address, or removes it. Existing tokens stay valid for up to an hour.
 * @throws Error with the code auth/user-not-found if there is no such account
 */
export async function setRole(email: string, role: Role | undefined): Promise<void> {
  const auth = getAuth(openApp());
  const { uid, customClaims } = await auth.getUserByEmail(email);
  const { role: _, ...others } = customClaims ?? {};
  await auth.setCustomUserClaims(uid, role ? { ...others, role } : others);
  // A signed-in person must sign in again to get the new role.
  await auth.revokeRefreshTokens(uid);
}

/** All accounts with a role, by email address or, without one, by id. */
export async function* accountsWithRole(): AsyncGenerator<{ name: string; role: string }> {
  let pageToken: string | undefined;
  do {
    const page = await getAuth(openApp()).listUsers(1000, pageToken);
    for (const { email, uid, customClaims } of page.users) {
      if (customClaims?.role) yield { name: email ?? uid, role: String(customClaims.role) };
    }
    ({ pageToken } = page);
  } while (pageToken);
}
