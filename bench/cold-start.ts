/**
 * From the spawn of an instance's process to its first handled event, for every deployed function, beside one that does nothing
 * and, for the stages, one as Google's guides write it.
 */

import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import type * as deployed from "../functions/src/index.js";
import { CONTINUATION_TOPIC } from "../functions/src/pipeline/messages.js";
import { documentChanged, documentVersion, messageEvent, orderEvent } from "../harness/cloud-events.js";
import { PubSubTopics } from "../harness/emulators/pubsub-rest.js";
import { buildBaseline, DEPLOYED } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, expectEqual, ratio, summary } from "./measure.js";
import { clientOf, place, seedOrderAt } from "./orders.js";
import { folderOf, installPeer } from "./peers/peer.js";
import { environment, type InstanceStart } from "./world.js";

const PROJECT = "bench-cold-start";

type Name = keyof typeof deployed;

/** The trigger of each function, and so its baseline. */
const KINDS: Record<Name, "message" | "document" | "schedule" | "request"> = {
  pollOrders: "schedule",
  continuePoll: "message",
  sendToKitchen: "message",
  dispatchShipment: "message",
  completeOrder: "message",
  onRelationWritten: "document",
  onRelationCreated: "document",
  sweep: "schedule",
  api: "request",
};

const NAMES = Object.keys(KINDS) as Name[];

/** One of each kind. */
const FEW: Name[] = ["pollOrders", "sendToKitchen", "onRelationWritten", "api"];

/** Those that publish, and so connect to Pub/Sub too. */
const isPublisher = (name: Name) => name === "pollOrders";

/** Those that are compared with the plain peer's. */
const IN_PLAIN = ["sendToKitchen", "dispatchShipment", "completeOrder"] as const satisfies Name[];
const isInPlain = (name: Name) => IN_PLAIN.some((stage) => stage === name);

export const coldStart: Bench = {
  name: "cold-start",
  question: "process spawn to first handled event, for every function, over a no-op of the same trigger",
  targets: Object.fromEntries([
    ...NAMES.map((name) => [`${name}Ratio`, { atMost: isPublisher(name) ? 2 : 1.6 }] as const),
    ...IN_PLAIN.map((name) => [`${name}OverPlain`, { atMost: 0.5 }] as const),
  ]),
  measure,
};

type Side = "ours" | "plain" | "baseline";

interface Start {
  milliseconds: number;
  cpu: number;
  memory: number;
}

async function measure({ world, runs, smoke, peers, say }: BenchContext): Promise<Figures> {
  if (peers) await installPeer("plain", say);
  const emulators = await world.emulators();
  const food = await world.foodService("cold-start", { speed: 1 });
  const users = await world.users();
  const topics = new PubSubTopics(emulators.pubsub, PROJECT);
  for (const { topic } of Object.values(STAGES)) await topics.make(topic);
  await topics.make(CONTINUATION_TOPIC);
  const client = clientOf(food);
  world.onEnd(() => client.close());
  const [first = "", second = "", third = "", ...fresh] = await place(food, 3 + (runs + 1) * 3);
  const preparing = await seedOrderAt("PREPARATION", first, client, emulators, PROJECT);
  const flying = await seedOrderAt("IN_FLIGHT", second, client, emulators, PROJECT);
  const known = await seedOrderAt("PREPARATION", third, client, emulators, PROJECT);

  const { path, fields } = known.relation;
  const relationCreated = documentChanged(PROJECT, path, { value: documentVersion(PROJECT, path, fields) });
  const events: Record<Name, () => object> = {
    pollOrders: () => ({}),
    // No poll is under way, so it finds its turn over: a read of the lease.
    continuePoll: () => messageEvent(CONTINUATION_TOPIC, { holder: "none", step: 1, statuses: ["NEW"], pageToken: "" }),
    sendToKitchen: () => orderEvent("kitchen", fresh.pop() ?? first),
    dispatchShipment: () => orderEvent("shipment", preparing.order),
    completeOrder: () => orderEvent("completion", flying.order),
    onRelationWritten: () => relationCreated,
    onRelationCreated: () => relationCreated,
    sweep: () => ({}),
    api: () => ({}),
  };
  const env = environment(PROJECT, emulators, food, {
    USERS_ADDRESS: users,
    USERS_SECURITY: "plaintext",
    FUNCTIONS_EMULATOR: "true",
  });

  const baselines = new Map<string, string>();
  const figures: Figures = {};
  for (const name of smoke ? FEW : NAMES) {
    const kind = KINDS[name];
    const baseline = baselines.get(kind) ?? (await buildBaseline(world.directory, `noop-${kind}`));
    baselines.set(kind, baseline);
    const takes = kind === "schedule" || kind === "request" ? "requests" : "events";
    // What anybody may ask for; a token would be looked at by Firebase's own client.
    const asked = kind === "request" ? { path: "/api/openapi.json" } : {};
    const sides = {
      ours: { build: DEPLOYED, target: name, takes, env, ...asked },
      plain: { build: folderOf("plain"), target: name, takes, env },
      baseline: { build: baseline, target: "baseline", takes, env, ...asked },
    } as const satisfies Record<string, InstanceStart>;
    const compared: Side[] = peers && isInPlain(name) ? ["ours", "plain", "baseline"] : ["ours", "baseline"];
    const starts = await alternate(compared, runs, async (side): Promise<Start> => {
      const event = events[name]();
      const began = performance.now();
      const instance = await world.startInstance(sides[side]);
      await instance.invoke(event);
      const milliseconds = performance.now() - began;
      const usage = instance.usage();
      await instance.stop();
      const published = await topics.take(STAGES.kitchen.topic);
      expectEqual(published.length > 0, side === "ours" && isPublisher(name), `whether ${name} published`);
      return { milliseconds, ...usage };
    });
    const of = (side: Side, what: keyof Start) => starts[side].map((start) => start[what]);
    figures[`${name}Ratio`] = ratio(of("ours", "milliseconds"), of("baseline", "milliseconds"));
    figures[`${name}CpuRatio`] = ratio(of("ours", "cpu"), of("baseline", "cpu"));
    figures[`${name}Ms`] = summary(of("ours", "milliseconds"));
    figures[`${name}CpuMs`] = summary(of("ours", "cpu"));
    figures[`${name}MiB`] = summary(of("ours", "memory"));
    if (compared.includes("plain")) {
      figures[`${name}OverPlain`] = ratio(of("ours", "milliseconds"), of("plain", "milliseconds"));
      figures[`${name}OverPlainCpu`] = ratio(of("ours", "cpu"), of("plain", "cpu"));
      figures[`${name}PlainMs`] = summary(of("plain", "milliseconds"));
      figures[`${name}PlainCpuMs`] = summary(of("plain", "cpu"));
      figures[`${name}PlainMiB`] = summary(of("plain", "memory"));
      say(
        `${name}: over plain ${figures[`${name}OverPlain`]?.median}, of CPU ${figures[`${name}OverPlainCpu`]?.median}`,
      );
    }
    figures[`${kind}BaselineMs`] = summary(of("baseline", "milliseconds"));
    figures[`${kind}BaselineCpuMs`] = summary(of("baseline", "cpu"));
    figures[`${kind}BaselineMiB`] = summary(of("baseline", "memory"));
    say(
      `${name}: ${figures[`${name}Ms`]?.median} ms, baseline ${figures[`${kind}BaselineMs`]?.median} ms, ratio ${figures[`${name}Ratio`]?.median}, of CPU ${figures[`${name}CpuRatio`]?.median}`,
    );
  }
  return figures;
}
