/** Resource names as the food service gives them, and the document ids made of them. */

const ORDER_PREFIX = "orders/";

/** Firestore takes ids of up to 1,500 bytes; attempts put their stage in front of it. */
const LONGEST_ID = 1400;

/** Control characters and lone surrogates, which some store or log on the way would change or refuse. */
const UNSAFE = /[\p{Cc}\p{Cs}]/u;

/**
 * The document id of an order: its name without the prefix.
 * @returns undefined for a name that can't be one: another prefix, another slash, an id that Firestore does not take
 */
export function orderId(name: string): string | undefined {
  if (!name.startsWith(ORDER_PREFIX)) return undefined;
  const id = name.slice(ORDER_PREFIX.length);
  const usable =
    id !== "" && id !== "." && id !== ".." && !id.includes("/") && !/^__.*__$/s.test(id) && !UNSAFE.test(id);
  return usable && Buffer.byteLength(id) <= LONGEST_ID ? id : undefined;
}

/** The order's name that goes with a document id. */
export function orderName(id: string): string {
  return ORDER_PREFIX + id;
}

/** What no kitchen order and no shipment is ever called, whatever the server: a reply that says so is about something else. */
const FOREIGN_PREFIXES = {
  kitchen: ["orders/", "shipments/"],
  shipment: ["orders/", "kitchenorders/", "kitchens/"],
};

/** Whether a create of this stage can have been answered with this name. */
export function isNameOf(stage: keyof typeof FOREIGN_PREFIXES, name: string): boolean {
  return isUsableName(name) && !FOREIGN_PREFIXES[stage].some((prefix) => name.startsWith(prefix));
}

/** Whether a name that a create answered with can be kept and asked for again. Prefixes differ from server to server. */
export function isUsableName(name: string): boolean {
  return name !== "" && Buffer.byteLength(name) <= LONGEST_ID && isSafeText(name);
}

/** Whether text comes back as it was from every store and log on the way. */
export function isSafeText(text: string): boolean {
  return !UNSAFE.test(text);
}
