/** The test accounts of a local run, which can sign in to the console immediately. */
import type { Role } from "../../functions/src/operator-api/roles.js";

/** The timeout of a request to a busy emulator. */
const ANSWER_TIMEOUT_MS = 60_000;

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

/** Creates an account with these custom claims, in JSON. */
export async function addPerson(auth: string, project: string, email: string, claims: string): Promise<void> {
  const accounts = `projects/${project}/accounts`;
  const { localId } = await callAccounts(auth, accounts, { email, password: PASSWORD, emailVerified: true });
  // The emulator accepts claims for existing accounts, and ignores those of a new one.
  await callAccounts(auth, `${accounts}:update`, { localId, customAttributes: claims });
}

/**
 * Asks the Authentication emulator, with POST if there is a body.
 * @throws Error if it does not answer as it should
 */
export async function callAccounts(auth: string, path: string, body?: object): Promise<AccountsAnswer> {
  const response = await fetch(`http://${auth}/identitytoolkit.googleapis.com/v1/${path}`, {
    method: body ? "POST" : "GET",
    headers: { Authorization: "Bearer owner", "Content-Type": "application/json" },
    body: body ? JSON.stringify(body) : null,
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`The Authentication emulator answered ${response.status} to ${path}`);
  return (await response.json()) as AccountsAnswer;
}

/** What is used here of its answers. */
interface AccountsAnswer {
  localId?: string;
  idToken?: string;
  users?: object[];
}

/** Signs in and returns the ID token. */
export async function signIn(auth: string, email: string): Promise<string> {
  const body = { email, password: PASSWORD, returnSecureToken: true };
  const { idToken } = await callAccounts(auth, "accounts:signInWithPassword?key=local", body);
  if (!idToken) throw new Error(`${email} can't sign in`);
  return idToken;
}
