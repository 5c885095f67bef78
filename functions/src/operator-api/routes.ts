/** Every address of the API: who may ask, and what is answered. `openapi.ts` describes the same for other programs. */
import * as v from "valibot";
import { attemptPath } from "../attempts/attempt.js";
import { AUDIT } from "../attempts/audit.js";
import type { Action } from "../attempts/reason-codes.js";
import { type RejectionCode, resolveAttempt } from "../attempts/resolve-attempt.js";
import { CallRejectedError, ValidationError } from "../domain/errors.js";
import { CREATING_STAGES, RELATION_STATES, type RelationState } from "../domain/order-lifecycle.js";
import { isSafeText, isStorableName, type OrderRef, orderRef, orderRefFromId } from "../domain/resource-names.js";
import { parse } from "../parse.js";
import type { Ports, Snapshot } from "../ports.js";
import { HISTORY } from "../relations/history.js";
import { RELATIONS, relationPath } from "../relations/relation.js";
import type { Person } from "./auth.js";
import { OPENAPI } from "./openapi.js";
import { Problem, type ProblemKind } from "./problem.js";
import type { Role } from "./roles.js";
import { attemptView, auditView, historyView, type Json, partitionReadable, relationView } from "./views.js";

/** A request as a route sees it: its parts taken apart, nothing checked but that it is JSON. */
interface RouteContext {
  /** What stands in the path where the pattern has braces, decoded. */
  params: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
  /** Who asks, where the route needs a role. */
  person: Person | undefined;
  header(name: string): string | undefined;
}

export interface Route {
  method: "GET" | "POST";
  /** As OpenAPI writes it: /api/relations/{id}. */
  path: string;
  /** The least that one must be; undefined for everybody. */
  role: Role | undefined;
  answer(asked: RouteContext, ports: Ports): Promise<Json>;
}

const STATES = Object.keys(RELATION_STATES) as RelationState[];
const LARGEST_PAGE = 300;

/** As many history and audit entries of one order are shown. */
const MOST_ENTRIES = 100;

export const ROUTES: readonly Route[] = [
  { method: "GET", path: "/api/health", role: undefined, answer: async () => ({ status: "ok" }) },
  { method: "GET", path: "/api/openapi.json", role: undefined, answer: async () => OPENAPI },
  { method: "GET", path: "/api/relations", role: "viewer", answer: listRelations },
  { method: "GET", path: "/api/relations/{id}", role: "viewer", answer: readRelation },
  {
    method: "POST",
    path: "/api/relations/{id}/{stage}/link",
    role: "operator",
    answer: (asked, ports) => decide("link", asked, ports),
  },
  {
    method: "POST",
    path: "/api/relations/{id}/{stage}/retry",
    role: "operator",
    answer: (asked, ports) => decide("retry", asked, ports),
  },
  {
    method: "POST",
    path: "/api/relations/{id}/{stage}/dismiss",
    role: "operator",
    answer: (asked, ports) => decide("dismiss", asked, ports),
  },
  { method: "GET", path: "/api/customers/{name}", role: "viewer", answer: resolveCustomer },
];

const listQuery = v.strictObject({
  state: v.optional(v.pipe(v.array(v.picklist(STATES)), v.minLength(1)), STATES),
  pageSize: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^[1-9]\d{0,2}$/, `must be a whole number from 1 to ${LARGEST_PAGE}`),
      v.transform(Number),
      v.maxValue(LARGEST_PAGE, `must be a whole number from 1 to ${LARGEST_PAGE}`),
    ),
    "50",
  ),
  pageToken: v.optional(v.string(), ""),
});

