/**
 * The history: one entry for each state that a relation came to, in the very commit that brings it there.
 * An entry of a link is named after what is linked: no two orders can ever have the same kitchen order or shipment.
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
  /** The id of the claim by which we made the link; a link that another program made has none. */
  claim: v.optional(v.string()),
  /** The hour and state that the entry is counted under; entries of older builds have none. */
  hour: v.optional(v.string()),
});

/** That an order's relation came to a state, and by which link. */
export type HistoryEntry = v.InferOutput<typeof schema>;

/** @throws ValidationError for wrong types, foreign states and newer schemas */
export function historyEntryIn({ path, fields }: Snapshot): HistoryEntry {
  return parse(schema, fields, `${path} is not a history entry that this build can read`);
}

/** The namespace of the entries' ids; a constant, so every build gives an entry the same one. */
const NAMESPACE = "c2a6f8f3-7a5e-4a0c-9c0b-6f0f2f7d9b41";

/** The path of the entry that tells of this link. */
export function linkEntryPath(stage: CreatingStage, name: string): string {
  return `${HISTORY}/${v5(`${stage} ${name}`, NAMESPACE)}`;
}

/**
 * The write that tells of a link; it meets a conflict where the name is linked already. `at` in milliseconds since the epoch;
 * `claim` of a link that is ours.
 */
export function linkEntry(order: string, stage: CreatingStage, name: string, at: number, claim?: string): Write {
  const fields = { order, state: STAGES[stage].creates.leadsTo, [stage]: name, at: new Date(at) };
  return entry(linkEntryPath(stage, name), claim === undefined ? fields : { ...fields, claim });
}

/**
 * The write that records an order's end. `at` in milliseconds since the epoch.
 * @param again tells a later end in the same state apart from the first, if the order came back in between
 */
export function closingEntry(order: string, state: RelationState, at: number, again?: number): Write {
  const id = again === undefined ? `${order} ${state}` : `${order} ${state} ${again}`;
  return entry(`${HISTORY}/${v5(id, NAMESPACE)}`, { order, state, at: new Date(at) });
}

/** The write that records that a closed relation came back to an earlier state. `at` in milliseconds since the epoch. */
export function reopeningEntry(order: string, state: RelationState, at: number): Write {
  return entry(`${HISTORY}/${v5(`${order} reopened ${at}`, NAMESPACE)}`, { order, state, at: new Date(at) });
}

/** The name of the order that has the link which an entry tells of, undefined where there is no entry. */
export function linkedOrder(found: Snapshot | undefined): string | undefined {
  return found && String(found.fields.order);
}

/** Whether an entry tells of a link that we made ourselves, with a claim. */
export function wasLinkedByUs(found: Snapshot | undefined): boolean {
  return found !== undefined && historyEntryIn(found).claim !== undefined;
}

function entry(path: string, fields: Fields & { state: RelationState; at: Date }): Write {
  const hour = hourBucket(fields.state, fields.at.getTime(), path.slice(HISTORY.length + 1));
  return { kind: "create", path, fields: { schema: HISTORY_SCHEMA, ...fields, hour } };
}

/** The entries of one hour and state are in so many parts, so a new hour does not begin in a single place of the index. */
const HOUR_PARTS = 4;

function hourBucket(state: RelationState, at: number, id: string): string {
  return `${hourOf(at)} ${state} ${Number.parseInt(id.slice(0, 1), 16) % HOUR_PARTS}`;
}

/** What the field `hour` of an entry may be for these states in this hour, which is a name such as 2026-11-26T15. */
export function hourBuckets(hour: string, states: readonly RelationState[]): string[] {
  return states.flatMap((state) => Array.from({ length: HOUR_PARTS }, (_, part) => `${hour} ${state} ${part}`));
}
