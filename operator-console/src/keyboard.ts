/** The keys of the console: `/` searches, `j` and `k` move between rows, `x` selects one, `?` lists the keys. */

const SEARCH = "#search";

export function followKeys(): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    const act = ACTIONS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}

export function showKeys(): void {
  void import("./views/keys.js").then(({ openKeys }) => openKeys());
}

const ACTIONS: { [key: string]: () => void } = {
  "/": () => {
    const search = document.querySelector<HTMLInputElement>(SEARCH);
    search?.focus();
    search?.select();
  },
  j: () => move(1),
  k: () => move(-1),
  x: () => rowOf(document.activeElement)?.querySelector<HTMLInputElement>("input[type=checkbox]")?.click(),
  "?": showKeys,
};

function rowOf(element: Element | null): Element | null {
  return element?.closest("tr, li") ?? null;
}

/** Moves the focus so many rows on, from the row that has it. */
function move(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const row = rowOf(document.activeElement);
  const at = rows.findIndex((one) => rowOf(one) === row && row !== null);
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  rows[next]?.focus();
  rows[next]?.scrollIntoView({ block: "nearest" });
}
