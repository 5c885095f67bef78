/** How the platform calls us: events are unpacked here, and what a handler throws makes the platform deliver again. */
import { setGlobalOptions } from "firebase-functions/v2";
import { onInit } from "firebase-functions/v2/core";
import { onDocumentCreated, onDocumentWritten } from "firebase-functions/v2/firestore";
import { onMessagePublished } from "firebase-functions/v2/pubsub";
import { onSchedule } from "firebase-functions/v2/scheduler";
import { FOOD_SERVICE_CA, POLL_SCHEDULE, REGION, readSettings, SWEEP_SCHEDULE } from "../config.js";
import { MalformedError } from "../errors.js";
import { CONTINUATION_TOPIC } from "../intake/message.js";
import { type Stage, STAGES } from "../life-cycle.js";
import { orderName } from "../names.js";
import type { Ports } from "../ports.js";
import { RELATIONS } from "../relations/document.js";
import type { RelationChange } from "../relations/on-relation-written.js";
import type { Result } from "../result.js";
import { type Advance, logged, takeMessage } from "../stage.js";
import { openPorts } from "./ports.js";
import { snapshotOf } from "./store.js";

/** Events older than this are dropped, in milliseconds: the poll has come by many times and brought the order again. */
const OLDEST_EVENT = 3_600_000;

setGlobalOptions({ region: REGION, secrets: [FOOD_SERVICE_CA], maxInstances: 20 });

const ports = () => openPorts(readSettings);

// A wrong setting is said when an instance starts, not when the first order needs it.
onInit(() => void ports());

/** A function on the schedule of the poll. */
export function scheduledPoll(run: (ports: Ports) => Promise<unknown>) {
  const options = { schedule: POLL_SCHEDULE.toCEL(), timeoutSeconds: 180, maxInstances: 1, retryCount: 0 };
  return onSchedule(options, async () => void (await run(ports())));
}

/** A function on the schedule of the sweep. */
export function scheduledSweep(run: (ports: Ports) => Promise<unknown>) {
  const options = { schedule: SWEEP_SCHEDULE.toCEL(), timeoutSeconds: 540, maxInstances: 1, retryCount: 0 };
  return onSchedule(options, async () => void (await run(ports())));
}

/** A function that goes on with a poll where another run stopped. */
export function pollContinuation(run: (payload: unknown, ports: Ports) => Promise<unknown>) {
  return onMessagePublished({ topic: CONTINUATION_TOPIC, retry: true, timeoutSeconds: 180 }, async (event) => {
    await unlessTooOld(event, async () => {
      await run(jsonIn(event.data.message), ports());
    });
  });
}

/** A function that advances the orders of one stage. */
export function stage(name: Stage, advance: Advance) {
  return onMessagePublished({ topic: STAGES[name].topic, retry: true, concurrency: 80 }, async (event) => {
    await unlessTooOld(event, () => takeMessage(name, jsonIn(event.data.message), advance, ports()));
  });
}

type Reaction = (change: RelationChange, ports: Ports) => Promise<Result>;

const RELATION_EVENTS = { document: `${RELATIONS}/{id}`, retry: true, concurrency: 80 } as const;

/** A function that reacts to every write of a relation. */
export function relationWritten(name: string, react: Reaction) {
  return onDocumentWritten(RELATION_EVENTS, (event) => {
    const change = { before: snapshotOf(event.data?.before), after: snapshotOf(event.data?.after) };
    return unlessTooOld(event, () => reacted(name, event.params.id, change, react));
  });
}

/** A function that reacts to new relations. No poll brings one again, so that an event is good for a day. */
export function relationCreated(name: string, react: Reaction) {
  return onDocumentCreated(RELATION_EVENTS, (event) => {
    const change = { before: undefined, after: snapshotOf(event.data) };
    return unlessTooOld(event, () => reacted(name, event.params.id, change, react), 24 * OLDEST_EVENT);
  });
}

function reacted(name: string, id: string, change: RelationChange, react: Reaction): Promise<void> {
  return logged({ stage: name, order: orderName(id) }, ports(), () => react(change, ports()));
}

async function unlessTooOld(
  event: { id: string; time: string },
  work: () => Promise<void>,
  oldest = OLDEST_EVENT,
): Promise<void> {
  const age = ports().clock.now() - Date.parse(event.time);
  if (age > oldest) {
    ports().log.warn("dropped: the event is too old", { event: event.id, age, outcome: "dropped" });
    return;
  }
  try {
    await work();
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    ports().log.error(`dropped: ${error.message}`, { event: event.id, outcome: "dropped" });
  }
}

/** The JSON in a message, undefined where it has none: the schema then says what was expected. */
function jsonIn(message: { json: unknown }): unknown {
  try {
    return message.json;
  } catch {
    return undefined;
  }
}
