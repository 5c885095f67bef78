/** Every endpoint of the API: its role, its input and its response. `openapi.ts` generates the document from this table. */
import type * as v from "valibot";
import { ATTEMPTS, attemptPath } from "../attempts/attempt.js";
import { AUDIT } from "../attempts/audit.js";
import { actionOf, type RejectionCode, type Resolution, resolveAttempt } from "../attempts/resolve-attempt.js";
import { CallRejectedError, isCallError, toErrorInfo, ValidationError } from "../domain/errors.js";
import { CREATING_STAGES } from "../domain/order-lifecycle.js";
import { isStorableName, type OrderRef, orderRef, orderRefFromId } from "../domain/resource-names.js";
import { parse } from "../parse.js";
import type { Ports, Snapshot } from "../ports.js";
import { HISTORY } from "../relations/history.js";
import { RELATIONS, relationIn, relationPath } from "../relations/relation.js";
import type { Person } from "./auth.js";
import { Problem, type ProblemKind, problemOf } from "./problem.js";
import type { Role } from "./roles.js";
import {
  type AnswerName,
  type Decided,
  type DecisionResults,
  type Documents,
  decisionsBody,
  type FoodServiceView,
  linkBody,
  listQuery,
  type OrderDetail,
  type RelationPage,
  retryBody,
  STATES,
  searchQuery,
} from "./schemas.js";
import { searchOrders } from "./search.js";
import { statisticsView } from "./statistics-view.js";
import { attemptView, auditView, documentView, historyView, partitionReadable, relationView } from "./views.js";

/** A request as a route sees it: split into parts, but not checked except that the body is JSON. */
interface RouteContext {
  /** The decoded values of the pattern's parameters. */
  params: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
  /** The signed-in person, if the route needs a role. */
  person: Person | undefined;
  header(name: string): string | undefined;
}

type ObjectSchema = v.StrictObjectSchema<v.ObjectEntries, undefined>;

export interface Endpoint {
  method: "GET" | "POST";
  /** In OpenAPI's notation: /api/relations/{id}. */
  path: string;
  /** The required role; undefined if the endpoint is public. */
  role: Role | undefined;
  answer(asked: RouteContext, ports: Ports): Promise<object>;
}

/** An endpoint with its documentation. */
export interface Route extends Endpoint {
  summary: string;
  query?: ObjectSchema;
  body?: ObjectSchema;
  /** The schema of the response. */
  answers: AnswerName;
  /** Its error responses, besides those of every endpoint with a role. */
  problems: readonly ProblemKind[];
}

/** The maximum of history and audit entries that are shown for one order. */
const MAX_ENTRIES = 100;

const DEFAULT_PAGE_SIZE = 50;

/** How many decisions of one request are applied concurrently. */
const MAX_CONCURRENT_DECISIONS = 5;

const DECISION_PROBLEMS = [
  "malformed",
  "not-found",
  "changed",
  "not-waiting",
  "linked-already",
  "too-large",
  "media-type",
  "key-reused",
  "unknown-name",
] as const satisfies ProblemKind[];

