/**
 * A gRPC client that does not stay on a silent connection. A peer that acknowledges TCP but answers nothing, or that never
 * finishes the HTTP/2 handshake, looks connected to gRPC for as long as it likes.
 */
import { type Client, type ClientOptions, type ServiceError, status } from "@grpc/grpc-js";

interface RenewalOptions {
  /** Opens a client. It must have the options of `livenessOptions`. */
  open(): Client;
  /** A client on which nothing was answered for so long, while calls waited, is replaced. In milliseconds. */
  silenceMs: number;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Failures that gRPC makes up itself; a service may send them too. */
const UNANSWERED: readonly number[] = [status.DEADLINE_EXCEEDED, status.UNAVAILABLE, status.CANCELLED];

/**
 * The options by which gRPC notices a dead connection, and follows a change in DNS within a second of losing one.
 * @param pingAfterMs how long calls wait before the connection is pinged, and how long a ping may take. An instance that is
 * frozen between requests sends none: its first call after that does.
 */
export function livenessOptions(pingAfterMs: number): ClientOptions {
  return {
    "grpc.keepalive_time_ms": pingAfterMs,
    "grpc.keepalive_timeout_ms": pingAfterMs,
    "grpc.dns_min_time_between_resolutions_ms": 1_000,
    "grpc.service_config_disable_resolution": 1,
    // Clients that share connections would get the silent one back.
    "grpc.use_local_subchannel_pool": 1,
  };
}

export class RenewingClient {
  private current: Client | undefined;
  /** When the client was opened, or something was last answered on it, in milliseconds since the epoch. */
  private heardAt = 0;
  /** The calls in progress of each client that is not closed. */
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
   * Takes note of how a call ended. If its client is silent, the next call gets a new one; calls in progress stay with
   * theirs, and nothing is sent again.
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
        // That a connection is there says nothing about whether anything is answered on it.
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

  /** Closes a client that was replaced with its last call, not before: gRPC drops calls of a closed one at their next ping. */
  private release(client: Client): void {
    const calls = this.calls.get(client);
    if (calls === undefined) return;
    this.calls.set(client, calls - 1);
    if (client === this.current || calls > 1) return;
    this.calls.delete(client);
    client.close();
  }
}
