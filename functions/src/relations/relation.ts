/**
 * The relation: what links an order to its kitchen order and its shipment.
 * Other programs read and write `kitchen` and `shipment`; a document with only these fields is valid.
 */
import * as v from "valibot";
import type { Absence } from "../domain/absence.js";
import { ValidationError } from "../domain/errors.js";
import {
  CREATING_STAGES,
  type CreatingStage,
  RELATION_STATES,
  type RelationState,
  STAGES,
  stageLeadingTo,
} from "../domain/order-lifecycle.js";
import { recordOf } from "../domain/record-of.js";
import { isStorableName, orderRefFromId } from "../domain/resource-names.js";
import { storableTime } from "../domain/storable.js";
import { parse } from "../parse.js";
import type { Field, Fields, Order, Snapshot, User } from "../ports.js";

export const RELATIONS = "relations";

/** A document with a newer schema is left to the newer build that wrote it. */
const RELATION_SCHEMA = 1;

const name = v.pipe(v.string(), v.check(isStorableName, "must be a resource name"));
const state = v.picklist(Object.keys(RELATION_STATES) as RelationState[]);

/** The lookups that found nothing: see `domain/absence.ts`. */
export const absenceSchema = v.object({ since: v.date(), last: v.date(), looks: v.pipe(v.number(), v.integer()) });

/** How the report of an order's status can fail permanently. These are also reason codes. */
const REPORT_FAILURES = ["REPORT_REJECTED", "REPORT_IGNORED"] as const;

export type ReportFailure = (typeof REPORT_FAILURES)[number];

/** Problems of an order that must last for some time before we act on them. Healthy orders have none. */
const troubleSchema = v.object({
  /** The food service does not find the order. */
  missing: v.optional(absenceSchema),
  /** The food service does not find the linked resource. */
  missingLink: v.optional(v.object({ ...absenceSchema.entries, name })),
  /** The food service rejects or ignores the update of the order's status: the number of tries, the next try, and the reported state. */
  report: v.optional(
    v.object({
      tries: v.number(),
      nextTryAt: v.date(),
      state: v.optional(state),
      code: v.optional(v.picklist(REPORT_FAILURES), "REPORT_REJECTED"),
    }),
  ),
  /** Since when an order that was cancelled is shown as active again. */
  activeAgain: v.optional(v.date()),
});

/** One field for each stage that creates something. */
const links = recordOf(CREATING_STAGES, () => v.optional(name));

/** The fields of the document; `docs/stability.md` describes them. */
export const relationSchema = v.object({
  schema: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(RELATION_SCHEMA))),
  ...links,
  state: v.optional(state),
  customerId: v.optional(v.string()),
  placedAt: v.optional(v.date()),
  customer: v.optional(
    v.union([
      v.object({ name: v.string(), class: v.string(), roll: v.number() }),
      v.object({ reason: v.object({ code: v.string(), message: v.string() }) }),
    ]),
  ),
  /** When the relation reached each state. */
  times: v.optional(v.pipe(v.custom<object>(isMap, "must be a map"), v.record(state, v.date()))),
  /** Links that an operator has replaced by a new create. Other programs still see the link itself until the new one is saved. */
  discarded: v.optional(v.nullable(v.object(links))),
  trouble: v.optional(v.nullable(troubleSchema)),
});

