/** A unary call as a promise, for callers that use the service's method tables directly. */
import { type Client, Metadata, type MethodDefinition, status } from "@grpc/grpc-js";

/** An answer takes this long at most, in milliseconds. */
export const DEADLINE = 10_000;

/** Resolves with the answer; rejects with gRPC's `ServiceError`. */
export function call<Request, Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Response>,
  request: Request,
  metadata = new Metadata(),
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + DEADLINE };
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      options,
      (error, answer) => {
        if (error !== null) reject(error);
        else if (answer === undefined)
          reject(Object.assign(new Error("no answer"), { code: status.INTERNAL, details: "" }));
        else resolve(answer);
      },
    );
  });
}
