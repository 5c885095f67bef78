/**
 * Finds orders, active or completed. An order, kitchen order or shipment is looked up by its document's id, a customer's orders by
 * an index, newest first, and completed orders by the hour in their history entries. So the reads of a search grow with its
 * results, not with the number of orders.
 */

import * as v from "valibot";
import { ATTEMPT_STATES, attemptIn, attemptPath } from "../attempts/attempt.js";
import { StoreError, ValidationError } from "../domain/errors.js";
import { hourOf } from "../domain/hours.js";
import { CREATING_STAGES, type CreatingStage, type RelationState, STAGES } from "../domain/order-lifecycle.js";
import { recordOf } from "../domain/record-of.js";
import { orderId } from "../domain/resource-names.js";
import type { Matching, Ports, Snapshot, Store } from "../ports.js";
import { HISTORY, hourBuckets, linkEntryPath, linkedOrder } from "../relations/history.js";
import { parseRelation, RELATIONS, relationPath } from "../relations/relation.js";
import { HOUR_MS } from "../relations/statistics.js";
import { ENDED_STATES, type OrderSummary, type SearchPage, type searchQuery } from "./schemas.js";

/** Orders on a page. */
const PAGE_SIZE = 50;

/** At most this many relations are read for a page of orders without a time, which no index finds. */
const SCAN_SIZE = 300;

/** Without a day, completed orders are searched in this many hours. */
const RECENT_HOURS = 24;

export type Search = v.InferOutput<typeof searchQuery>;

/** @throws ValidationError for a page token that is not one of ours, StoreError */
export function searchOrders(search: Search, ports: Pick<Ports, "store" | "clock">): Promise<SearchPage> {
  const { q } = search;
  return q === undefined ? completedOrders(search, ports) : ordersBy(q, search, ports.store);
}

/** Orders with this id or link, then orders of this customer. */
async function ordersBy(q: string, { outcome, day, pageToken }: Search, store: Store): Promise<SearchPage> {
  const position = pageToken === undefined ? undefined : positionIn(pageToken, customerPosition);
  const isWanted = ({ state, since }: OrderSummary) =>
    (outcome === undefined || state === outcome) && (day === undefined || isEndOf(day, state, since));
  const [exact, ofCustomer] = await Promise.all([
    position === undefined ? ordersNamed(q, store) : [],
    ordersOfCustomer(q, position, store).catch(storeErrorIn),
  ]);
  if (ofCustomer instanceof StoreError) {
    // While the index is being built, a search for one order still finds it.
    if (exact.length === 0) throw ofCustomer;
    return { orders: exact.filter(isWanted), nextPageToken: "" };
  }
  const known = new Set(exact.map(({ id }) => id));
  const more = ofCustomer.relations.flatMap((found) => summaryOf(found) ?? []).filter(({ id }) => !known.has(id));
  const { next } = ofCustomer;
  return {
    orders: [...exact, ...more].filter(isWanted),
    nextPageToken: next ? token(next) : "",
  };
}

function storeErrorIn(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}

/** The first and the last second that Firestore can store, in milliseconds since the epoch. */
const STORABLE_TIMES = [Date.parse("0001-01-01T00:00:00Z"), Date.parse("9999-12-31T23:59:59Z")] as const;
const storableTime = v.pipe(v.number(), v.integer(), v.minValue(STORABLE_TIMES[0]), v.maxValue(STORABLE_TIMES[1]));

/**
 * Where a page of a customer's orders begins: after the order with this id, which was placed at this time, or without it, among the
 * orders that have none.
 */
const customerPosition = v.strictObject({ id: v.string(), placedAt: v.optional(storableTime) });

/** Where a page of completed orders begins: after the entry with this id, of this hour and time. */
const completedPosition = v.strictObject({
  hour: v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\dT\d\d$/)),
  id: v.pipe(v.string(), v.regex(/^[0-9a-f-]{36}$/)),
  at: storableTime,
});

type CustomerPosition = v.InferOutput<typeof customerPosition>;

