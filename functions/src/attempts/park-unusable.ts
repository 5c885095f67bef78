/** Parks an order whose name can't be stored. It can have no relation, and its attempt gets an id derived from the name. */
import { v5 } from "uuid";
import type { Outcome } from "../domain/outcome.js";
import { type OrderRef, orderRefFromId } from "../domain/resource-names.js";
import type { Ports } from "../ports.js";
import { park } from "./park.js";

/** Constant, so every build derives the same id. */
const NAMESPACE = "6f1b7a52-0f0e-4b0e-9d0a-6f3a2c8f9c11";

/** The maximum length of a quoted name, in characters. */
const MAX_QUOTED = 200;

/** The name quoted, shortened and escaped to ASCII for logs and documents: it may contain anything. */
export function quoteName(name: string): string {
  const ascii = name.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return `"${ascii.slice(0, MAX_QUOTED)}${ascii.length > MAX_QUOTED ? "..." : ""}"`;
}

/** The order under which operators find a name that can't be stored. */
function unusableOrderRef(name: string): OrderRef {
  const ascii = Buffer.from(name, "utf16le").toString("base64");
  return orderRefFromId(`unusable-${v5(ascii, NAMESPACE)}`);
}

/** @throws StoreError */
export function parkUnusable(name: string, ports: Ports): Promise<Outcome> {
  const message = `the food service lists an order with the name ${quoteName(name)}, which can't be stored`;
  return park("kitchen", unusableOrderRef(name), { code: "UNUSABLE_NAME", message }, ports);
}