async function listRelations({ query }: RouteContext, { store }: Ports): Promise<Json> {
  const names = [...new Set(query.keys())];
  const twice = names.find((name) => name !== "state" && query.getAll(name).length > 1);
  if (twice !== undefined) throw new ValidationError(`${twice.slice(0, 100)} may be given once`);
  const given = Object.fromEntries(
    names.map((name) => [name, name === "state" ? query.getAll(name) : query.get(name)]),
  );
  const { state, pageSize, pageToken } = parse(listQuery, given, "The query is not as it must be");
  const after = pageToken === "" ? undefined : pathIn(pageToken);
  const asked = { collection: RELATIONS, field: "state", oneOf: [...new Set(state)], limit: pageSize };
  const page = await store.query(after === undefined ? asked : { ...asked, after });
  const { readable, unreadable } = partitionReadable(page, relationView);
  const last = page.length === pageSize ? page.at(-1) : undefined;
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

async function readRelation({ params }: RouteContext, { store }: Ports): Promise<Json> {
  const { name: order, id } = orderIn(params);
  const paths = [relationPath(id), attemptPath("kitchen", id), attemptPath("shipment", id)] as const;
  const about = (collection: string) =>
    store.query({ collection, field: "order", oneOf: [order], limit: MOST_ENTRIES });
  const [[found, ...attempts], history, audit] = await Promise.all([
    store.read(...paths),
    about(HISTORY),
    about(AUDIT),
  ]);
  const there = attempts.filter((attempt) => attempt !== undefined);
  if (!found && there.length === 0)
    throw new Problem("not-found", `There is neither a relation nor an attempt of ${order}.`);
  const relation = partitionReadable(found ? [found] : [], relationView);
  const tried = partitionReadable(there, attemptView);
  const told = partitionReadable(byTime(history), historyView);
  const decided = partitionReadable(byTime(audit), auditView);
  return {
    order,
    relation: relation.readable[0] ?? null,
    attempts: tried.readable,
    history: told.readable,
    audit: decided.readable,
    unreadable: [relation, tried, told, decided].flatMap(({ unreadable }) => unreadable),
  };
}

function byTime(entries: Snapshot[]): Snapshot[] {
  // One that can't be read has no time, and stands anywhere.
  return entries.toSorted((one, other) => Number(one.fields.at) - Number(other.fields.at) || 0);
}

const text = (most: number) => {
  const allowed = `must be text of 1 to ${most} characters, without control characters`;
  return v.pipe(
    v.string(allowed),
    v.trim(),
    v.minLength(1, allowed),
    v.maxLength(most, allowed),
    v.check(isSafeText, allowed),
  );
};

const seen = { reason: text(500), version: text(100) };
const BODIES = {
  link: v.strictObject({ name: text(1_400), ...seen }),
  retry: v.strictObject(seen),
  dismiss: v.strictObject(seen),
};

async function decide(action: Action, asked: RouteContext, ports: Ports): Promise<Json> {
  const { params, body, person, header } = asked;
  const { name: order } = orderIn(params);
  const stage = CREATING_STAGES.find((one) => one === params.stage);
  if (!stage) throw new Problem("not-found", `There is no such stage; there are ${CREATING_STAGES.join(" and ")}.`);
  const key = header("idempotency-key") ?? "";
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    throw new ValidationError(
      "Send a header Idempotency-Key of 1 to 200 visible characters, a new one for each decision",
    );
  }
  const given: { reason: string; version: string; name?: string } = parse(
    BODIES[action],
    body,
    "The body is not as it must be",
  );
  const { reason, version, name } = given;
  const about = { order, stage, reason, version };
  const decision = {
    ...about,
    ...(name !== undefined && { link: name }),
    ...(action === "dismiss" && { dismiss: true as const }),
  };
  const by = person?.name ?? "";
  const result = await resolveAttempt({ ...decision, by, key: `${person?.id} ${key}` }, ports).catch(
    (error: unknown) => {
      if (!(error instanceof CallRejectedError)) throw error;
      throw new Problem("unknown-name", `The food service answered: ${error.message}`, {}, { cause: error });
    },
  );
  if (result.outcome === "blocked") throw new Problem(PROBLEM_OF[result.code], `${result.reason}.`);
  const outcome = result.isRepeat ? "repeated" : "applied";
  ports.log.info(`api: ${action}`, { component: "api", order, stage, outcome, to: result.to, by });
  return { decision: auditView(result.entry), state: result.to };
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

async function resolveCustomer({ params }: RouteContext, { customers }: Ports): Promise<Json> {
  const { name = "" } = params;
  if (!isStorableName(name))
    throw new ValidationError("The name must have 1 to 1400 bytes, none of them a control character");
  try {
    const { name: known, class: form, roll } = await customers.userByName(name);
    return { name: known, class: form, roll };
  } catch (error) {
    if (error instanceof CallRejectedError) throw new Problem("not-found", error.message, {}, { cause: error });
    throw error;
  }
}

function orderIn({ id = "" }: Record<string, string>): OrderRef {
  const order = orderRef(orderRefFromId(id).name);
  if (!order) throw new ValidationError("The id must be an order's name without orders/");
  return order;
}
