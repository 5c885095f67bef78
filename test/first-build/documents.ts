/** The documents that commit 3bc4941 wrote, and what the food service said of its orders then: `write.mjs` made them. */
import { readFileSync } from "node:fs";
import type { Field, Fields, KitchenOrder, Order, Shipment } from "../../functions/src/ports.js";

interface FirstBuild {
  /** When the build was replaced. */
  now: string;
  orders: Order[];
  kitchenOrders: KitchenOrder[];
  shipments: Shipment[];
  documents: { path: string; fields: Fields }[];
}

type Plain = string | number | boolean | null | Plain[] | { [name: string]: Plain };

/** Reads the file again on each call, so each test has its own documents. */
export function firstBuild(): FirstBuild {
  const read = JSON.parse(readFileSync(new URL("documents.json", import.meta.url), "utf8")) as Omit<
    FirstBuild,
    "documents"
  > & { documents: { [path: string]: { [name: string]: Plain } } };
  const documents = Object.entries(read.documents).map(([path, fields]) => ({ path, fields: fieldsOf(fields) }));
  return { ...read, documents };
}

function fieldsOf(fields: { [name: string]: Plain }): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, fieldOf(value)]));
}

function fieldOf(value: Plain): Field {
  if (Array.isArray(value)) return value.map(fieldOf);
  if (typeof value !== "object" || value === null) return value;
  return typeof value.$time === "string" ? new Date(value.$time) : fieldsOf(value);
}
