/** How a gRPC channel verifies the server and proves who calls: trusted certificates, a client certificate, a token. */
import type { Socket } from "node:net";
import {
  CallCredentials,
  ChannelCredentials,
  type ChannelOptions,
  type experimental,
  Metadata,
  status,
} from "@grpc/grpc-js";
import { toErrorInfo } from "../../domain/errors.js";
import { dial, TlsConnector, type TlsError, type TlsTarget } from "./tls-connection.js";

/** Gives the bearer token for each call. */
export interface TokenSource {
  /** The token; rejects if there is none at the moment. */
  token(): Promise<string>;
  /** The server did not accept the token: the next one must be new, if there can be a new one. */
  discard(): void;
}

/**
 * Credentials over TLS; a token is sent over TLS only.
 * @param onFailure called with one line that says why a connection failed
 */
export function tlsCredentials(
  target: TlsTarget,
  token: TokenSource | undefined,
  onFailure?: (error: TlsError) => void,
): ChannelCredentials {
  const channel = new TlsCredentials(target, onFailure);
  return token === undefined ? channel : channel.compose(bearer(token));
}

/** The token that a deployment was given. */
export function fixedToken(token: string): TokenSource {
  return { token: () => Promise.resolve(token), discard: () => {} };
}

/** Sends the token with every call. */
export function bearer(source: TokenSource): CallCredentials {
  return CallCredentials.createFromMetadataGenerator((_, answer) => {
    source.token().then(
      (token) => {
        const metadata = new Metadata();
        metadata.set("authorization", `Bearer ${token}`);
        answer(null, metadata);
      },
      // Without a token nothing is sent, which is no refusal: it may well work a moment later.
      (error: unknown) => answer(Object.assign(new Error(toErrorInfo(error).message), { code: status.UNAVAILABLE })),
    );
  });
}

/** grpc-js leaves the choice among trusted certificates to OpenSSL, which errs if two have one subject: TlsConnector does not. */
class TlsCredentials extends ChannelCredentials {
  private readonly connector: TlsConnector;

  constructor(target: TlsTarget, onFailure?: (error: TlsError) => void) {
    super();
    this.connector = new TlsConnector(target, onFailure);
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    _target: experimental.GrpcUri,
    options: ChannelOptions,
    callCredentials = CallCredentials.createEmpty(),
  ): experimental.SecureConnector {
    // Through a proxy the socket's peer is not the server: there the next attempt of the channel connects again.
    const isProxied = "grpc.http_connect_target" in options;
    return {
      connect: async (socket) => {
        const again = isProxied ? undefined : redialer(socket);
        return { socket: await this.connector.secure(socket, again), secure: true };
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => {},
    };
  }
}

function redialer({ remoteAddress, remotePort }: Socket): (() => Promise<Socket>) | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return () => dial(remoteAddress, remotePort);
}
