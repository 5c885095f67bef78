/** The documents of an ordinary day, for stories and pictures: active and completed orders, hourly figures, and some trouble. */
import { seededRandomness } from "../../functions/src/adapters/memory/random.js";
import type { AttemptState } from "../../functions/src/attempts/attempt-states.js";
import { hourOf } from "../../functions/src/domain/hours.js";
import type { Fields, Randomness, Write } from "../../functions/src/ports.js";
import { closingEntry, linkEntry } from "../../functions/src/relations/history.js";
import { STATISTICS_PATH } from "../../functions/src/relations/statistics.js";
import { attemptLeftIn } from "../../functions/src/testing/waiting-attempt.js";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

const CUSTOMERS = ["krithik", "marguerite", "jonathan", "adaeze-o", "li-wei-chen", "sofia.r", "bartholomew", "ana"];

export interface SampleDay {
  writes: Write[];
  /** The ids of some orders that stories are about. */
  flying: string;
  delivered: { id: string; kitchen: string; shipment: string; customer: string };
  uncertain: string;
  /** Parked for the same reason. */
  parked: string[];
  waiting: string;
}

export interface SampleOptions {
  active?: number;
  parked?: number;
  /** How long ago the poll ran last, in milliseconds. */
  pollAgeMs?: number;
  failedPages?: number;
}

/** @param now in milliseconds since the epoch */
export function sampleDay(
  now: number,
  { active = 46, parked = 9, pollAgeMs = 12 * SECOND_MS, failedPages = 0 }: SampleOptions = {},
): SampleDay {
  const random = seededRandomness(3);
  const writes: Write[] = [];
  const create = (path: string, fields: Fields) => writes.push({ kind: "create", path, fields });

  const actives = Array.from({ length: active }, (_, index) => activeOrder(index, now, random));
  for (const { id, fields } of actives) {
    create(`relations/${id}`, fields);
    writes.push(...linkEntries(id, fields));
  }
  const completed = Array.from({ length: 80 }, (_, index) => completedOrder(index, now, random));
  for (const { id, fields, state, at } of completed) {
    create(`relations/${id}`, fields);
    writes.push(...linkEntries(id, fields), closingEntry(`orders/${id}`, state, at));
  }

  const uncertain = random.uuid();
  create(
    `attempts/kitchen:${uncertain}`,
    attempt(uncertain, "kitchen", "UNCERTAIN", now - 22 * MINUTE_MS, {
      code: "UNAVAILABLE",
      message: "the connection was reset before a reply arrived",
    }),
  );
  const parkedIds = Array.from({ length: parked }, () => random.uuid());
  for (const [index, id] of parkedIds.entries()) {
    const claimedAt = now - (30 + index) * MINUTE_MS;
    const reason = { code: "RESOURCE_EXHAUSTED", message: "the kitchen takes no more orders today" };
    create(`attempts/kitchen:${id}`, attempt(id, "kitchen", "PARKED", claimedAt, reason));
  }
  const stranded = random.uuid();
  create(
    `attempts/shipment:${stranded}`,
    attempt(stranded, "shipment", "PARKED", now - 3 * HOUR_MS, {
      code: "STRANDED",
      message: "the order is IN_FLIGHT, but no shipment is linked",
    }),
  );

  const waiting = [uncertain, ...parkedIds].slice(0, 10);
  create("leases/poll", pollLease(now, { pollAgeMs, failedPages, waiting, active: actives.length }));
  create("leases/sweep", {
    holder: "",
    step: 0,
    until: new Date(0),
    health: { at: new Date(now - 4 * MINUTE_MS), unreported: 0, reportLagMs: 0 },
  });
  create(STATISTICS_PATH, { schema: 1, hours: hoursBefore(now, random) });

  const flying = actives.find(({ fields }) => fields.state === "IN_FLIGHT")?.id ?? "";
  const delivered = completed.find(({ state }) => state === "DELIVERED");
  const { kitchen, shipment, customerId } = delivered?.fields ?? {};
  return {
    writes,
    flying,
    delivered: {
      id: delivered?.id ?? "",
      kitchen: String(kitchen),
      shipment: String(shipment),
      customer: String(customerId),
    },
    uncertain,
    parked: parkedIds,
    waiting: waiting[0] ?? "",
  };
}

/** The history of a relation's links. */
function linkEntries(id: string, { kitchen, shipment, times }: Fields): Write[] {
  const { PREPARATION, IN_FLIGHT } = times as { PREPARATION: Date; IN_FLIGHT?: Date };
  const entry = linkEntry(`orders/${id}`, "kitchen", String(kitchen), PREPARATION.getTime());
  if (!IN_FLIGHT) return [entry];
  return [entry, linkEntry(`orders/${id}`, "shipment", String(shipment), IN_FLIGHT.getTime())];
}

