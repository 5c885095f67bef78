/** Who sends a request. */

export interface Person {
  /** Never changes, unlike the name that people know them by. */
  id: string;
  name: string;
  /** As the token has it; anything but a known role allows nothing. */
  role: unknown;
}

/** Finds out who sent a token. */
export interface Tokens {
  /** @throws TokenError for a token that is invalid or expired; any other error says that it could not be checked */
  verify(token: string): Promise<Person>;
}
