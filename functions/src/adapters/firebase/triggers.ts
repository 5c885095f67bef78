/** The deployed triggers: they unpack events and call the handlers. If a handler throws, the platform redelivers the event. */
import * as logger from "firebase-functions/logger";
import { onInit } from "firebase-functions/v2/core";
import { onCustomEventPublished } from "firebase-functions/v2/eventarc";
import { onDocumentCreated, onDocumentWritten } from "firebase-functions/v2/firestore";
import { setGlobalOptions } from "firebase-functions/v2/options";
import { onMessagePublished } from "firebase-functions/v2/pubsub";
import { onSchedule } from "firebase-functions/v2/scheduler";
import { deployOptions, POLL_SCHEDULE, readSettings, SWEEP_SCHEDULE } from "../../config.js";
import { ValidationError } from "../../domain/errors.js";
import { STAGES, type Stage } from "../../domain/order-lifecycle.js";
import {
  continuePoll,
  handleStageMessage,
  type ReactionName,
  runReaction,
  SCHEDULED,
} from "../../pipeline/handlers.js";
import { CONTINUATION_TOPIC } from "../../pipeline/messages.js";
import { RELATIONS } from "../../relations/relation.js";
import { openPorts } from "./compose.js";
import { changeIn } from "./document-event.js";
import { exitNodeDomain } from "./exit-node-domain.js";
import { optionsOf } from "./function-options.js";

/** Events older than this are dropped, in milliseconds: the poll has published the order many times since. */
const MAX_EVENT_AGE_MS = 3_600_000;

// Every function calls the food service; onRelationCreated does if an older scheduler's relation names no customer.
setGlobalOptions(deployOptions());

const ports = () => openPorts(readSettings);

// Report invalid settings when an instance starts, not when the first order needs them.
onInit(() => {
  try {
    ports();
  } catch (error) {
    logger.error(`can't start: ${(error as Error).message}`, { component: "start", outcome: "failed" });
    throw error;
  }
});

/** The schedule of each scheduled function. */
const SCHEDULES = {
  pollOrders: POLL_SCHEDULE.toCEL(),
  sweep: SWEEP_SCHEDULE.toCEL(),
} as const satisfies Record<keyof typeof SCHEDULED, string>;

/** A function on a schedule. It is not retried: the next tick does what a failed one did not. */
export function scheduled(name: keyof typeof SCHEDULED) {
  return onSchedule({ ...optionsOf(name), schedule: SCHEDULES[name], retryCount: 0 }, async () => {
    exitNodeDomain();
    await SCHEDULED[name](ports());
  });
}

/** A function that continues a poll where another run stopped. */
export function pollContinuation() {
  return onMessagePublished({ ...optionsOf("continuePoll"), topic: CONTINUATION_TOPIC, retry: true }, (event) =>
    dropIfStale("poll", event, async () => void (await continuePoll(jsonIn(event.data.message), ports()))),
  );
}

/** A function that advances the orders of one stage. */
export function stage(name: Stage) {
  const { function: functionName, topic } = STAGES[name];
  return onMessagePublished({ ...optionsOf(functionName), topic, retry: true }, (event) =>
    dropIfStale(name, event, () => handleStageMessage(name, jsonIn(event.data.message), ports())),
  );
}

const RELATION_EVENTS = { document: `${RELATIONS}/{id}`, retry: true } as const;

/** A function that reacts to every write of a relation. */
export function relationWritten(name: ReactionName) {
  const options = { ...optionsOf("onRelationWritten"), ...RELATION_EVENTS };
  return documentFunction(
    onDocumentWritten(options, () => {}),
    name,
  );
}

/** A function that reacts to new relations. The poll does not repeat these events, so they stay valid for a day. */
export function relationCreated(name: ReactionName) {
  const options = { ...optionsOf("onRelationCreated"), ...RELATION_EVENTS };
  return documentFunction(
    onDocumentCreated(options, () => {}),
    name,
    24 * MAX_EVENT_AGE_MS,
  );
}

/**
 * The declared function, with a handler that gets the raw event. firebase-functions' own handler creates snapshots of Firestore's
 * client library, which would be most of a cold start.
 */
function documentFunction({ __endpoint }: { __endpoint: object }, name: ReactionName, oldest?: number) {
  const raw = onCustomEventPublished<unknown>({ eventType: "a document's change" }, (event) =>
    dropIfStale(
      name,
      event,
      async () => {
        const { before, after } = changeIn(event.data);
        // Take the path from the document: the event's header has it too, but may garble characters outside ASCII.
        const id = (after ?? before)?.path.slice(RELATIONS.length + 1);
        if (id === undefined) throw new ValidationError("the event contains no document");
        await runReaction(name, id, { before, after, at: Date.parse(event.time) }, ports());
      },
      oldest,
    ),
  );
  return Object.assign(raw, { __endpoint, __requiredAPIs: [] });
}

async function dropIfStale(
  component: string,
  event: { id: string; time: string },
  work: () => Promise<void>,
  oldest = MAX_EVENT_AGE_MS,
): Promise<void> {
  exitNodeDomain();
  const age = ports().clock.now() - Date.parse(event.time);
  if (age > oldest) {
    ports().log.warn("Dropped an event that is too old", { component, event: event.id, age, outcome: "dropped" });
    return;
  }
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    ports().log.error(`Dropped an event: ${error.message}`, { component, event: event.id, outcome: "dropped" });
  }
}

/** The JSON in a message, or undefined if it has none: the schema then says what was expected. */
function jsonIn(message: { json: unknown }): unknown {
  try {
    return message.json;
  } catch {
    return undefined;
  }
}
