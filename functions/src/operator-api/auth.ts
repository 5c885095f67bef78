/** Who sends a request. */

export interface Person {
  /** Never changes, unlike the person's name. */
  id: string;
  name: string;
  /** The role in the token; an unknown role permits nothing. */
  role: unknown;
}

/** Verifies tokens. */
export interface Tokens {
  /** @throws TokenError for an invalid or expired token; any other error if the token could not be checked */
  verify(token: string): Promise<Person>;
}
