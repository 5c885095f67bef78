/** Who is signed in, and what they may do. */
import type { Auth, User } from "firebase/auth";
import { ROLES, type Role } from "../../functions/src/operator-api/roles.js";

export interface Session {
  auth: Auth;
  name: string;
  /** Undefined for somebody who may see nothing. */
  role: Role | undefined;
}

/** The role comes with the token, which is asked for anew: whoever was just given one need not sign in again. */
export async function sessionOf(auth: Auth, user: User): Promise<Session> {
  const { claims } = await user.getIdTokenResult(true).catch(() => user.getIdTokenResult());
  const role = ROLES.find((one) => one === claims.role);
  return { auth, name: user.email ?? user.uid, role };
}