export const ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/api/health",
    role: undefined,
    summary: "Shows that the API responds. Public.",
    answers: "Health",
    problems: [],
    answer: async () => ({ status: "ok" }),
  },
  {
    method: "GET",
    path: "/api/orders",
    role: "viewer",
    summary: "Find orders, active or completed, a page at a time.",
    query: searchQuery,
    answers: "SearchPage",
    problems: ["malformed"],
    answer: ({ query }, ports) => searchOrders(queryIn(query, searchQuery), ports),
  },
  {
    method: "GET",
    path: "/api/statistics",
    role: "viewer",
    summary: "Orders by hour for seven days, and the time in each stage.",
    answers: "Statistics",
    problems: [],
    answer: (_, ports) => statisticsView(ports),
  },
  {
    method: "GET",
    path: "/api/relations",
    role: "viewer",
    summary: "List relations by id, a page at a time.",
    query: listQuery,
    answers: "RelationPage",
    problems: ["malformed"],
    answer: listRelations,
  },
  {
    method: "GET",
    path: "/api/relations/{id}",
    role: "viewer",
    summary: "Everything about one order: relation, attempts, history and decisions.",
    answers: "OrderDetail",
    problems: ["malformed", "not-found"],
    answer: readOrder,
  },
  {
    method: "GET",
    path: "/api/relations/{id}/documents",
    role: "viewer",
    summary: "The documents of one order as they are stored.",
    answers: "Documents",
    problems: ["malformed"],
    answer: readDocuments,
  },
  {
    method: "GET",
    path: "/api/relations/{id}/food-service",
    role: "viewer",
    summary: "One order's current state in the food service.",
    answers: "FoodServiceView",
    problems: ["malformed", "not-found"],
    answer: askFoodService,
  },
  {
    method: "POST",
    path: "/api/relations/{id}/{stage}/link",
    role: "operator",
    summary: "Link an existing kitchen order or shipment.",
    body: linkBody,
    answers: "Decided",
    problems: DECISION_PROBLEMS,
    answer: (asked, ports) => decideOne(asked, linkBody, ports),
  },
  {
    method: "POST",
    path: "/api/relations/{id}/{stage}/retry",
    role: "operator",
    summary: "Retry the create at the next poll: nothing was created.",
    body: retryBody,
    answers: "Decided",
    problems: DECISION_PROBLEMS.filter((kind) => kind !== "unknown-name"),
    answer: (asked, ports) => decideOne(asked, retryBody, ports),
  },
  {
    method: "POST",
    path: "/api/relations/{id}/{stage}/dismiss",
    role: "operator",
    summary: "Dismiss the attempt: close it without further action.",
    body: retryBody,
    answers: "Decided",
    problems: DECISION_PROBLEMS.filter((kind) => kind !== "unknown-name"),
    answer: (asked, ports) => decideOne(asked, retryBody, ports, { dismiss: true }),
  },
  {
    method: "POST",
    path: "/api/decisions",
    role: "operator",
    summary:
      "Retry or dismiss several attempts for one reason. Each is decided independently and has its own audit entry.",
    body: decisionsBody,
    answers: "DecisionResults",
    problems: ["malformed", "too-large", "media-type"],
    answer: decideMany,
  },
  {
    method: "GET",
    path: "/api/customers/{name}",
    role: "viewer",
    summary: "Resolve a customer through the user orchestrators.",
    answers: "User",
    problems: ["malformed", "not-found"],
    answer: resolveCustomer,
  },
];

/**
 * Parses the query: a list field may be repeated, every other field may not.
 * @throws ValidationError
 */
function queryIn<S extends ObjectSchema>(query: URLSearchParams, schema: S): v.InferOutput<S> {
  const names = [...new Set(query.keys())];
  const isList = (name: string) => name === "state";
  const repeated = names.find((name) => !isList(name) && query.getAll(name).length > 1);
  if (repeated !== undefined) throw new ValidationError(`${repeated.slice(0, 100)} may be given once`);
  const given = Object.fromEntries(names.map((name) => [name, isList(name) ? query.getAll(name) : query.get(name)]));
  return parse(schema, given, "Invalid query");
}

async function listRelations({ query }: RouteContext, { store }: Ports): Promise<RelationPage> {
  const { state = STATES, pageSize, pageToken = "" } = queryIn(query, listQuery);
  const limit = Number(pageSize ?? DEFAULT_PAGE_SIZE);
  const after = pageToken === "" ? undefined : pathIn(pageToken);
  const asked = { collection: RELATIONS, field: "state", oneOf: [...new Set(state)], limit };
  const page = await store.query(after === undefined ? asked : { ...asked, after });
  const { readable, unreadable } = partitionReadable(page, relationView);
  const last = page.length === limit ? page.at(-1) : undefined;
  return { relations: readable, unreadable, nextPageToken: last ? Buffer.from(last.path).toString("base64url") : "" };
}

/** The path in a page token. */
function pathIn(token: string): string {
  const path = Buffer.from(token, "base64url").toString();
  const id = path.startsWith(`${RELATIONS}/`) ? path.slice(RELATIONS.length + 1) : "";
  if (orderRef(orderRefFromId(id).name) === undefined || Buffer.from(path).toString("base64url") !== token) {
    throw new ValidationError("pageToken must be the nextPageToken of an earlier page");
  }
  return path;
}

