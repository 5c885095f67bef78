/** The bus on Pub/Sub. Its client is loaded where something is published. */
import type { PubSub, Topic } from "@google-cloud/pubsub";
import { BusError } from "../errors.js";
import { CONTINUATION_TOPIC } from "../intake/message.js";
import { STAGES, type Stage } from "../life-cycle.js";
import type { Bus, OrderMessage, PollContinuation } from "../ports.js";

/** A publish that takes longer is given up, in milliseconds; the next tick publishes the same orders again. */
const PUBLISH_DEADLINE = 10_000;

const BACKOFF = {
  initialRetryDelayMillis: 100,
  retryDelayMultiplier: 2,
  maxRetryDelayMillis: 2_000,
  totalTimeoutMillis: PUBLISH_DEADLINE,
};

export class PubSubBus implements Bus {
  private client: Promise<PubSub> | undefined;
  private readonly topics = new Map<string, Topic>();

  prepare(): void {
    // Where it can't be loaded, the first publish says so.
    this.open().catch(() => undefined);
  }

  async publishOrders(stage: Stage, messages: OrderMessage[]): Promise<void> {
    await this.publish(STAGES[stage].topic, messages);
  }

  async publishContinuation(continuation: PollContinuation): Promise<void> {
    await this.publish(CONTINUATION_TOPIC, [continuation]);
  }

  /** Every publish is awaited: an instance gets no CPU once its function has returned. */
  private async publish(name: string, messages: object[]): Promise<void> {
    try {
      const topic = await this.topic(name);
      const published = messages.map((json) => topic.publishMessage({ json }));
      await topic.flush();
      await Promise.all(published);
    } catch (error) {
      throw new BusError(`could not publish to ${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  private open(): Promise<PubSub> {
    this.client ??= import("./pub-sub-client.js").then(({ PubSub }) => new PubSub());
    return this.client;
  }

  private async topic(name: string): Promise<Topic> {
    const client = await this.open();
    const known = this.topics.get(name);
    if (known) return known;
    const topic = client.topic(name, {
      batching: { maxMessages: 1000, maxMilliseconds: 20 },
      gaxOpts: { timeout: PUBLISH_DEADLINE, retry: { backoffSettings: BACKOFF } },
    });
    this.topics.set(name, topic);
    return topic;
  }
}
