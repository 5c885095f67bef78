/**
 * The history: one entry for each state that a relation reached, written by the commit that moves it there.
 * The id of a link's entry derives from the linked name, so no two orders can have the same kitchen order or shipment.
 */
import { v5 } from "uuid";
import * as v from "valibot";
import { hourOf } from "../domain/hours.js";
import {
  CREATING_STAGES,
  type CreatingStage,
  RELATION_STATES,
  type RelationState,
  STAGES,
} from "../domain/order-lifecycle.js";
import { recordOf } from "../domain/record-of.js";
import { parse } from "../parse.js";
import type { Fields, Snapshot, Write } from "../ports.js";

export const HISTORY = "history";

const HISTORY_SCHEMA = 1;

const schema = v.object({
  schema: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(HISTORY_SCHEMA)),
  order: v.string(),
  state: v.picklist(Object.keys(RELATION_STATES) as RelationState[]),
  at: v.date(),
  ...recordOf(CREATING_STAGES, () => v.optional(v.string())),
  /** The id of the claim with which we made the link; undefined for a link that another program made. */
  claim: v.optional(v.string()),
  /** The hour and state under which the entry is counted; undefined in entries of older builds. */
  hour: v.optional(v.string()),
});

/** An entry: the state that an order's relation reached, and the link that moved it there. */
export type HistoryEntry = v.InferOutput<typeof schema>;

/** @throws ValidationError for wrong types, foreign states and newer schemas */
export function historyEntryIn({ path, fields }: Snapshot): HistoryEntry {
  return parse(schema, fields, `${path} is not a history entry that this build can read`);
}

/** The namespace of the entries' ids; constant, so every build derives the same id. */
const NAMESPACE = "c2a6f8f3-7a5e-4a0c-9c0b-6f0f2f7d9b41";

/** The path of the entry that records this link. */
export function linkEntryPath(stage: CreatingStage, name: string): string {
  return `${HISTORY}/${v5(`${stage} ${name}`, NAMESPACE)}`;
}

/**
 * The write that records a link. It conflicts if the name is already linked. `at` in milliseconds since the epoch; `claim` is the
 * id of the claim if we made the link.
 */
export function linkEntry(order: string, stage: CreatingStage, name: string, at: number, claim?: string): Write {
  const fields = { order, state: STAGES[stage].creates.leadsTo, [stage]: name, at: new Date(at) };
  return entry(linkEntryPath(stage, name), claim === undefined ? fields : { ...fields, claim });
}

/**
 * The write that records an order's end. `at` in milliseconds since the epoch.
 * @param again distinguishes a later end in the same state from the first, if the order was reopened in between
 */
export function closingEntry(order: string, state: RelationState, at: number, again?: number): Write {
  const id = again === undefined ? `${order} ${state}` : `${order} ${state} ${again}`;
  return entry(`${HISTORY}/${v5(id, NAMESPACE)}`, { order, state, at: new Date(at) });
}

/** The write that records that a closed relation was reopened. `at` in milliseconds since the epoch. */
export function reopeningEntry(order: string, state: RelationState, at: number): Write {
  return entry(`${HISTORY}/${v5(`${order} reopened ${at}`, NAMESPACE)}`, { order, state, at: new Date(at) });
}

/** The name of the order in a link's entry, or undefined if there is no entry. */
export function linkedOrder(found: Snapshot | undefined): string | undefined {
  return found && String(found.fields.order);
}

/** Whether an entry records a link that we made ourselves, with a claim. */
export function wasLinkedByUs(found: Snapshot | undefined): boolean {
  return found !== undefined && historyEntryIn(found).claim !== undefined;
}

function entry(path: string, fields: Fields & { state: RelationState; at: Date }): Write {
  const hour = hourBucket(fields.state, fields.at.getTime(), path.slice(HISTORY.length + 1));
  return { kind: "create", path, fields: { schema: HISTORY_SCHEMA, ...fields, hour } };
}

/**
 * The entries of one hour and state are split into this many parts: an index over times takes 500 writes a second in each. Firestore takes 30
 * values in a query, which are the parts of four states.
 */
const HOUR_PARTS = 7;

function hourBucket(state: RelationState, at: number, id: string): string {
  return `${hourOf(at)} ${state} ${Number.parseInt(id.slice(0, 2), 16) % HOUR_PARTS}`;
}

/** All values of the field `hour` for these states and this hour, such as 2026-11-26T15. */
export function hourBuckets(hour: string, states: readonly RelationState[]): string[] {
  return states.flatMap((state) => Array.from({ length: HOUR_PARTS }, (_, part) => `${hour} ${state} ${part}`));
}
