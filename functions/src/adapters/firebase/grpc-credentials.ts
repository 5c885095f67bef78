/** gRPC credentials: the trusted certificates that verify the server, and the client certificate and token that authenticate us. */
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

/** Provides the bearer token for each call. */
export interface TokenSource {
  /** The token; rejects if none is available now. */
  token(): Promise<string>;
  /** Tells that the server rejected the token, so the next one must be a new one if possible. */
  discard(): void;
}

/**
 * Credentials for TLS. A token is sent over TLS only.
 * @param onFailure called with one line that says why a connection failed
 * @param grpc the channel's copy of grpc-js: a program outside `functions/` has its own
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

/** A fixed token. */
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
      // Without a token nothing is sent. This is not a rejection, and a retry may succeed.
      (error: unknown) => answer(Object.assign(new Error(toErrorInfo(error).message), { code: status.UNAVAILABLE })),
    );
  });
}

type Grpc = { ChannelCredentials: typeof ChannelCredentials; CallCredentials: typeof CallCredentials };

/** By this time, in milliseconds, no call is in progress on a closed channel. */
const LONGEST_CALL_MS = 60_000;

/** How long the peer may take to close its side of a closed connection, in milliseconds. */
const CLOSE_TIMEOUT_MS = 1_000;

/**
 * Opens connections with TlsConnector: grpc-js leaves the choice among trusted certificates to OpenSSL, which fails if two have the
 * same subject. It also ends closed connections, since grpc-js waits for the peer, and a silent peer would never end them.
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
      // Through a proxy, the socket's peer is not the server, so the channel's next attempt connects again.
      const isProxied = "grpc.http_connect_target" in options;
      let isClosed = false;
      /** The open connections, with the number of bytes that each had received when it was handed to gRPC. */
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
          // gRPC does not end a connection whose peer has not sent its HTTP/2 settings yet. Other connections may have calls.
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
