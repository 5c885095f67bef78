/** gRPC calls to one service: one long-lived channel, replaced when it is silent; a deadline on every call; typed errors. */
import {
  type ChannelCredentials,
  Client,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { parseAddress } from "../../address.js";
import type { ClientIdentity, Trust } from "../../credentials.js";
import { type CallError, callError, toErrorInfo } from "../../domain/errors.js";
import type { Clock } from "../../ports.js";
import { plaintextCredentials, type TokenSource, tlsCredentials } from "./grpc-credentials.js";
import { livenessOptions, RenewingClient } from "./renewing-client.js";
import { type RetryPolicy, serviceConfig } from "./service-config.js";
import type { TlsError } from "./tls-connection.js";

const CHANNEL_OPTIONS = { "grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 5_000 };

/** In bytes; a page of 250,000 orders fits. With gRPC's default of 4 MiB, a service that ignores the page size would fail. */
const MAX_REPLY_BYTES = 32 * 1024 * 1024;

/** Servers treat more frequent pings as an attack. */
const MIN_PING_MS = 1_000;

export interface Target {
  /** The service's name in error messages. */
  name: string;
  /** host:port */
  address: string;
  security: "tls" | "plaintext";
  trust: Trust;
  /** The client certificate, if there is one; over TLS only. */
  client?: ClientIdentity | undefined;
  /** The token that is sent with every call, if there is one; over TLS only. */
  token?: TokenSource | undefined;
  /** The settings for trust and client certificate that error messages name; params by default. */
  options?: { trust: string; client: string };
  /** The methods that may be retried when the connection fails. */
  idempotentMethods: { path: string }[];
  /** The timeout of a call, in milliseconds. */
  timeoutMs: number;
}

export class GrpcChannel {
  private readonly renewing: RenewingClient;
  /** Why the last connection failed. */
  private failure: TlsError | undefined;

  constructor(
    private readonly target: Target,
    private readonly clock: Clock,
  ) {
    const options = {
      ...CHANNEL_OPTIONS,
      "grpc.max_receive_message_length": MAX_REPLY_BYTES,
      ...livenessOptions(Math.max(MIN_PING_MS, target.timeoutMs / 2)),
      "grpc.service_config": serviceConfig(
        [{ methods: target.idempotentMethods, retryPolicy: RETRY_POLICY }],
        RETRY_THROTTLING,
      ),
    };
    this.renewing = new RenewingClient({
      open: () => new Client(`dns:${target.address}`, this.credentials(), options),
      // A create's deadline is slightly shorter than a read's, since it counts from the claim.
      silenceMs: 0.9 * target.timeoutMs,
      now: () => clock.now(),
    });
  }

  private credentials(): ChannelCredentials {
    const { name, address, security, trust, client, token, options } = this.target;
    if (security === "plaintext") return plaintextCredentials();
    const { host, port } = parseAddress(address) ?? { host: address, port: 0 };
    const target = { name: `${name} at ${address}`, host, port, trust, client, ...(options && { options }) };
    return tlsCredentials(target, token, (failure) => {
      this.failure = failure;
    });
  }

  /** Resolves when a call can be sent: the server is connected and verified, and a token is available if calls need one. */
  async ready(): Promise<void> {
    const { name, address, timeoutMs, token } = this.target;
    const unavailable = (reason: string | undefined, cause: unknown) =>
      callError("UNAVAILABLE", reason ?? `${name} at ${address} can't be reached`, false, { cause });
    await this.renewing.ready(this.clock.now() + timeoutMs).catch((error: unknown) => {
      throw unavailable(this.failure?.message, error);
    });
    this.failure = undefined;
    await token?.token().catch((error: unknown) => {
      throw unavailable(toErrorInfo(error).message, error);
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
      const message = `${method.path} was not sent: its deadline had already passed`;
      return Promise.reject(callError("DEADLINE_EXCEEDED", message, false));
    }
    const { path, requestSerialize, responseDeserialize } = method;
    const sending = new Metadata();
    for (const [key, value] of Object.entries(metadata)) sending.set(key, value);
    const client = this.renewing.startCall();
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        sending,
        { deadline: until },
        (error, response) => {
          this.renewing.endCall(client, error);
          if (response !== undefined && !error) return resolve(response);
          // Until a call is assigned to a connection, its peer is the channel's own target.
          const sent = call.getPeer() !== client.getChannel().getTarget();
          if (error?.code === status.UNAUTHENTICATED) this.target.token?.discard();
          reject(toCallError(path, sent ? error : this.explained(error), sent));
        },
      );
    });
  }

  /** The error, with the connection's own message if the connection caused it. */
  private explained(error: ServiceError | null): ServiceError | null {
    if (error?.code !== status.UNAVAILABLE) return error;
    const plain = error.details.replace("Getting metadata from plugin failed with error: ", "");
    return Object.assign(error, { details: this.failure?.message ?? plain });
  }

  close(): void {
    this.renewing.close();
  }
}

/** Only idempotent methods are retried. Everything else is sent once, whatever its outcome. */
const RETRY_POLICY: RetryPolicy = {
  maxAttempts: 4,
  initialBackoff: "0.1s",
  maxBackoff: "1s",
  backoffMultiplier: 2,
  retryableStatusCodes: ["UNAVAILABLE"],
};

/** Retries must not multiply the load on a failing service: they stop until most calls succeed again. */
const RETRY_THROTTLING = { maxTokens: 20, tokenRatio: 0.1 };

function toCallError(path: string, error: ServiceError | null, sent: boolean): CallError {
  if (!error) return callError("INTERNAL", `${path} was answered with nothing`, sent);
  // gRPC reports a reply that it can't parse as INTERNAL. A retry would get the same reply.
  if (error.details.startsWith("Response message parsing error")) {
    return callError("BAD_REPLY", `${path}: ${error.details}`, sent, { cause: error });
  }
  return callError(status[error.code] ?? String(error.code), `${path}: ${error.details}`, sent, { cause: error });
}
