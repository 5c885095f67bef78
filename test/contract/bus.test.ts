/** What every bus promises, checked on the one in memory and on the official Pub/Sub emulator. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { PubSubBus } from "../../functions/src/adapters/firebase/pubsub-bus.js";
import { MemoryBus } from "../../functions/src/adapters/memory/bus.js";
import { BusError } from "../../functions/src/domain/errors.js";
import { STAGES, type Stage } from "../../functions/src/domain/order-lifecycle.js";
import {
  CONTINUATION_TOPIC,
  parseContinuation,
  parseOrderMessage,
  unpackOrders,
} from "../../functions/src/pipeline/messages.js";
import type { Bus, OrderMessage, PollContinuation } from "../../functions/src/ports.js";
import { PubSubTopics } from "../../harness/emulators/pubsub-rest.js";
import { withEnvironment } from "../../harness/env.js";
import { EMULATOR_START_TIMEOUT_MS, emulators } from "../emulators.js";

/** A bus, and what was published on it to this topic since the last look. */
interface Opened {
  bus: Bus;
  taken(topic: string): Promise<unknown[]>;
}

const TOPICS = [...Object.values(STAGES).map(({ topic }) => topic), CONTINUATION_TOPIC];

/** Publishes something, so the client has read the environment by the end of this. */
const openBuses: PubSubBus[] = [];
after(() => {
  for (const bus of openBuses) bus.close();
});

function openPubSubBus(host: string): PubSubBus {
  const bus = withEnvironment({ PUBSUB_EMULATOR_HOST: host }, () => new PubSubBus("demo-contract"));
  openBuses.push(bus);
  return bus;
}

async function openInMemory(): Promise<Opened> {
  const published: { topic: string; payload: unknown }[] = [];
  const bus = new MemoryBus(
    (stage, payload) => published.push({ topic: STAGES[stage].topic, payload }),
    (payload) => published.push({ topic: CONTINUATION_TOPIC, payload }),
  );
  const taken = async (topic: string) => {
    const found = published.filter((each) => each.topic === topic).map(({ payload }) => payload);
    published.splice(0, published.length, ...published.filter((each) => each.topic !== topic));
    return found;
  };
  return { bus, taken };
}

async function openOnPubSub(): Promise<Opened> {
  const { pubsub } = await emulators();
  const topics = new PubSubTopics(pubsub, "demo-contract");
  await Promise.all(TOPICS.map((topic) => topics.make(topic)));
  return { bus: openPubSubBus(pubsub), taken: (topic) => topics.take(topic) };
}

const orders = (count: number): OrderMessage[] =>
  Array.from({ length: count }, (_, index) => ({ order: `orders/${index}`, status: "NEW" }));

const sorted = (messages: unknown[]) => messages.map((message) => JSON.stringify(message)).sort();

for (const [where, open] of Object.entries({ "in memory": openInMemory, "on Pub/Sub": openOnPubSub })) {
  describe(`the bus ${where}`, () => {
    let bus: Bus;
    let taken: Opened["taken"];

    before(async function () {
      this.timeout(EMULATOR_START_TIMEOUT_MS);
      ({ bus, taken } = await open());
    });

    for (const stage of Object.keys(STAGES) as Stage[]) {
      it(`publishes orders to the topic of the ${stage} stage, and to no other`, async () => {
        const messages: OrderMessage[] = [
          { order: "orders/1", status: STAGES[stage].takes },
          { order: "orders/größe 😀 \u2028", status: STAGES[stage].takes },
        ];
        await bus.publishOrders(stage, messages);
        for (const topic of TOPICS) {
          const expected = topic === STAGES[stage].topic ? messages : [];
          const found = (await taken(topic)).flatMap(unpackOrders);
          assert.deepEqual(sorted(found), sorted(expected), topic);
          for (const message of found) assert.doesNotThrow(() => parseOrderMessage(message));
        }
      });
    }

    it("has accepted every message when a publish resolves, however many there are", async () => {
      await bus.publishOrders("kitchen", orders(2_500));
      assert.deepEqual(sorted(await taken("orders-new")), sorted(orders(2_500)));
    });

    it("delivers each order once, however many share a message", async () => {
      const messages = orders(260).map((message): OrderMessage => ({ ...message, status: "PREPARATION" }));
      await bus.publishOrders("shipment", messages);
      const found = (await taken("orders-preparation")).flatMap(unpackOrders);
      assert.deepEqual(sorted(found), sorted(messages));
    });

    it("accepts concurrent publishes", async () => {
      const all = orders(8);
      await Promise.all(all.map((message) => bus.publishOrders("kitchen", [message])));
      assert.deepEqual(sorted(await taken("orders-new")), sorted(all));
    });

    it("delivers a message twice if it was published twice", async () => {
      await bus.publishOrders("kitchen", [...orders(1), ...orders(1)]);
      assert.equal((await taken("orders-new")).length, 2);
    });

    it("publishes nothing when given no messages", async () => {
      await bus.publishOrders("kitchen", []);
      assert.deepEqual(await taken("orders-new"), []);
    });

    it("delivers a continuation unchanged", async () => {
      const continuation: PollContinuation = {
        holder: randomUUID(),
        step: 3,
        statuses: ["PREPARATION", "IN_FLIGHT"],
        pageToken: "größe ==\n\u2028",
      };
      await bus.publishContinuation(continuation);
      const [found, ...more] = await taken(CONTINUATION_TOPIC);
      assert.deepEqual([parseContinuation(found), more], [continuation, []]);
    });
  });
}

describe("a bus that can't publish", () => {
  const failsWith = (topic: string) => (error: unknown) => {
    assert.ok(error instanceof BusError, String(error));
    assert.ok(error.message.includes(topic) && error.cause !== undefined);
    return true;
  };

  it("rejects with the topic's name when the topic does not exist", async function () {
    this.timeout(EMULATOR_START_TIMEOUT_MS);
    const { pubsub } = await emulators();
    const topics = new PubSubTopics(pubsub, "demo-contract");
    const bus = openPubSubBus(pubsub);
    await topics.make("orders-in-flight").catch(() => undefined);
    await topics.remove("orders-in-flight");
    await assert.rejects(bus.publishOrders("completion", orders(3)), failsWith("orders-in-flight"));
  });

  it("rejects within its deadline if nothing responds, before the poll's lease expires", async function () {
    this.timeout(30_000);
    const bus = openPubSubBus("127.0.0.1:1");
    const started = Date.now();
    await assert.rejects(bus.publishOrders("kitchen", orders(3)), failsWith("orders-new"));
    const took = Date.now() - started;
    assert.ok(took < 15_000, `${took} ms`);
  });
});
