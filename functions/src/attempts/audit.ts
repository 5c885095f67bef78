/** The audit log: one entry for each operator decision, written by the commit that applies it. */

import { createHash } from "node:crypto";
import { v5 } from "uuid";
import * as v from "valibot";
import { CREATING_STAGES } from "../domain/order-lifecycle.js";
import { parse } from "../parse.js";
import type { Fields, Snapshot, Write } from "../ports.js";

export const AUDIT = "audit";

const AUDIT_SCHEMA = 1;

const schema = v.object({
  schema: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(AUDIT_SCHEMA)),
  order: v.string(),
  stage: v.picklist(CREATING_STAGES),
  action: v.picklist(["link", "try again", "dismiss"]),
  /** The linked name. */
  name: v.nullable(v.string()),
  by: v.string(),
  reason: v.string(),
  at: v.date(),
});

/** An operator's decision: who, what, why, when. */
export type AuditEntry = v.InferOutput<typeof schema>;

/** @throws ValidationError for wrong types and newer schemas */
export function auditEntryIn({ path, fields }: Snapshot): AuditEntry {
  return parse(schema, fields, `${path} is not an audit entry that this build can read`);
}

/** How long entries are retained, in milliseconds: two years. */
const RETENTION_MS = 2 * 365 * 24 * 3_600_000;

const NAMESPACE = "0b9d3f0a-6a4e-4d5e-8f57-3f6c2b1f5f10";

/** The path of the entry of the decision with this key. */
export function auditPath(key: string): string {
  return `${AUDIT}/${v5(key, NAMESPACE)}`;
}

/** Identifies a decision: the same fields give the same text. */
export function fingerprintOf(fields: Record<string, string | null>): string {
  const sorted = Object.entries(fields).sort();
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
}

/** The write that records an entry. `at` in milliseconds since the epoch. */
export function auditEntry(path: string, fields: Fields, at: number): Write & { fields: Fields } {
  const stamps = { schema: AUDIT_SCHEMA, at: new Date(at), expireAt: new Date(at + RETENTION_MS) };
  return { kind: "create", path, fields: { ...stamps, ...fields } };
}
