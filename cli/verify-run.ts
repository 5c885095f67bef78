/**
 * Verifies a finished run: compares the food service's ground truth with the relations in Firestore. Nothing may be lost,
 * created twice, linked wrongly or moved backwards.
 */

import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
import {
  CREATING_STAGES,
  type CreatingStage,
  mayReport,
  ORDER_STATUSES,
  RELATION_STATES,
  type ReportedStatus,
  STAGES,
} from "../functions/src/domain/order-lifecycle.js";
import { recordOf } from "../functions/src/domain/record-of.js";
import type { Relation } from "../functions/src/relations/relation.js";
import { createdBy, type GroundTruth, type PlacedOrder } from "../services/food-service/model/food-service-model.js";

/** What is verified. */
export interface Evidence {
  /** The names of the orders that were placed. */
  placed: string[];
  truth: GroundTruth;
  /** By the order's name. */
  relations: Map<string, Relation>;
}

/** The result line of a demo, except its seconds. */
interface Summary {
  orders: number;
  delivered: number;
  rejected: number;
  cancelled: number;
  kitchenOrders: number;
  shipments: number;
  /** Applied creates beyond the first of an order and stage. */
  duplicates: number;
  /** Orders that did not end. */
  lost: number;
}

export interface Verdict {
  summary: Summary;
  /** The problems, one sentence each; empty for a good run. */
  problems: string[];
  /** Observations that are not problems. */
  notes: string[];
}

type Created = ReturnType<typeof createdBy>[number];

/**
 * How long a status report may be in flight if it read the order before the customer cancelled. The food service can't reject
 * such a report, because its UpdateOrder has no precondition.
 */
const REPORT_IN_FLIGHT_MS = 2_000;

/** Verifies a run. */
export function judge({ placed, truth, relations }: Evidence): Verdict {
  const problems: string[] = [];
  const notes: string[] = [];
  const orders = new Map(truth.orders.map((order) => [order.name, order]));
  const made = byOrderAndStage(placed, truth, problems);
  let duplicates = 0;
  let lost = 0;

  for (const name of placed) {
    const order = orders.get(name);
    const relation = relations.get(name);
    const unended = whyNotEnded(order, relation);
    if (unended !== undefined) {
      lost++;
      problems.push(`${name} is lost: ${unended}`);
    }
    const creates = made.get(name) ?? recordOf(CREATING_STAGES, () => []);
    for (const stage of CREATING_STAGES) {
      duplicates += Math.max(0, creates[stage].length - 1);
      problems.push(...moreThanOne(name, stage, creates[stage]), ...wrongLinks(name, stage, creates[stage], relation));
    }
    problems.push(...wrongSequence(name, creates));
    if (order) judgeChanges(order, problems, notes);
    if (order && unended === undefined) problems.push(...wrongEnd(order, creates.shipment, relation));
  }
  const strangers = [...relations.keys()].filter((name) => !orders.has(name));
  problems.push(...strangers.map((name) => `There is a relation of ${name}, which the food service does not know`));

  const ended = (status: string) => placed.filter((name) => orders.get(name)?.status === status).length;
  const summary = {
    orders: placed.length,
    delivered: ended("DELIVERED"),
    rejected: ended("REJECTED"),
    cancelled: ended("CANCELLED"),
    kitchenOrders: truth.kitchenOrders.length,
    shipments: truth.shipments.length,
    duplicates,
    lost,
  };
  return { summary, problems, notes };
}

function moreThanOne(order: string, stage: CreatingStage, created: Created[]): string[] {
  if (created.length < 2) return [];
  const names = created.map(({ name }) => name).join(", ");
  return [`${order} has ${created.length} of its ${STAGES[stage].creates.title}: ${names}`];
}

/** Why an order is still in progress; undefined if it has ended on both sides. */
export function whyNotEnded(order: PlacedOrder | undefined, relation: Relation | undefined): string | undefined {
  if (!order) return "the food service does not know it";
  if (!ORDER_STATUSES[order.status].ended) return `it is still ${order.status}`;
  if (relation?.state && RELATION_STATES[relation.state].open) {
    return `it is ${order.status}, but its relation is still ${relation.state}`;
  }
  return undefined;
}

/** All created resources, by the order and stage of their idempotency key. */
function byOrderAndStage(placed: string[], truth: GroundTruth, problems: string[]) {
  const owners = new Map<string, { order: string; stage: CreatingStage }>();
  for (const order of placed) {
    for (const stage of CREATING_STAGES) owners.set(idempotencyKey(order, stage), { order, stage });
  }
  const made = new Map<string, Record<CreatingStage, Created[]>>();
  for (const stage of CREATING_STAGES) {
    for (const created of createdBy(stage, truth)) {
      const owner = owners.get(created.idempotencyKey ?? "");
      if (owner?.stage !== stage) {
        problems.push(
          `${created.name} was created with the key ${created.idempotencyKey}, which is no order's in that stage`,
        );
        continue;
      }
      const creates = made.get(owner.order) ?? recordOf(CREATING_STAGES, (): Created[] => []);
      creates[stage].push(created);
      made.set(owner.order, creates);
    }
  }
  return made;
}

/** Every created resource must be linked, and every link must name a resource that was created for this order. */
function wrongLinks(order: string, stage: CreatingStage, created: Created[], relation: Relation | undefined): string[] {
  const link = relation?.[stage];
  if (link === undefined) {
    return created.map(
      ({ name }) => `${name} was created for ${order}, but its relation has no ${STAGES[stage].creates.title}`,
    );
  }
  if (created.some(({ name }) => name === link)) return [];
  return [`The relation of ${order} links ${link}, which was not created for it`];
}

/** A shipment is created only after its meal is packaged. */
function wrongSequence(order: string, { kitchen, shipment }: Record<CreatingStage, Created[]>): string[] {
  const packaged = kitchen
    .flatMap(({ changes }) => changes.filter(({ status }) => status === "PACKAGED"))
    .map(({ at }) => at);
  const [first] = packaged.sort();
  return shipment
    .filter(({ createdAt }) => first === undefined || createdAt < first)
    .map(({ name }) => `${name} was created for ${order} before its kitchen order was PACKAGED`);
}

/** Every change must be one that its actor may make: customers cancel, and we report forward. */
function judgeChanges({ name, changes }: PlacedOrder, problems: string[], notes: string[]): void {
  for (const [index, { status, at, by }] of changes.entries()) {
    const before = changes[index - 1];
    if (!before) continue;
    if (by === "customer" ? status === "CANCELLED" : mayReport(before.status, status as ReportedStatus)) continue;
    const change = `${name} went from ${before.status} to ${status}`;
    const gap = Date.parse(at) - Date.parse(before.at);
    if (before.status === "CANCELLED" && before.by === "customer" && gap <= REPORT_IN_FLIGHT_MS) {
      notes.push(
        `${change}: its customer cancelled ${gap} ms before a report that was in progress, which can't be prevented`,
      );
    } else {
      problems.push(`${change}, which is never allowed`);
    }
  }
}

/** The final status must be the same for the order, its shipment and its relation. */
function wrongEnd({ name, status }: PlacedOrder, shipments: Created[], relation: Relation | undefined): string[] {
  if (status !== "DELIVERED" && status !== "REJECTED") return [];
  const problems: string[] = [];
  if (!shipments.some((shipment) => shipment.status === status)) {
    problems.push(`${name} is ${status}, but its shipment is ${shipments[0]?.status ?? "missing"}`);
  }
  if (relation?.state !== status)
    problems.push(`${name} is ${status}, but its relation is ${relation?.state ?? "missing"}`);
  return problems;
}
