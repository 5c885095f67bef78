/**
 * Calls Google's services over gRPC without their client libraries, which take most of a cold start: one channel, retries by
 * service config, and a new connection when one is silent.
 */
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import type { GoogleAuth } from "google-auth-library";
import { bearer, type TokenSource } from "./grpc-credentials.js";
import { livenessOptions, RenewingClient } from "./renewing-client.js";
import { type RetryPolicy, serviceConfig } from "./service-config.js";

export interface GoogleService {
  /** The service's address in the cloud, as host:port. */
  address: string;
  /** The address of its emulator, as host:port; undefined for the cloud. */
  emulator: string | undefined;
  /** The timeout of a call with its retries, in milliseconds. */
  timeoutMs: number;
  /** The connection is pinged after calls have waited this long, in milliseconds. */
  pingAfterMs: number;
  /** The methods to retry, and the status codes after which that is safe. */
  retries: { methods: { path: string }[]; codes: string[] }[];
  /** The certificates that verify the server in the cloud, in PEM form; those of Node.js by default. */
  roots?: Buffer | undefined;
}

/** The timeout of a ping, in milliseconds. */
const PING_TIMEOUT_MS = 10_000;

const SCOPE = "https://www.googleapis.com/auth/cloud-platform";

/** gRPC's maximum. */
const MAX_ATTEMPTS = 5;

export class GoogleApi {
  private readonly renewing: RenewingClient;

  constructor(private readonly service: GoogleService) {
    const { address, emulator, timeoutMs, pingAfterMs, retries } = service;
    const options: ClientOptions = {
      ...livenessOptions(pingAfterMs),
      "grpc.keepalive_timeout_ms": Math.min(pingAfterMs, PING_TIMEOUT_MS),
      "grpc.max_receive_message_length": -1,
      "grpc.service_config": serviceConfig(
        retries.map(({ methods, codes }) => ({ methods, retryPolicy: retryPolicy(codes) })),
      ),
    };
    this.renewing = new RenewingClient({
      open: () => new Client(emulator ?? address, this.credentials(), options),
      silenceMs: 0.9 * timeoutMs,
      now: Date.now,
    });
  }

  /**
   * Calls a unary method.
   * @throws ServiceError
   */
  call<Q, R>(method: MethodDefinition<Q, R>, request: Q, headers: Record<string, string>): Promise<R> {
    const client = this.renewing.startCall();
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.metadata(headers),
        { deadline: Date.now() + this.service.timeoutMs },
        (error, response) => {
          this.renewing.endCall(client, error);
          if (error) reject(error);
          else resolve(response as R);
        },
      );
    });
  }

  /**
   * Calls a method that returns a stream; resolves with all of its messages.
   * @throws ServiceError
   */
  callForAll<Q, R>(method: MethodDefinition<Q, R>, request: Q, headers: Record<string, string>): Promise<R[]> {
    const client = this.renewing.startCall();
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      const responses: R[] = [];
      const options = { deadline: Date.now() + this.service.timeoutMs };
      client
        .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, this.metadata(headers), options)
        .on("data", (response: R) => responses.push(response))
        .on("error", (error: ServiceError) => {
          this.renewing.endCall(client, error);
          reject(error);
        })
        .on("end", () => {
          this.renewing.endCall(client, null);
          resolve(responses);
        });
    });
  }

  close(): void {
    this.renewing.close();
  }

  private credentials(): ChannelCredentials {
    if (this.service.emulator !== undefined) return credentials.createInsecure();
    return credentials.createSsl(this.service.roots ?? null).compose(bearer(accessTokens()));
  }

  private metadata(headers: Record<string, string>): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    // Emulators treat this token as an administrator's, to whom no security rules apply.
    if (this.service.emulator !== undefined) metadata.set("authorization", "Bearer owner");
    return metadata;
  }
}

/** The name of this function's project. */
export function projectId(): string {
  const { GCLOUD_PROJECT, GOOGLE_CLOUD_PROJECT, FIREBASE_CONFIG } = process.env;
  const project = GCLOUD_PROJECT ?? GOOGLE_CLOUD_PROJECT ?? JSON.parse(FIREBASE_CONFIG ?? "{}").projectId;
  if (typeof project !== "string") throw new Error("GCLOUD_PROJECT does not name the project");
  return project;
}

/** Tokens of the functions' account, from Application Default Credentials, which refresh them before they expire. */
function accessTokens(): TokenSource {
  let auth: Promise<GoogleAuth> | undefined;
  return {
    async token() {
      // Loaded at the first call, since emulators don't need it.
      auth ??= import("google-auth-library").then(({ GoogleAuth }) => new GoogleAuth({ scopes: [SCOPE] }));
      const token = await (await auth).getAccessToken();
      if (!token) throw new Error("there is no access token for the account of this function");
      return token;
    },
    discard() {},
  };
}

function retryPolicy(retryableStatusCodes: string[]): RetryPolicy {
  return {
    maxAttempts: MAX_ATTEMPTS,
    initialBackoff: "0.2s",
    maxBackoff: "10s",
    backoffMultiplier: 3,
    retryableStatusCodes,
  };
}
