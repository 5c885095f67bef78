/** Sends requests to the operators' API, and turns its problems into errors. */
/** The API's error, with its own message. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  /** @param status the HTTP status, 0 if there was no response */
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class Api {
  constructor(private readonly token: () => Promise<string>) {}

  /** @throws ApiError */
  async send<T>(address: string, request: RequestInit = {}): Promise<T> {
    const headers = { ...request.headers, Authorization: `Bearer ${await this.token()}` };
    const response = await fetch(address, { ...request, headers }).catch(() => {
      const mayHaveChanged = request.method === "POST" ? " Your change may not have been saved; try again." : "";
      throw new ApiError(0, `Couldn't reach the server.${mayHaveChanged}`);
    });
    const answer: unknown = await response.json().catch(() => undefined);
    if (response.ok) return answer as T;
    const { title, detail } = (answer ?? {}) as { title?: string; detail?: string };
    const message = [title, detail].filter(Boolean).join(". ") || `The server answered ${response.status}.`;
    throw new ApiError(response.status, message);
  }
}