/** The stored documents of an order. */
async function storedOf({ name, id }: OrderRef, { store }: Ports) {
  const paths = [relationPath(id), ...CREATING_STAGES.map((stage) => attemptPath(stage, id))];
  const about = (collection: string) => store.query({ collection, field: "order", oneOf: [name], limit: MAX_ENTRIES });
  const [[relation, ...attempts], history, audit] = await Promise.all([
    store.read(...paths),
    about(HISTORY),
    about(AUDIT),
  ]);
  return {
    relation: relation ? [relation] : [],
    attempts: attempts.filter((attempt) => attempt !== undefined),
    history: byTime(history),
    audit: byTime(audit),
  };
}

function byTime(entries: Snapshot[]): Snapshot[] {
  // An unreadable entry has no time, so its place does not matter.
  return entries.toSorted((one, other) => Number(one.fields.at) - Number(other.fields.at) || 0);
}

async function readOrder({ params }: RouteContext, ports: Ports): Promise<OrderDetail> {
  const ref = orderIn(params);
  const stored = await storedOf(ref, ports);
  if (stored.relation.length === 0 && stored.attempts.length === 0)
    throw new Problem("not-found", `There is neither a relation nor an attempt of ${ref.name}.`);
  const relation = partitionReadable(stored.relation, relationView);
  const attempts = partitionReadable(stored.attempts, attemptView);
  const history = partitionReadable(stored.history, historyView);
  const audit = partitionReadable(stored.audit, auditView);
  return {
    order: ref.name,
    relation: relation.readable[0] ?? null,
    attempts: attempts.readable,
    history: history.readable,
    audit: audit.readable,
    unreadable: [relation, attempts, history, audit].flatMap(({ unreadable }) => unreadable),
  };
}

async function readDocuments({ params }: RouteContext, ports: Ports): Promise<Documents> {
  const { relation, attempts, history, audit } = await storedOf(orderIn(params), ports);
  return { documents: [...relation, ...attempts, ...history, ...audit].map(documentView) };
}

async function askFoodService({ params }: RouteContext, ports: Ports): Promise<FoodServiceView> {
  const { name, id } = orderIn(params);
  const { store, food, clock } = ports;
  const [[found], order] = await Promise.all([store.read(relationPath(id)), orderNow(name, ports)]);
  const { kitchen, shipment } = links(found);
  const [kitchenOrder, shipped] = await Promise.all([
    kitchen === undefined ? null : linkedNow(food.getKitchenOrder(kitchen)),
    shipment === undefined ? null : linkedNow(food.getShipment(shipment)),
  ]);
  const { status, placedAt } = order;
  return {
    at: new Date(clock.now()).toISOString(),
    order: { status, ...(placedAt && { placedAt: placedAt.toISOString() }) },
    kitchenOrder,
    shipment: shipped,
  };
}

async function orderNow(name: string, { food }: Ports) {
  try {
    return await food.getOrder(name);
  } catch (error) {
    if (!(error instanceof CallRejectedError && error.code === "NOT_FOUND")) throw error;
    throw new Problem("not-found", `The food service does not know ${name}.`, {}, { cause: error });
  }
}

/** The links of a relation; empty if there is no readable relation. */
function links(found: Snapshot | undefined): { kitchen?: string | undefined; shipment?: string | undefined } {
  try {
    return relationIn(found) ?? {};
  } catch (error) {
    if (error instanceof ValidationError) return {};
    throw error;
  }
}

/** The status of the linked resource, or the error of its lookup. */
async function linkedNow<S extends string>(asked: Promise<{ status: S }>) {
  try {
    return { status: (await asked).status };
  } catch (error) {
    if (!isCallError(error)) throw error;
    return { problem: toErrorInfo(error) };
  }
}

/** Each decision has a new key; a repeated request has the same key. */
function idempotencyKeyIn({ header, person }: RouteContext): string {
  const key = header("idempotency-key") ?? "";
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    const message = "Send a header Idempotency-Key of 1 to 200 visible characters, a new one for each decision";
    throw new ValidationError(message);
  }
  return `${person?.id} ${key}`;
}

