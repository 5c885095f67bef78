/** Reports the status of a relation's order to the food service. */
import { park } from "../attempts/park.js";
import { commitIfUnchanged } from "../commit-if-unchanged.js";
import { isCallError } from "../domain/errors.js";
import { LAST_CREATING_STAGE, mayReport, RELATION_STATES, stageLeadingTo } from "../domain/order-lifecycle.js";
import { blocked, type Outcome, reported, skipped } from "../domain/outcome.js";
import { idIn, type OrderRef, orderRefFromId } from "../domain/resource-names.js";
import type { Ports, Snapshot } from "../ports.js";
import { isSameOrder, type Relation, type ReportFailure, type Trouble, troubleField } from "./relation.js";
import { handleReplacedOrder } from "./replaced-order.js";

/** After this many rejected or ignored updates of one order's status, an operator is asked. */
const MAX_REPORT_TRIES = 3;

/** The backoff after the first of them, in milliseconds. It doubles up to the maximum. */
const FIRST_REPORT_BACKOFF_MS = 60_000;
const LONGEST_REPORT_BACKOFF_MS = 3_600_000;

/**
 * An order that is this far behind its relation, in milliseconds, was reported before: its event is not just late. If it is still
 * behind after the food service acknowledges another update, the food service ignores updates.
 */
const OVERDUE_MS = 60_000;

/** After these codes the same update may succeed later: the service was unavailable or overloaded. */
const PASSING_CODES = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED"];

/**
 * Updates the order's status to match its relation: forward only, and never away from a final status.
 * The order is read right before it is written, since an update has no precondition. An update that the service rejects, or
 * acknowledges and ignores, is retried after a backoff, without any call in between. After a few tries it becomes a parked attempt.
 * @throws CallError, StoreError
 */
export async function reportStatus(snapshot: Snapshot, relation: Relation, ports: Ports): Promise<Outcome> {
  const { state, trouble } = relation;
  const target = state && RELATION_STATES[state].reports;
  if (!target) return skipped(`a relation that is ${state ?? "empty"} is not reported`);
  const failed = failedReport(relation);
  if (failed && failed.nextTryAt.getTime() > ports.clock.now()) return skipped("backing off after a failed report");

  const ref = orderRefFromId(idIn(snapshot.path));
  const order = await ports.food.getOrder(ref.name);
  if (!isSameOrder(relation, order)) return handleReplacedOrder(ref, snapshot, relation, order, ports);
  const isDue = mayReport(order.status, target);
  try {
    if (isDue) await ports.food.updateOrder(ref.name, target);
  } catch (error) {
    if (!isCallError(error) || PASSING_CODES.includes(error.code)) throw error;
    const message = `the food service rejects the status ${target}: ${error.code} ${error.message}`;
    return recordFailure(ref, snapshot, relation, { code: "REPORT_REJECTED", message }, ports);
  }
  const wasRejected = failed?.code === "REPORT_REJECTED";
  if (isDue && !wasRejected && isOverdue(relation, ports)) {
    const message = `the food service acknowledges the status ${target}, but showed the order as ${order.status} before`;
    return recordFailure(ref, snapshot, relation, { code: "REPORT_IGNORED", message }, ports);
  }
  if (trouble.report) await writeTrouble(snapshot, { ...trouble, report: undefined }, ports);
  return isDue ? reported(target) : skipped(`the order is ${order.status} already`);
}

/**
 * The same for a stage that meets an order behind its relation. The relation's trigger has already logged the report, so this one is
 * not logged.
 * @throws CallError, StoreError
 */
export async function reportAgain(snapshot: Snapshot, relation: Relation, ports: Ports): Promise<Outcome> {
  const outcome = await reportStatus(snapshot, relation, ports);
  return outcome.outcome === "reported" ? skipped(`${outcome.to} is reported again`) : outcome;
}

/** The failed reports of the relation's current state, if any. */
function failedReport({ state, trouble: { report } }: Relation): Trouble["report"] {
  return report && (report.state ?? state) === state ? report : undefined;
}

function isOverdue({ state, times }: Relation, { clock }: Ports): boolean {
  const since = state && times[state];
  return since !== undefined && clock.now() - since.getTime() >= OVERDUE_MS;
}

async function recordFailure(
  ref: OrderRef,
  snapshot: Snapshot,
  relation: Relation,
  { code, message }: { code: ReportFailure; message: string },
  ports: Ports,
): Promise<Outcome> {
  const { state } = relation;
  const tries = (failedReport(relation)?.tries ?? 0) + 1;
  const backoffMs = Math.min(LONGEST_REPORT_BACKOFF_MS, FIRST_REPORT_BACKOFF_MS * 2 ** (tries - 1));
  const report = { tries, nextTryAt: new Date(ports.clock.now() + backoffMs), state, code };
  await writeTrouble(snapshot, { ...relation.trouble, report }, ports);
  const reason = { code, message: message.slice(0, 500) };
  if (tries < MAX_REPORT_TRIES) return code === "REPORT_IGNORED" ? skipped(reason.message) : blocked(reason.message);
  return park((state && stageLeadingTo(state)) ?? LAST_CREATING_STAGE, ref, reason, ports);
}

/**
 * Writes an order's trouble to its relation, unless the relation has changed: then the next lookup counts again.
 * @returns the relation's current document
 * @throws StoreError
 */
export async function writeTrouble(
  snapshot: Snapshot,
  trouble: Trouble,
  ports: Pick<Ports, "store">,
): Promise<Snapshot> {
  const { path, version, fields } = snapshot;
  const field = troubleField(trouble);
  const written = await commitIfUnchanged([{ kind: "update", path, version, fields: field }], ports);
  if (!written) return snapshot;
  const [newVersion = version] = written;
  return { path, version: newVersion, fields: { ...fields, ...field } };
}