interface CustomerPage {
  relations: Snapshot[];
  next: CustomerPosition | undefined;
}

/**
 * A page of a customer's orders, the latest placed first. Those whose relation says no time, since an older build wrote it or the
 * food service gave none, come last: the index that sorts has only what has a time.
 */
async function ordersOfCustomer(
  customer: string,
  position: CustomerPosition | undefined,
  store: Store,
): Promise<CustomerPage> {
  const all = { collection: RELATIONS, field: "customerId", oneOf: [customer] };
  if (position && position.placedAt === undefined) return ordersWithoutTime(all, position.id, PAGE_SIZE, store);
  const dated = { ...all, latestBy: "placedAt" };
  const after = position && { after: relationPath(position.id), afterTime: new Date(position.placedAt ?? 0) };
  const relations = await store.query({ ...dated, limit: PAGE_SIZE, ...after });
  const last = relations.at(-1);
  if (last && relations.length === PAGE_SIZE) {
    return { relations, next: { placedAt: Number(last.fields.placedAt), id: idOf(last) } };
  }
  const [total, withTime] = await Promise.all([store.count(all), store.count(dated)]);
  if (withTime >= total) return { relations, next: undefined };
  const rest = await ordersWithoutTime(all, undefined, PAGE_SIZE - relations.length, store);
  return { relations: [...relations, ...rest.relations], next: rest.next };
}

/** Orders whose relation has no time, by id. */
async function ordersWithoutTime(
  all: Matching,
  afterId: string | undefined,
  limit: number,
  store: Store,
): Promise<CustomerPage> {
  const after = afterId === undefined ? {} : { after: relationPath(afterId) };
  const found = await store.query({ ...all, limit: SCAN_SIZE, ...after });
  const undated = found.filter(({ fields }) => fields.placedAt === undefined);
  const relations = undated.slice(0, limit);
  const last = undated.length > limit ? relations.at(-1) : found.length === SCAN_SIZE ? found.at(-1) : undefined;
  return { relations, next: last && { id: idOf(last) } };
}

function idOf({ path }: Snapshot): string {
  return path.slice(RELATIONS.length + 1);
}

function isEndOf(day: string, state: RelationState | null, since: string | null): boolean {
  return state !== null && ENDED_STATES.includes(state) && since?.startsWith(day) === true;
}

/** The orders with this id, or linked to a resource with this name or id. */
async function ordersNamed(q: string, store: Store): Promise<OrderSummary[]> {
  const links = CREATING_STAGES.flatMap((stage) => namesFor(stage, q).map((name) => linkEntryPath(stage, name)));
  const own = orderId(q.startsWith("orders/") ? q : `orders/${q}`);
  const entries = links.length > 0 ? await store.read(...links) : [];
  const linked = entries.flatMap((entry) => orderId(linkedOrder(entry) ?? "") ?? []);
  const ids = [...new Set([...(own === undefined ? [] : [own]), ...linked])];
  const found = await Promise.all(ids.map((id) => orderWith(id, store)));
  return found.filter((summary) => summary !== undefined);
}

function namesFor(stage: CreatingStage, q: string): string[] {
  if (q.startsWith("orders/")) return [];
  return q.includes("/") ? [q] : STAGES[stage].creates.prefixes.map((prefix) => prefix + q);
}

/** An order with a relation, or with only an attempt so far. */
async function orderWith(id: string, store: Store): Promise<OrderSummary | undefined> {
  const [relation, ...attempts] = await store.read(
    relationPath(id),
    ...CREATING_STAGES.map((stage) => attemptPath(stage, id)),
  );
  const attention = attempts.flatMap((attempt) => needsOperator(attempt) ?? [])[0] ?? null;
  const summary = relation && summaryOf(relation);
  if (summary) return { ...summary, attention };
  if (!attempts.some((attempt) => attempt !== undefined)) return undefined;
  return {
    id,
    state: null,
    attention,
    placedAt: null,
    since: null,
    customer: null,
    ...recordOf(CREATING_STAGES, () => null),
  };
}

