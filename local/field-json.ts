/** Documents as JSON text that preserves the types of fields: times, and numbers that JSON lacks, are marked. */
import type { Field, Fields } from "../functions/src/ports.js";

/** A map with this key alone is a mark; a document's own map with such a key is marked itself. */
const MARK = "$";

/** JSON text from which `fieldsFrom` restores the same fields. Text, lists, maps and ordinary numbers are plain JSON. */
export function fieldsToJson(fields: Fields): string {
  return JSON.stringify(mapToJson(fields));
}

export function fieldsFromJson(json: string): Fields {
  return mapFromJson(JSON.parse(json) as Record<string, unknown>);
}

function toJson(field: Field): unknown {
  if (field instanceof Date) return { [MARK]: ["date", field.getTime()] };
  if (Array.isArray(field)) return field.map(toJson);
  if (typeof field === "object" && field !== null) {
    const map = mapToJson(field);
    return MARK in map ? { [MARK]: ["map", map] } : map;
  }
  if (typeof field === "number" && (!Number.isFinite(field) || Object.is(field, -0))) {
    return { [MARK]: ["number", Object.is(field, -0) ? "-0" : String(field)] };
  }
  return field;
}

function mapToJson(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, toJson(field)]));
}

function fromJson(value: unknown): Field {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value as Field;
  const map = value as Record<string, unknown>;
  if (!(MARK in map)) return mapFromJson(map);
  const [type, content] = map[MARK] as [string, unknown];
  if (type === "date") return new Date(content as number);
  if (type === "number") return Number(content);
  return mapFromJson(content as Record<string, unknown>);
}

function mapFromJson(map: Record<string, unknown>): Fields {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, fromJson(value)]));
}
