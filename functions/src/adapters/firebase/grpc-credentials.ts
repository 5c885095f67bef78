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
 * @param grpc the copy of grpc-js that the channel is of: a program outside `functions/` has one of its own
 */
export function tlsCredentials(
  target: TlsTarget,
  token: TokenSource | undefined,
  onFailure?: (error: TlsError) => void,
  grpc: Grpc = { ChannelCredentials, CallCredentials },
): ChannelCredentials {
  const connector = new TlsConnector(target, onFailure);
  const channel = channelCredentials(connector, grpc);
  return token === undefined ? channel : channel.compose(bearer(token));
}

/** Credentials without TLS and without tokens. */
export function plaintextCredentials(grpc: Grpc = { ChannelCredentials, CallCredentials }): ChannelCredentials {
  return channelCredentials(undefined, grpc);
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

type Grpc = { ChannelCredentials: typeof ChannelCredentials; CallCredentials: typeof CallCredentials };

/** After that no call is in progress on a channel that was closed, in milliseconds. */
const LONGEST_CALL_MS = 60_000;

/** How long the peer of a connection that was closed may take to close it too, in milliseconds. */
const CLOSE_TIMEOUT_MS = 1_000;

/**
 * grpc-js leaves the choice among trusted certificates to OpenSSL, which errs if two have one subject: TlsConnector does not. It also
 * leaves it to the peer when a closed connection ends: a silent one would never end.
 * @param connector undefined for plaintext
 */
function channelCredentials(connector: TlsConnector | undefined, grpc: Grpc): ChannelCredentials {
  class Credentials extends grpc.ChannelCredentials {
    override _isSecure(): boolean {
      return connector !== undefined;
    }

    override _equals(other: ChannelCredentials): boolean {
      return this === other;
    }

    override _createSecureConnector(
      _target: experimental.GrpcUri,
      options: ChannelOptions,
      callCredentials = grpc.CallCredentials.createEmpty(),
    ): experimental.SecureConnector {
      // Through a proxy the socket's peer is not the server: there the next attempt of the channel connects again.
      const isProxied = "grpc.http_connect_target" in options;
      let isClosed = false;
      /** By the bytes that had been received when they were handed to gRPC. */
      const connections = new Map<Socket, number>();
      return {
        connect: async (socket) => {
          const again = isProxied ? undefined : redialer(socket);
          const connected = connector ? await connector.secure(socket, again) : socket;
          if (isClosed) {
            connected.destroy();
            throw new Error("the channel was closed");
          }
          connections.set(connected, connected.bytesRead);
          connected.once("close", () => connections.delete(connected));
          return { socket: destroyedSoonAfterEnd(connected), secure: connector !== undefined };
        },
        waitForReady: () => Promise.resolve(),
        getCallCredentials: () => callCredentials,
        destroy: () => {
          isClosed = true;
          // gRPC does not end one whose peer has not sent its HTTP/2 settings yet. There may be calls on others.
          for (const [connection, received] of connections) if (connection.bytesRead === received) connection.destroy();
          setTimeout(() => {
            for (const connection of connections.keys()) connection.destroy();
          }, LONGEST_CALL_MS).unref();
        },
      };
    }
  }
  return new Credentials();
}

function destroyedSoonAfterEnd<S extends Socket>(socket: S): S {
  const end = socket.end.bind(socket) as (...args: unknown[]) => S;
  return Object.assign(socket, {
    end(...args: unknown[]) {
      setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS).unref();
      return end(...args);
    },
  });
}

function redialer({ remoteAddress, remotePort }: Socket): (() => Promise<Socket>) | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return () => dial(remoteAddress, remotePort);
}
