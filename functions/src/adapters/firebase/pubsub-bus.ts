/** The bus on Pub/Sub. It publishes whole pages, over gRPC without the client library. */
import { BusError } from "../../domain/errors.js";
import { STAGES, type Stage } from "../../domain/order-lifecycle.js";
import { PublisherService as publisher } from "../../generated/cloud/google/pubsub/v1/pubsub.js";
import { CONTINUATION_TOPIC, packOrders } from "../../pipeline/messages.js";
import type { Bus, OrderMessage, PollContinuation } from "../../ports.js";
import { GoogleApi, projectId } from "./google-api.js";

/** As many messages as Pub/Sub takes at a time. */
const MAX_MESSAGES_PER_PUBLISH = 1000;

/** The timeout of a publish, in milliseconds. The next tick publishes the same orders again. */
const PUBLISH_DEADLINE_MS = 10_000;

/** Publishing is retried: handling a message twice is safe, since it is a hint. */
const RETRIED_CODES = ["ABORTED", "CANCELLED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNKNOWN"];

export class PubSubBus implements Bus {
  private readonly api = new GoogleApi({
    address: "pubsub.googleapis.com:443",
    emulator: process.env.PUBSUB_EMULATOR_HOST,
    timeoutMs: PUBLISH_DEADLINE_MS,
    pingAfterMs: PUBLISH_DEADLINE_MS,
    retries: [{ methods: [publisher.publish], codes: RETRIED_CODES }],
  });

  /** @param project the topics' project; this function's own by default */
  constructor(private readonly project = projectId()) {}

  async publishOrders(stage: Stage, messages: OrderMessage[]): Promise<void> {
    await this.publish(STAGES[stage].topic, packOrders(stage, messages));
  }

  async publishContinuation(continuation: PollContinuation): Promise<void> {
    await this.publish(CONTINUATION_TOPIC, [continuation]);
  }

  /** Awaits every publish, since an instance gets no CPU after its function has returned. */
  private async publish(name: string, payloads: object[]): Promise<void> {
    const topic = `projects/${this.project}/topics/${name}`;
    const headers = { "x-goog-request-params": `topic=${encodeURIComponent(topic)}` };
    try {
      for (let from = 0; from < payloads.length; from += MAX_MESSAGES_PER_PUBLISH) {
        const messages = payloads.slice(from, from + MAX_MESSAGES_PER_PUBLISH).map(messageOf);
        await this.api.call(publisher.publish, { topic, messages }, headers);
      }
    } catch (error) {
      throw new BusError(`could not publish to ${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  close(): void {
    this.api.close();
  }
}

function messageOf(payload: object) {
  const data = Buffer.from(JSON.stringify(payload));
  return { data, attributes: {}, messageId: "", publishTime: undefined, orderingKey: "" };
}
