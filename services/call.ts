/** A unary gRPC call as a promise, for callers that use the method tables of the generated code directly. */
import {
  type CallOptions,
  type Client,
  type ClientUnaryCall,
  Metadata,
  type MethodDefinition,
  status,
} from "@grpc/grpc-js";

/** The default deadline of a call. */
const CALL_TIMEOUT_MS = 10_000;

export interface Calling extends CallOptions {
  metadata?: Metadata | Record<string, string>;
  /** Receives the call, to cancel it. */
  started?(call: ClientUnaryCall): void;
}

/** Resolves with the response; rejects with gRPC's `ServiceError`. */
export function call<Request, Response>(
  client: Client,
  method: Pick<MethodDefinition<Request, Response>, "path" | "requestSerialize" | "responseDeserialize">,
  request: Request,
  { metadata = {}, started, ...options }: Calling = {},
): Promise<Response> {
  const { path, requestSerialize, responseDeserialize } = method;
  const fields = metadata instanceof Metadata ? metadata : Metadata.fromHttp2Headers(metadata);
  const withDeadline = { deadline: Date.now() + CALL_TIMEOUT_MS, ...options };
  return new Promise((resolve, reject) => {
    const running = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      fields,
      withDeadline,
      (error, response) => {
        if (error !== null) reject(error);
        else if (response === undefined)
          reject(Object.assign(new Error("no response"), { code: status.INTERNAL, details: "no response" }));
        else resolve(response);
      },
    );
    started?.(running);
  });
}