function needsOperator(snapshot: Snapshot | undefined): CreatingStage | undefined {
  const attempt = unlessUnreadable(() => attemptIn(snapshot));
  return attempt && ATTEMPT_STATES[attempt.state].needsOperator ? attempt.stage : undefined;
}

/** Completed orders, the latest hour first, and within an hour the latest first. */
async function completedOrders(
  { outcome, day, pageToken }: Search,
  { store, clock }: Pick<Ports, "store" | "clock">,
): Promise<SearchPage> {
  const states = outcome === undefined ? ENDED_STATES : [outcome];
  const hours = day === undefined ? recentHours(clock.now()) : hoursOf(day, clock.now());
  const position = pageToken === undefined ? undefined : positionIn(pageToken, completedPosition);
  const start = position === undefined ? 0 : hours.indexOf(position.hour);
  if (start < 0) throw new ValidationError("pageToken must be the nextPageToken of an earlier page of the same search");
  const orders: OrderSummary[] = [];
  let left = PAGE_SIZE;
  for (const hour of hours.slice(start)) {
    const after =
      position?.hour === hour ? { after: `${HISTORY}/${position.id}`, afterTime: new Date(position.at) } : {};
    const oneOf = hourBuckets(hour, states);
    const latest = { collection: HISTORY, field: "hour", oneOf, latestBy: "at" };
    const entries = await store.query({ ...latest, limit: left, ...after });
    orders.push(...(await summariesOf(entries, store)));
    const last = entries.at(-1);
    if (last && entries.length === left) {
      const next = { hour, id: last.path.slice(HISTORY.length + 1), at: Number(last.fields.at) };
      return { orders, nextPageToken: token(next) };
    }
    left -= entries.length;
  }
  return { orders, nextPageToken: "" };
}

function recentHours(now: number): string[] {
  return Array.from({ length: RECENT_HOURS }, (_, index) => hourOf(now - index * HOUR_MS));
}

/** The hours of a day that have started, the latest first. */
function hoursOf(day: string, now: number): string[] {
  const hours = Array.from({ length: 24 }, (_, index) => `${day}T${String(23 - index).padStart(2, "0")}`);
  return hours.filter((hour) => hour <= hourOf(now));
}

async function summariesOf(entries: Snapshot[], store: Store): Promise<OrderSummary[]> {
  const ids = entries.flatMap(({ fields }) => orderId(String(fields.order)) ?? []);
  const relations = ids.length > 0 ? await store.read(...ids.map(relationPath)) : [];
  return relations.flatMap((relation) => (relation && summaryOf(relation)) ?? []);
}

/** An order as lists show it; undefined for a document that this build can't read. */
function summaryOf(snapshot: Snapshot): OrderSummary | undefined {
  const relation = unlessUnreadable(() => parseRelation(snapshot.path, snapshot.fields));
  if (!relation) return undefined;
  const { state, placedAt, times, customer, customerId } = relation;
  return {
    id: idOf(snapshot),
    state: state ?? null,
    attention: null,
    placedAt: placedAt?.toISOString() ?? null,
    since: (state && times[state]?.toISOString()) ?? null,
    customer: customer && "name" in customer ? customer.name : (customerId ?? null),
    ...recordOf(CREATING_STAGES, (stage) => relation[stage] ?? null),
  };
}

function unlessUnreadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ValidationError) return undefined;
    throw error;
  }
}

const NOT_A_TOKEN = "pageToken must be the nextPageToken of an earlier page";

function token(position: object): string {
  return Buffer.from(JSON.stringify(position)).toString("base64url");
}

/** Where a page begins, as an earlier page's token says. */
function positionIn<P extends { id: string }>(pageToken: string, schema: v.GenericSchema<unknown, P>): P {
  const position = v.safeParse(schema, jsonIn(Buffer.from(pageToken, "base64url").toString()));
  // An id that no document can have would not be a path.
  if (!position.success || orderId(`orders/${position.output.id}`) === undefined)
    throw new ValidationError(NOT_A_TOKEN);
  return position.output;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
