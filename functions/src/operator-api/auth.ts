/** Who calls the API, as a sign-in token says. */

export interface Person {
  /** Who it is for good, and by what name people know them. */
  id: string;
  name: string;
  /** As the token has it; anything else than a role allows nothing. */
  role: unknown;
}

/** Who sent a token. */
export interface Tokens {
  /** @throws TokenError for a token that is none, or whose time is over; anything else says that it could not be checked */
  verify(token: string): Promise<Person>;
}
