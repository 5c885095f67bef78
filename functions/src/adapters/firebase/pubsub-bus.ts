/** The bus on Pub/Sub. Its client is loaded where something is published. */
import { credentials, status } from "@grpc/grpc-js";
import { BusError } from "../../domain/errors.js";
import { STAGES, type Stage } from "../../domain/order-lifecycle.js";
import { CONTINUATION_TOPIC, packOrders } from "../../pipeline/messages.js";
import type { Bus, OrderMessage, PollContinuation } from "../../ports.js";
import type { PublisherClient } from "./pubsub-client.js";

/** As many messages as Pub/Sub takes at a time. */
const MAX_MESSAGES_PER_PUBLISH = 1000;

/** A publish that takes longer is given up, in milliseconds; the next tick publishes the same orders again. */
const PUBLISH_DEADLINE_MS = 10_000;

/** Clients that share connections would get a silent one back. */
const OWN_CONNECTION = { "grpc.use_local_subchannel_pool": 1 };

const BACKOFF = {
  initialRetryDelayMillis: 100,
  retryDelayMultiplier: 2,
  maxRetryDelayMillis: 2_000,
  totalTimeoutMillis: PUBLISH_DEADLINE_MS,
};

export class PubSubBus implements Bus {
  private client: Promise<PublisherClient> | undefined;
  private options: ConstructorParameters<typeof PublisherClient>[0];
  private project: string | undefined;

  prepare(): void {
    // Where it can't be loaded, the first publish says so.
    this.open().catch(() => undefined);
  }

  async publishOrders(stage: Stage, messages: OrderMessage[]): Promise<void> {
    await this.publish(STAGES[stage].topic, packOrders(stage, messages));
  }

  async publishContinuation(continuation: PollContinuation): Promise<void> {
    await this.publish(CONTINUATION_TOPIC, [continuation]);
  }

  /** Every publish is awaited: an instance gets no CPU once its function has returned. */
  private async publish(name: string, payloads: object[]): Promise<void> {
    try {
      const client = await this.open();
      this.project ??= await client.getProjectId();
      const topic = `projects/${this.project}/topics/${name}`;
      for (let from = 0; from < payloads.length; from += MAX_MESSAGES_PER_PUBLISH) {
        const messages = payloads
          .slice(from, from + MAX_MESSAGES_PER_PUBLISH)
          .map((payload) => ({ data: Buffer.from(JSON.stringify(payload)) }));
        await client.publish(
          { topic, messages },
          { timeout: PUBLISH_DEADLINE_MS, retry: { backoffSettings: BACKOFF } },
        );
      }
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code === status.DEADLINE_EXCEEDED || code === status.UNAVAILABLE) await this.replaceClient();
      throw new BusError(`could not publish to ${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  private open(): Promise<PublisherClient> {
    this.options ??= { ...emulator(), ...OWN_CONNECTION };
    const { options } = this;
    this.client ??= import("./pubsub-client.js").then(({ PublisherClient }) => new PublisherClient(options));
    return this.client;
  }

  /** The connection may be silent: the next publish opens another. Publishes in progress end on the old one. */
  private async replaceClient(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    // A client that could not be loaded has nothing to close.
    await client?.then((opened) => opened.close()).catch(() => undefined);
  }
}

/** Where the emulator is, if there is one: this client does not look for it. */
function emulator() {
  const { PUBSUB_EMULATOR_HOST } = process.env;
  if (!PUBSUB_EMULATOR_HOST) return {};
  const { hostname, port } = new URL(`http://${PUBSUB_EMULATOR_HOST}`);
  return { servicePath: hostname, port: Number(port), sslCreds: credentials.createInsecure() };
}
