/** Topics of the Pub/Sub emulator over its REST interface: messages can be pulled, or are pushed to servers. */

/** The maximum of messages in one reply. */
const PULLED = 1_000;

/** A push without a response is retried after this time; 10 is the minimum of Pub/Sub. */
const ACK_DEADLINE_SECONDS = 10;

export class PubSubTopics {
  /** @param host of the emulator, as host:port */
  constructor(
    private readonly host: string,
    private readonly project: string,
  ) {}

  /** Makes a topic and its subscription. */
  async make(topic: string): Promise<void> {
    await this.call("PUT", `topics/${topic}`, {});
    const subscription = { topic: `projects/${this.project}/topics/${topic}`, ackDeadlineSeconds: 600 };
    await this.call("PUT", `subscriptions/${topic}`, subscription);
  }

  /**
   * Makes a topic with a push subscription for each endpoint. A subscription repeats each push until it succeeds; the emulator has
   * at most two pushes of a subscription in progress.
   */
  async pushTo(topic: string, endpoints: string[]): Promise<void> {
    await this.call("PUT", `topics/${topic}`, {});
    for (const [index, pushEndpoint] of endpoints.entries()) {
      await this.call("PUT", `subscriptions/${topic}-${index}`, {
        topic: `projects/${this.project}/topics/${topic}`,
        pushConfig: { pushEndpoint },
        ackDeadlineSeconds: ACK_DEADLINE_SECONDS,
        retryPolicy: { minimumBackoff: "1s", maximumBackoff: "2.5s" },
      });
    }
  }

  /** Removes a topic; what is published to it fails from then on. */
  async remove(topic: string): Promise<void> {
    await this.call("DELETE", `topics/${topic}`);
  }

  /** Pulls all available messages, as JSON. */
  async take(topic: string): Promise<unknown[]> {
    const taken: unknown[] = [];
    for (;;) {
      const { receivedMessages = [] } = (await this.call("POST", `subscriptions/${topic}:pull`, {
        maxMessages: PULLED,
        returnImmediately: true,
      })) as { receivedMessages?: { ackId: string; message: { data: string } }[] };
      if (receivedMessages.length === 0) return taken;
      const ackIds = receivedMessages.map(({ ackId }) => ackId);
      await this.call("POST", `subscriptions/${topic}:acknowledge`, { ackIds });
      for (const { message } of receivedMessages) {
        taken.push(JSON.parse(Buffer.from(message.data, "base64").toString("utf8")));
      }
    }
  }

  private async call(method: string, path: string, body?: object): Promise<unknown> {
    const answer = await fetch(`http://${this.host}/v1/projects/${this.project}/${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : {};
  }
}