function activeOrder(index: number, now: number, random: Randomness): { id: string; fields: Fields } {
  const flies = index % 3 === 0;
  const minutes = (index % 17 === 4 ? 31 : 1) + random.fraction() * 14;
  const since = now - minutes * MINUTE_MS;
  const cooked = flies ? since - (9 + random.fraction() * 6) * MINUTE_MS : since;
  const state = flies ? "IN_FLIGHT" : "PREPARATION";
  const times = { PREPARATION: new Date(cooked), ...(flies && { IN_FLIGHT: new Date(since) }) };
  return { id: random.uuid(), fields: relation(index, state, times, cooked, random) };
}

function completedOrder(index: number, now: number, random: Randomness) {
  const state = index % 11 === 5 ? ("REJECTED" as const) : ("DELIVERED" as const);
  const at = now - index * 7 * MINUTE_MS - random.fraction() * MINUTE_MS;
  const flown = at - (8 + random.fraction() * 6) * MINUTE_MS;
  const cooked = flown - (9 + random.fraction() * 6) * MINUTE_MS;
  const times = { PREPARATION: new Date(cooked), IN_FLIGHT: new Date(flown), [state]: new Date(at) };
  return { id: random.uuid(), state, at, fields: relation(index, state, times, cooked, random) };
}

function relation(index: number, state: string, times: Fields, cooked: number, random: Randomness): Fields {
  const customer = CUSTOMERS[index % CUSTOMERS.length] ?? "";
  const user = { name: customer, class: String(customer.length), roll: 10 * customer.length };
  const failure = { code: "INVALID_ARGUMENT", message: `the name "${customer}" is shorter than 6 bytes` };
  return {
    schema: 1,
    state,
    kitchen: `kitchenorders/${random.uuid()}`,
    ...("IN_FLIGHT" in times && { shipment: `shipments/${random.uuid()}` }),
    customerId: customer,
    customer: customer.length < 6 ? { reason: failure } : user,
    placedAt: new Date(cooked - (20 + 60 * random.fraction()) * SECOND_MS),
    times,
  };
}

function attempt(
  id: string,
  stage: "kitchen" | "shipment",
  state: AttemptState,
  claimedAt: number,
  reason: { code: string; message: string },
): Fields {
  return attemptLeftIn(state, `orders/${id}`, { stage, id: `claim-${id}`, tries: 3, claimedAt, reason });
}

/** More at noon and in the evening than at night. */
function loadAt(at: number): number {
  const hour = new Date(at).getUTCHours();
  return 14 + 60 * Math.exp(-(((hour - 12.5) / 2) ** 2)) + 85 * Math.exp(-(((hour - 19) / 2.4) ** 2));
}

function pollLease(
  now: number,
  {
    pollAgeMs,
    failedPages,
    waiting,
    active,
  }: { pollAgeMs: number; failedPages: number; waiting: string[]; active: number },
): Fields {
  const points = Array.from({ length: 144 }, (_, index) => {
    const at = now - (143 - index) * 10 * MINUTE_MS;
    const load = loadAt(at) * (1 + 0.08 * Math.sin(index * 1.7));
    const arrived = Math.round(load / 6);
    return {
      at: new Date(at),
      NEW: Math.round(load / 14),
      PREPARATION: Math.round(load / 4),
      IN_FLIGHT: Math.round(load / 5),
      arrived,
    };
  });
  return {
    holder: "",
    step: 0,
    until: new Date(0),
    health: {
      at: new Date(now - pollAgeMs),
      completeAt: new Date(now - pollAgeMs - (failedPages > 0 ? 6 * MINUTE_MS : 0)),
      tookMs: 840,
      active: { NEW: waiting.length + 3, PREPARATION: Math.round(active * 0.66), IN_FLIGHT: Math.round(active * 0.34) },
      failedPages,
      error: failedPages > 0 ? { code: "UNAVAILABLE", message: "the food service can't be reached" } : null,
      newest: new Date(now - 30 * SECOND_MS),
      waiting: waiting.map((id, index) => ({ order: `orders/${id}`, since: new Date(now - (55 - index) * MINUTE_MS) })),
      points,
      revision: "api-00042-kit",
    },
  };
}

function hoursBefore(now: number, random: Randomness): Fields {
  const hours: Fields = {};
  for (let index = 1; index <= 167; index++) {
    const at = now - index * HOUR_MS;
    const load = Math.round(loadAt(at) * (0.9 + 0.2 * random.fraction()));
    const rejected = Math.round(load * 0.04);
    hours[hourOf(at)] = {
      arrived: load,
      counts: {
        PREPARATION: load,
        IN_FLIGHT: load,
        DELIVERED: load - rejected,
        REJECTED: rejected,
        CANCELLED: 1,
        GONE: 0,
      },
      stages: {
        NEW: { "15": 30, "16": 50, "18": 18, "20": 2 },
        PREPARATION: { "28": 20, "29": 40 + (index % 5), "30": 30, "32": 10 },
        IN_FLIGHT: { "27": 20, "28": 30, "29": 36 + (index % 7), "31": 6 },
      },
    };
  }
  return hours;
}
