/** The food service's resource names, and the document ids derived from them. */
import { CREATING_STAGES, type CreatingStage, STAGES } from "./order-lifecycle.js";
import { recordOf } from "./record-of.js";

const ORDER_PREFIX = "orders/";

/** Firestore accepts ids of up to 1,500 bytes; attempts prefix the id with their stage. */
const MAX_ID_BYTES = 1400;

/** Control characters and lone surrogates, which some store or log would change or reject. */
const UNSAFE = /[\p{Cc}\p{Cs}]/u;

/** An order: its name in the food service, such as `orders/7f3c`, and the id of its documents, such as `7f3c`. */
export interface OrderRef {
  readonly name: string;
  readonly id: string;
}

/** The order with this name, or undefined for a name that `orderId` rejects. */
export function orderRef(name: string): OrderRef | undefined {
  const id = orderId(name);
  return id === undefined ? undefined : { name, id };
}

/** What follows the collection in a stored order's name, or in a document's path: the document id. */
export function idIn(nameOrPath: string): string {
  return nameOrPath.slice(nameOrPath.indexOf("/") + 1);
}

/** The order whose documents have this id. */
export function orderRefFromId(id: string): OrderRef {
  return { name: ORDER_PREFIX + id, id };
}

/**
 * The document id of an order: its name without the prefix.
 * @returns undefined for a name with another prefix, another slash, or an id that Firestore does not accept
 */
export function orderId(name: string): string | undefined {
  if (!name.startsWith(ORDER_PREFIX)) return undefined;
  const id = name.slice(ORDER_PREFIX.length);
  const usable =
    id !== "" && id !== "." && id !== ".." && !id.includes("/") && !/^__.*__$/s.test(id) && !UNSAFE.test(id);
  return usable && Buffer.byteLength(id) <= MAX_ID_BYTES ? id : undefined;
}

/** For each stage, the prefixes that no name of its resources has on any server: a reply with one is about something else. */
const FOREIGN_PREFIXES = recordOf(CREATING_STAGES, (stage) => [
  ORDER_PREFIX,
  ...CREATING_STAGES.filter((other) => other !== stage).flatMap((other) => STAGES[other].creates.prefixes),
]);

/** The names of collections, each with a slash: they name no single resource. */
const COLLECTIONS: readonly string[] = [
  ORDER_PREFIX,
  ...CREATING_STAGES.flatMap((stage) => STAGES[stage].creates.prefixes),
];

/**
 * Whether this can be the name of a resource that this stage creates: each segment has a letter or a digit, and it is not a collection.
 * A reply such as " ", "/", ".." or "kitchenorders/" names nothing that could be looked up.
 */
export function isPlausibleResourceName(stage: CreatingStage, name: string): boolean {
  if (!isStorableName(name) || name.trim() !== name || COLLECTIONS.includes(`${name}/`)) return false;
  if (FOREIGN_PREFIXES[stage].some((prefix) => name.startsWith(prefix))) return false;
  return name.split("/").every((segment) => /[\p{L}\p{N}]/u.test(segment));
}

/** Whether a name can be stored and requested later. It may have any prefix, since prefixes differ between servers. */
export function isStorableName(name: string): boolean {
  return name !== "" && Buffer.byteLength(name) <= MAX_ID_BYTES && isSafeText(name);
}

/** Whether text survives every store and log unchanged. */
export function isSafeText(text: string): boolean {
  return !UNSAFE.test(text);
}