/** Whether this is a map: lists and dates are objects too. */
function isMap(value: unknown): boolean {
  return value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** The name of what each stage created. */
type Links = { [S in CreatingStage]: string | undefined };

export interface Relation extends Links {
  /** The order's name. */
  order: string;
  state: RelationState | undefined;
  customerId: string | undefined;
  /** When the order was placed, if the food service returned it. */
  placedAt: Date | undefined;
  /** The customer's user, or why there is none; undefined until it is resolved. */
  customer: User | { reason: { code: string; message: string } } | undefined;
  times: Partial<Record<RelationState, Date>>;
  /** Links that are no longer valid: see the schema. */
  discarded: Discarded;
  trouble: Trouble;
}

export type Discarded = Partial<Links>;

export interface Trouble {
  missing?: Absence | undefined;
  missingLink?: (Absence & { name: string }) | undefined;
  report?: { tries: number; nextTryAt: Date; state?: RelationState | undefined; code: ReportFailure } | undefined;
  activeAgain?: Date | undefined;
}

/** The path of the relation of the order with this id. */
export function relationPath(id: string): string {
  return `${RELATIONS}/${id}`;
}

/**
 * The relation in a document. If an older program wrote no state, it is derived from the links.
 * @throws ValidationError for wrong types, unknown states and newer schemas; such documents are never overwritten
 */
export function parseRelation(path: string, fields: Fields): Relation {
  const what = `${path} is not a relation that this build can read`;
  const stored = parse(relationSchema, fields, what);
  const { state, customerId, placedAt, customer, times, discarded, trouble } = stored;
  const order = orderRefFromId(path.slice(path.lastIndexOf("/") + 1)).name;
  const links = recordOf(CREATING_STAGES, (stage) =>
    stored[stage] === discarded?.[stage] ? undefined : stored[stage],
  );
  const closed = state !== undefined && !RELATION_STATES[state].open;
  const stage = state && stageLeadingTo(state);
  // An order that another program advanced may have only a later link, if an operator found no earlier one.
  if (stage && CREATING_STAGES.slice(CREATING_STAGES.indexOf(stage)).every((later) => stored[later] === undefined)) {
    throw new ValidationError(`${path} is ${state} but has no ${STAGES[stage].creates.title}`);
  }
  const derived = closed ? state : stateOfLinks(links);
  return {
    order,
    ...links,
    state: derived,
    customerId,
    placedAt,
    customer,
    times: times ?? {},
    discarded: discarded ?? {},
    trouble: trouble ?? {},
  };
}

/** The state of an open relation, derived from its links and not the stored state: an older program adds only links. */
export function stateOfLinks(links: Links): RelationState | undefined {
  const last = CREATING_STAGES.findLast((stage) => links[stage] !== undefined);
  return last && STAGES[last].creates.leadsTo;
}

/** The relation in a snapshot, or undefined if there is no document. */
export function relationIn(snapshot: Snapshot | undefined): Relation | undefined {
  return snapshot && parseRelation(snapshot.path, snapshot.fields);
}

/** The fields to write when a relation reaches this state. */
export function stateFields(relation: Relation | undefined, state: RelationState, at: number): Fields {
  return { schema: RELATION_SCHEMA, state, times: { ...relation?.times, [state]: new Date(at) } };
}

/** The field `trouble` for a write: null if there is none. */
export function troubleField(trouble: Trouble): Fields {
  const there = Object.entries(trouble).filter(([, value]) => value !== undefined) as [string, Field][];
  return { trouble: there.length === 0 ? null : Object.fromEntries(there) };
}

/** The field `discarded` for a write: with this link added or, if it is undefined, removed. */
export function discardedField(discarded: Discarded, stage: CreatingStage, name: string | undefined): Fields {
  const links = Object.entries({ ...discarded, [stage]: name }).filter(([, link]) => link !== undefined);
  return { discarded: links.length === 0 ? null : (Object.fromEntries(links) as Fields) };
}

/** Creation times that differ by less than this, in milliseconds, are equal: a service may return them with different precision. */
const PLACED_AT_TOLERANCE_MS = 1_000;

/** Whether an order and its relation have the same creation time. If either has none that can be stored, they count as the same. */
export function isSameOrder(relation: Pick<Relation, "placedAt">, order: Pick<Order, "placedAt">): boolean {
  const placedAt = storableTime(order.placedAt);
  if (!relation.placedAt || !placedAt) return true;
  return Math.abs(relation.placedAt.getTime() - placedAt.getTime()) < PLACED_AT_TOLERANCE_MS;
}
