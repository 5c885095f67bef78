/** Calls over gRPC: one long-lived channel to a service, a deadline on every call, typed failures. */
import {
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { type CallError, callError } from "../../domain/errors.js";
import type { Clock } from "../../ports.js";

/** No keepalive pings: an instance is frozen between requests, and its pings with it. */
const CHANNEL_OPTIONS = { "grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 5_000 };

interface Target {
  /** As people know it, for messages. */
  name: string;
  /** host:port */
  address: string;
  security: "tls" | "plaintext";
  /** Certificates in PEM form, or the word system. */
  ca: string;
  /** The methods that may be repeated when the connection fails. */
  idempotentMethods: { path: string }[];
  /** How long a call may take, in milliseconds. */
  timeoutMs: number;
}

export class GrpcChannel {
  private opened: Client | undefined;

  constructor(
    private readonly target: Target,
    private readonly clock: Clock,
  ) {}

  /** Made at the first call: an instance calls but some of the services. */
  private get client(): Client {
    this.opened ??= new Client(this.target.address, channelCredentials(this.target), {
      ...CHANNEL_OPTIONS,
      "grpc.service_config": JSON.stringify(serviceConfig(this.target.idempotentMethods)),
    });
    return this.opened;
  }

  /** Resolves when a call can be sent. */
  ready(): Promise<void> {
    const { name, address, timeoutMs } = this.target;
    return new Promise((resolve, reject) => {
      this.client.waitForReady(this.clock.now() + timeoutMs, (error) => {
        if (!error) return resolve();
        reject(callError("UNAVAILABLE", `${name} at ${address} can't be reached`, false, { cause: error }));
      });
    });
  }

  /** Calls a method; `deadline` is in milliseconds since the epoch. */
  call<Q, R>(
    method: MethodDefinition<Q, R>,
    request: Q,
    { deadline, metadata = {} }: { deadline?: number; metadata?: Record<string, string> } = {},
  ): Promise<R> {
    const now = this.clock.now();
    const until = deadline ?? now + this.target.timeoutMs;
    if (until <= now) {
      const message = `${method.path} was not sent: its time was over before it began`;
      return Promise.reject(callError("DEADLINE_EXCEEDED", message, false));
    }
    const { path, requestSerialize, responseDeserialize } = method;
    const sending = new Metadata();
    for (const [key, value] of Object.entries(metadata)) sending.set(key, value);
    return new Promise((resolve, reject) => {
      const call = this.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        sending,
        { deadline: until },
        (error, response) => {
          if (response !== undefined && !error) return resolve(response);
          // Until a call is given to a connection its peer is the channel's own target.
          const sent = call.getPeer() !== this.client.getChannel().getTarget();
          reject(toCallError(path, error, sent));
        },
      );
    });
  }

  close(): void {
    this.opened?.close();
  }
}

/** Retries are for what may be repeated; everything else is sent once, whatever becomes of it. */
function serviceConfig(idempotentMethods: { path: string }[]) {
  const name = idempotentMethods.map(({ path }) => {
    const [, service, method] = path.split("/");
    return { service, method };
  });
  const retryPolicy = {
    maxAttempts: 4,
    initialBackoff: "0.1s",
    maxBackoff: "1s",
    backoffMultiplier: 2,
    retryableStatusCodes: ["UNAVAILABLE"],
  };
  return { loadBalancingConfig: [{ pick_first: {} }], methodConfig: [{ name, retryPolicy }] };
}

function channelCredentials({ security, ca }: Target): ChannelCredentials {
  if (security === "plaintext") return credentials.createInsecure();
  return credentials.createSsl(ca.trim() === "system" ? null : Buffer.from(ca));
}

function toCallError(path: string, error: ServiceError | null, sent: boolean): CallError {
  if (!error) return callError("INTERNAL", `${path} was answered with nothing`, sent);
  // gRPC reports an answer that it can't parse as INTERNAL. Such as this one, the next will be no better.
  if (error.details.startsWith("Response message parsing error")) {
    return callError("BAD_REPLY", `${path}: ${error.details}`, sent, { cause: error });
  }
  return callError(status[error.code] ?? String(error.code), `${path}: ${error.details}`, sent, { cause: error });
}
