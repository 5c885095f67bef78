/** Addresses: each view has its own, with everything that a shared link needs in it. */

export type ViewName = "overview" | "attention" | "orders" | "order" | "flow" | "missing";

export interface Route {
  view: ViewName;
  /** The order's id, if the view is that of an order. */
  id: string;
  query: URLSearchParams;
}

const VIEWS = { "/": "overview", "/attention": "attention", "/orders": "orders", "/flow": "flow" } as const;

export const addressOf = (id: string): string => `/orders/${encodeURIComponent(id)}`;

export function routeOf({ pathname, search, hash }: Pick<Location, "pathname" | "search" | "hash">): Route {
  const query = new URLSearchParams(search);
  // Links from before addresses were paths.
  const [, path = pathname] = /^#(\/orders\/.+)$/.exec(hash) ?? [];
  if (Object.hasOwn(VIEWS, path)) return { view: VIEWS[path as keyof typeof VIEWS], id: "", query };
  const [, encoded = ""] = /^\/orders\/([^/]+)$/.exec(path) ?? [];
  const id = decode(encoded);
  return { view: id ? "order" : "missing", id, query };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** Goes to an address of the console. `replace` leaves no entry in the browser's history. */
export function navigate(address: string, { replace = false } = {}): void {
  if (replace) history.replaceState(undefined, "", address);
  else history.pushState(undefined, "", address);
  window.dispatchEvent(new Event("popstate"));
}

/** The present address with some parts of its query changed; an empty value removes a part. */
export function addressWith(changes: Record<string, string>): string {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text === "" ? location.pathname : `${location.pathname}?${text}`;
}

/** Calls back on each change of the address, and follows links within the page without loading it again. */
export function followAddress(onChange: () => void): () => void {
  const onClick = (event: MouseEvent) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || link.target !== "" || link.origin !== location.origin) return;
    if (link.getAttribute("href")?.startsWith("#")) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  };
  window.addEventListener("popstate", onChange);
  document.addEventListener("click", onClick);
  return () => {
    window.removeEventListener("popstate", onChange);
    document.removeEventListener("click", onClick);
  };
}
