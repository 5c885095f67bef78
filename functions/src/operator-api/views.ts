/** Documents as the API shows them: times as RFC 3339 text, and unreadable documents with the reason. */
import { type Attempt, attemptIn } from "../attempts/attempt.js";
import { auditEntryIn } from "../attempts/audit.js";
import { ValidationError } from "../domain/errors.js";
import { idIn } from "../domain/resource-names.js";
import type { Field, Fields, Snapshot } from "../ports.js";
import { historyEntryIn } from "../relations/history.js";
import { parseRelation } from "../relations/relation.js";
import type { AttemptView, AuditView, Documents, HistoryView, RelationView } from "./schemas.js";

/** JSON as it is sent. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** @throws ValidationError for a document that this build can't read */
export function relationView(snapshot: Snapshot): RelationView {
  const relation = parseRelation(snapshot.path, snapshot.fields);
  const { order, discarded: _discarded, trouble: _trouble, ...rest } = relation;
  return { id: idIn(snapshot.path), order, ...shown(rest), version: snapshot.version } as RelationView;
}

/** @throws ValidationError for a document that this build can't read */
export function attemptView(snapshot: Snapshot): AttemptView {
  const { schema: _schema, id: _id, expireAt: _expireAt, ...attempt } = attemptIn(snapshot) ?? {};
  const {
    missing: _missing,
    isDismissed: _isDismissed,
    dismissedFor: _dismissedFor,
    ...rest
  } = attempt as Partial<Attempt>;
  return { ...shown(rest), version: snapshot.version } as AttemptView;
}

/** @throws ValidationError for a document that this build can't read */
export function historyView(snapshot: Snapshot): HistoryView {
  const { schema: _schema, order: _order, claim: _claim, hour: _hour, ...entry } = historyEntryIn(snapshot);
  return shown(entry) as HistoryView;
}

/** @throws ValidationError for a document that this build can't read */
export function auditView(snapshot: Snapshot): AuditView {
  const { schema: _schema, ...entry } = auditEntryIn(snapshot);
  return shown(entry) as AuditView;
}

/** A stored document, whether this build can parse it or not. */
export function documentView({ path, version, fields }: Snapshot): Documents["documents"][number] {
  return { path, version, fields: jsonOf(fields) as { [name: string]: Json } };
}

/** Splits documents into readable ones and the reasons why the others are not. */
export function partitionReadable<T>(snapshots: readonly Snapshot[], view: (snapshot: Snapshot) => T) {
  const readable: T[] = [];
  const unreadable: { id: string; reason: string }[] = [];
  for (const snapshot of snapshots) {
    try {
      readable.push(view(snapshot));
    } catch (error) {
      if (!(error instanceof ValidationError)) throw error;
      unreadable.push({ id: idIn(snapshot.path), reason: error.message });
    }
  }
  return { readable, unreadable };
}

function shown(fields: { [name: string]: unknown }): { [name: string]: Json } {
  const there = Object.entries(fields).filter(([, field]) => field !== undefined && field !== null);
  return Object.fromEntries(there.map(([name, field]) => [name, jsonOf(field as Field)]));
}

function jsonOf(field: Field): Json {
  if (field instanceof Date) return field.toISOString();
  if (Array.isArray(field)) return field.map(jsonOf);
  return typeof field === "object" && field !== null ? shown(field as Fields) : field;
}
