/** The people of a local run, who can sign in to the operators' page at once. */
import type { Role } from "../functions/src/operators/roles.js";

export interface LocalPerson {
  email: string;
  role: Role;
}

export const PEOPLE: readonly LocalPerson[] = [
  { email: "operator@example.com", role: "operator" },
  { email: "viewer@example.com", role: "viewer" },
];

/** Of all of them. */
export const PASSWORD = "diet-orchestrator";

/**
 * Gives each an account in the Authentication emulator.
 * @param auth host:port of the emulator
 * @throws Error where the emulator does not take them
 */
export async function addPeople(auth: string, project: string): Promise<void> {
  for (const { email, role } of PEOPLE) {
    await addPerson(auth, project, email, JSON.stringify({ role }));
  }
}

/** Gives somebody an account with these custom claims, in JSON. */
export async function addPerson(auth: string, project: string, email: string, claims: string): Promise<void> {
  const response = await fetch(`http://${auth}/identitytoolkit.googleapis.com/v1/projects/${project}/accounts`, {
    method: "POST",
    headers: { Authorization: "Bearer owner", "Content-Type": "application/json" },
    body: JSON.stringify({ email, password: PASSWORD, emailVerified: true, customAttributes: claims }),
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`The Authentication emulator answered ${response.status} for ${email}`);
}

/** The ID token of somebody who signs in. */
export async function signIn(auth: string, email: string): Promise<string> {
  const address = `http://${auth}/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=local`;
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password: PASSWORD, returnSecureToken: true }),
    signal: AbortSignal.timeout(10_000),
  });
  const { idToken } = (await response.json()) as { idToken?: string };
  if (!response.ok || !idToken) throw new Error(`${email} can't sign in: ${response.status}`);
  return idToken;
}
