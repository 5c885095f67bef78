/** The audit: one entry for each decision of a person, in the commit that carries it out. */
import { createHash } from "node:crypto";
import { v5 } from "uuid";
import type { Fields, Write } from "../ports.js";

export const AUDIT = "audit";

const AUDIT_SCHEMA = 1;

/** How long an entry stays, in milliseconds: two years. */
const KEPT_FOR = 2 * 365 * 24 * 3_600_000;

const NAMESPACE = "0b9d3f0a-6a4e-4d5e-8f57-3f6c2b1f5f10";

/** The path of the entry of the decision with this key. */
export function auditPath(key: string): string {
  return `${AUDIT}/${v5(key, NAMESPACE)}`;
}

/** Tells decisions apart: the same fields give the same text. */
export function fingerprintOf(fields: Record<string, string | null>): string {
  const sorted = Object.entries(fields).sort(([one], [other]) => (one < other ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
}

/** The write that keeps an entry. `at` in milliseconds since the epoch. */
export function auditEntry(path: string, fields: Fields, at: number): Write & { fields: Fields } {
  const stamps = { schema: AUDIT_SCHEMA, at: new Date(at), expireAt: new Date(at + KEPT_FOR) };
  return { kind: "create", path, fields: { ...stamps, ...fields } };
}
