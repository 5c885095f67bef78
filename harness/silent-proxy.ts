/** A TCP proxy whose connections can go silent: the peer's kernel still acknowledges, but nothing is answered. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class SilentProxy {
  /** Whether a new connection is answered. */
  answersNew = true;
  /** How many connections were opened. */
  connections = 0;
  private readonly server: Server;
  private readonly pairs = new Set<{ near: Socket; far: Socket; losesRequests: boolean; losesAnswers: boolean }>();

  private constructor(private readonly targetPort: number) {
    // A silent peer does not acknowledge the end of a connection either.
    this.server = createServer({ allowHalfOpen: true }, (near) => this.join(near));
  }

  /** Starts a proxy to a port of this machine; port 0 leaves the choice to the system. */
  static async start(targetPort: number, host = "127.0.0.1", port = 0): Promise<SilentProxy> {
    const proxy = new SilentProxy(targetPort);
    await new Promise<void>((resolve) => proxy.server.listen({ host, port }, resolve));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** From now on, the open connections lose replies, or requests and replies. */
  silence(lost: "answers" | "both"): void {
    for (const pair of this.pairs) {
      pair.losesAnswers = true;
      pair.losesRequests = lost === "both";
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const { near, far } of this.pairs) for (const socket of [near, far]) socket.destroy();
    await closed;
  }

  private join(near: Socket): void {
    this.connections++;
    const far = connect({ host: "localhost", port: this.targetPort, allowHalfOpen: true });
    const pair = { near, far, losesRequests: !this.answersNew, losesAnswers: !this.answersNew };
    this.pairs.add(pair);
    near.on("data", (bytes) => {
      if (!pair.losesRequests) far.write(bytes);
    });
    far.on("data", (bytes) => {
      if (!pair.losesAnswers) near.write(bytes);
    });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("end", () => {
        if (!pair.losesRequests && !pair.losesAnswers) to.end();
      });
      from.on("error", () => undefined);
      from.on("close", () => {
        this.pairs.delete(pair);
        to.destroy();
      });
    }
  }
}