async function decideOne(
  asked: RouteContext,
  schema: typeof linkBody | typeof retryBody,
  ports: Ports,
  dismissal: Pick<Resolution, "dismiss"> = {},
): Promise<Decided> {
  const { name: order } = orderIn(asked.params);
  const stage = CREATING_STAGES.find((one) => one === asked.params.stage);
  if (!stage) throw new Problem("not-found", `There is no such stage; there are ${CREATING_STAGES.join(" and ")}.`);
  const key = idempotencyKeyIn(asked);
  const body: { reason: string; version: string; name?: string } = parse(schema, asked.body, "Invalid body");
  const { reason, version, name } = body;
  const by = asked.person?.name ?? "";
  const link = name === undefined ? {} : { link: name };
  return decide({ order, stage, reason, version, ...link, ...dismissal, by, key }, ports);
}

async function decide(resolution: Resolution, ports: Ports): Promise<Decided> {
  const { order, stage, by } = resolution;
  const result = await resolveAttempt(resolution, ports).catch((error: unknown) => {
    if (!(error instanceof CallRejectedError)) throw error;
    throw new Problem("unknown-name", `The food service answered: ${error.message}`, {}, { cause: error });
  });
  if (result.outcome === "blocked") throw new Problem(PROBLEM_OF[result.code], `${result.reason}.`);
  const outcome = result.isRepeat ? "repeated" : "applied";
  const action = actionOf(resolution);
  ports.log.info(`api: ${action}`, { component: "api", order, stage, outcome, to: result.to, by });
  return { decision: auditView(result.entry), state: result.to };
}

async function decideMany(asked: RouteContext, ports: Ports): Promise<DecisionResults> {
  const key = idempotencyKeyIn(asked);
  const { action, reason, attempts } = parse(decisionsBody, asked.body, "Invalid body");
  const dismissal = action === "dismiss" ? ({ dismiss: true } as const) : {};
  const by = asked.person?.name ?? "";
  const results: DecisionResults["results"] = [];
  for (let from = 0; from < attempts.length; from += MAX_CONCURRENT_DECISIONS) {
    const chunk = attempts.slice(from, from + MAX_CONCURRENT_DECISIONS).map(async ({ id, stage, claim }) => {
      const problem = await refusalOf(() => {
        const { name: order } = orderIn({ id });
        const itsKey = `${key} ${ATTEMPTS} ${stage} ${id}`;
        return decide({ order, stage, claim, reason, ...dismissal, by, key: itsKey }, ports);
      });
      return { id, stage, ...(problem && { problem: problem.view }) };
    });
    results.push(...(await Promise.all(chunk)));
  }
  return { results };
}

/** Why a decision was rejected; undefined if it was applied. */
async function refusalOf(work: () => Promise<unknown>): Promise<Problem | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    const problem = problemOf(error);
    if (problem.kind === "internal") throw error;
    return problem;
  }
}

const PROBLEM_OF = {
  "no attempt": "not-found",
  "not waiting": "not-waiting",
  "must be linked": "not-waiting",
  "not possible": "not-waiting",
  "linked already": "linked-already",
  "key reused": "key-reused",
  changed: "changed",
} as const satisfies Record<RejectionCode, ProblemKind>;

async function resolveCustomer({ params }: RouteContext, { customers }: Ports) {
  const { name = "" } = params;
  if (!isStorableName(name)) throw new ValidationError("The name must have 1 to 1400 bytes and no control characters");
  try {
    const { name: known, class: form, roll } = await customers.userByName(name);
    return { name: known, class: form, roll };
  } catch (error) {
    if (error instanceof CallRejectedError) throw new Problem("not-found", error.message, {}, { cause: error });
    throw error;
  }
}

/** @throws ValidationError */
function orderIn({ id = "" }: Record<string, string>): OrderRef {
  const order = orderRef(orderRefFromId(id).name);
  if (!order) throw new ValidationError("The id must be an order's name without orders/");
  return order;
}
