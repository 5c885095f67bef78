/**
 * A gRPC client that replaces silent connections. If a peer acknowledges TCP but answers nothing, or never finishes the
 * HTTP/2 handshake, gRPC considers it connected indefinitely.
 */
import { type Client, type ClientOptions, type ServiceError, status } from "@grpc/grpc-js";

interface RenewalOptions {
  /** Opens a client. It must have the options of `livenessOptions`. */
  open(): Client;
  /** A client is replaced if it has received nothing for this long while calls waited, in milliseconds. */
  silenceMs: number;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** The codes of errors that gRPC itself generates. A service may also send them. */
const UNANSWERED: readonly number[] = [status.DEADLINE_EXCEEDED, status.UNAVAILABLE, status.CANCELLED];

/**
 * The options that make gRPC detect a dead connection, and resolve DNS again within a second after losing one.
 * @param pingAfterMs how long calls wait before the connection is pinged, and the ping's timeout. An instance that is
 * frozen between requests sends no pings; its next call does.
 */
export function livenessOptions(pingAfterMs: number): ClientOptions {
  return {
    "grpc.keepalive_time_ms": pingAfterMs,
    "grpc.keepalive_timeout_ms": pingAfterMs,
    "grpc.dns_min_time_between_resolutions_ms": 1_000,
    "grpc.service_config_disable_resolution": 1,
    // With shared connections, a new client would get the silent connection again.
    "grpc.use_local_subchannel_pool": 1,
  };
}

export class RenewingClient {
  private current: Client | undefined;
  /** When the client was opened or last received something, in milliseconds since the epoch. */
  private heardAt = 0;
  /** The number of calls in progress on each open client. */
  private readonly calls = new Map<Client, number>();

  constructor(private readonly options: RenewalOptions) {}

  /** The client for a call, opened at first use. Follow with `endCall` when the call has ended. */
  startCall(): Client {
    if (!this.current) {
      this.current = this.options.open();
      this.heardAt = this.options.now();
    }
    this.calls.set(this.current, (this.calls.get(this.current) ?? 0) + 1);
    return this.current;
  }

  /**
   * Records how a call ended. If its client is silent, the next call gets a new client. Calls in progress stay on
   * theirs, and nothing is resent.
   */
  endCall(client: Client, error: Pick<ServiceError, "code"> | null): void {
    if (client === this.current) {
      const now = this.options.now();
      if (!error || !UNANSWERED.includes(error.code)) this.heardAt = now;
      else if (now - this.heardAt >= this.options.silenceMs) this.current = undefined;
    }
    this.release(client);
  }

  /** Resolves when the client is connected; rejects at the deadline, in milliseconds since the epoch. */
  ready(deadline: number): Promise<void> {
    const client = this.startCall();
    return new Promise((resolve, reject) => {
      client.waitForReady(deadline, (error) => {
        if (error) {
          this.endCall(client, { code: status.DEADLINE_EXCEEDED });
          return reject(error);
        }
        // A connection may exist without answering anything.
        this.release(client);
        resolve();
      });
    });
  }

  /** Closes all clients. */
  close(): void {
    for (const client of this.calls.keys()) client.close();
    this.calls.clear();
    this.current = undefined;
  }

  /** Closes a replaced client after its last call: gRPC drops the calls of a closed client at their next ping. */
  private release(client: Client): void {
    const calls = this.calls.get(client);
    if (calls === undefined) return;
    this.calls.set(client, calls - 1);
    if (client === this.current || calls > 1) return;
    this.calls.delete(client);
    client.close();
  }
}
