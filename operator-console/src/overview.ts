/** All orders on their way: how many are where, what needs attention, and a list that can be searched. */
import { RELATION_STATES, type RelationState } from "../../functions/src/domain/order-lifecycle.js";
import { stageCharts } from "./chart.js";
import type { Relation, Waiting } from "./documents.js";
import { arrange, element, setText } from "./element.js";
import { ATTEMPT_WORDS, duration, RELATION_WORDS, THINGS } from "./labels.js";
import type { Live } from "./live.js";

/** As many orders are shown at a time: more rows than a person reads are only work for the browser. */
const PAGE = 50;

/** As many that wait are shown before "all of them" is asked for. */
const MOST_WAITING = 20;

const HOUR = 3_600_000;

const STATES = Object.keys(RELATION_STATES) as RelationState[];
const OPEN = STATES.filter((state) => RELATION_STATES[state].open);
const ENDED = STATES.filter((state) => !RELATION_STATES[state].open);

export interface View {
  root: HTMLElement;
  /** Shows what has changed. */
  update(): void;
  stop(): void;
}

function orderAddress(id: string): string {
  return `#/orders/${encodeURIComponent(id)}`;
}

/** The overview of what is live; it follows the clock by itself. */
export function overview(live: Live): View {
  const opened = Date.now();
  const counts = tiles();
  const attention = attentionList();
  const charts = element("div");
  const list = orderList(live);
  const root = element(
    "main",
    { id: "content", class: "wide" },
    element("h1", { class: "unseen" }, "Orders on their way"),
    attention.root,
    counts.root,
    element(
      "section",
      { "aria-labelledby": "waits-title" },
      element("h2", { id: "waits-title" }, "How long they have been there"),
      charts,
    ),
    list.root,
  );
  let drawing: ReturnType<typeof setTimeout> | undefined;
  // Charts tell of minutes: several a second would tell no more.
  const drawSoon = () => {
    drawing ??= setTimeout(() => {
      drawing = undefined;
      charts.replaceChildren(stageCharts(live.open.values(), Date.now()));
    }, 500);
  };
  const update = () => {
    const now = Date.now();
    counts.show(live, now - opened);
    attention.show([...live.waiting.values()]);
    list.show(now);
    drawSoon();
  };
  const clock = setInterval(update, 5_000);
  const stop = () => {
    clearInterval(clock);
    clearTimeout(drawing);
  };
  return { root, update, stop };
}

function tiles() {
  const values = new Map<string, HTMLElement>();
  const tile = (key: string, title: string, tone: string, unit: string) => {
    const value = element("dd", { "data-count": key }, "–");
    values.set(key, value);
    return element(
      "div",
      { class: `tile ${tone}` },
      element("dt", {}, title),
      value,
      element("dd", { class: "quiet" }, unit),
    );
  };
  const root = element(
    "dl",
    { class: "tiles" },
    ...OPEN.map((state) => tile(state, RELATION_WORDS[state].title, RELATION_WORDS[state].tone, "now")),
    ...ENDED.map((state) => tile(state, RELATION_WORDS[state].title, RELATION_WORDS[state].tone, "since you came")),
    tile("rate", "Ended an hour", "quiet", "at the rate since you came"),
  );
  const show = (live: Live, milliseconds: number) => {
    const tally = new Map<string, number>();
    for (const { state } of live.open.values()) tally.set(state, (tally.get(state) ?? 0) + 1);
    for (const { state } of live.ended) tally.set(state, (tally.get(state) ?? 0) + 1);
    // A rate of the first few seconds would be nonsense.
    if (milliseconds > 30_000) tally.set("rate", Math.round((live.ended.length * HOUR) / milliseconds));
    for (const [key, value] of values) {
      const known = live.isComplete && (key !== "rate" || tally.has(key));
      setText(value, known ? (tally.get(key) ?? 0).toLocaleString() : "–");
    }
  };
  return { root, show };
}

function attentionList() {
  const title = element("h2", { id: "attention-title" }, "Nothing needs you");
  const list = element("ul", { class: "attention" });
  const root = element("section", { "aria-labelledby": "attention-title", class: "attention-section" }, title, list);
  const known = new Map<string, HTMLElement>();
  const more = element("li", { class: "quiet" });
  const show = (waiting: Waiting[]) => {
    const number = waiting.length;
    const needs = `${number} ${number === 1 ? "order needs" : "orders need"} a decision`;
    setText(title, number === 0 ? "Nothing needs you" : needs);
    root.classList.toggle("calm", number === 0);
    const worst = waiting.toSorted(
      (one, other) => other.state.localeCompare(one.state) || one.order.localeCompare(other.order),
    );
    const items = worst.slice(0, MOST_WAITING).map((one) => {
      // An item stays for as long as nothing of it changes, and with it the focus of whoever is on it.
      const key = JSON.stringify(one);
      const item = known.get(key) ?? waitingItem(one);
      known.set(key, item);
      return item;
    });
    for (const [key, item] of known) if (!items.includes(item)) known.delete(key);
    setText(more, `and ${number - MOST_WAITING} more`);
    arrange(list, number > MOST_WAITING ? [...items, more] : items);
  };
  return { root, show };
}

function waitingItem({ order, stage, state, reason }: Waiting): HTMLElement {
  const { title, tone } = ATTEMPT_WORDS[state];
  return element(
    "li",
    {},
    element("span", { class: `pill ${tone}` }, title),
    element("a", { href: orderAddress(order) }, order),
    element("span", {}, THINGS[stage]),
    element("span", { class: "quiet reason" }, reason ?? ""),
  );
}

type Filter = "all" | RelationState;

function orderList(live: Live) {
  let filter: Filter = "all";
  let page = 0;
  const search = element("input", {
    id: "search",
    type: "search",
    autocomplete: "off",
    placeholder: "Order, customer, kitchen order or shipment",
  });
  const buttons = (["all", ...OPEN] as Filter[]).map((name) => {
    const title = name === "all" ? "All" : RELATION_WORDS[name].title;
    const button = element("button", { type: "button", "aria-pressed": String(name === filter) }, title);
    button.addEventListener("click", () => {
      filter = name;
      page = 0;
      for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
      show(Date.now());
    });
    return button;
  });
  search.addEventListener("input", () => {
    page = 0;
    show(Date.now());
  });
  const body = element("tbody");
  const heading = (title: string, name: string) => element("th", { scope: "col", class: name }, title);
  const table = element(
    "table",
    { class: "orders" },
    element("caption", { class: "unseen" }, "Orders on their way, those that have been longest where they are first"),
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        heading("Order", "order"),
        heading("Where", "where"),
        heading("For", "for"),
        heading("Customer", "customer"),
        heading("Kitchen order", "kitchen"),
        heading("Shipment", "shipment"),
      ),
    ),
    body,
  );
  const empty = element("p", { class: "quiet empty" });
  const position = element("span", { role: "status" });
  const step = (by: number) => () => {
    page += by;
    show(Date.now());
    table.scrollIntoView({ block: "start" });
  };
  const back = element("button", { type: "button", click: step(-1) }, "Back");
  const next = element("button", { type: "button", click: step(1) }, "Next");
  const pages = element("nav", { class: "pages", "aria-label": "Pages of orders" }, back, position, next);
  const rows = new Map<string, Row>();
  const root = element(
    "section",
    { "aria-labelledby": "orders-title" },
    element("h2", { id: "orders-title" }, "Orders on their way"),
    element(
      "div",
      { class: "filters" },
      element("div", { role: "group", "aria-label": "Where they are", class: "choice" }, ...buttons),
      element("label", { for: "search", class: "unseen" }, "Search"),
      search,
    ),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "List of orders" }, table),
    empty,
    pages,
  );

  function show(now: number): void {
    const wanted = search.value.trim().toLowerCase();
    const found = [...live.open.values()].filter(
      (relation) => (filter === "all" || relation.state === filter) && (wanted === "" || matches(relation, wanted)),
    );
    found.sort(
      (one, other) => (one.since?.getTime() ?? 0) - (other.since?.getTime() ?? 0) || (one.id < other.id ? -1 : 1),
    );
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(Math.max(page, 0), last);
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    place(shown, now);
    table.hidden = found.length === 0;
    const nothing = wanted || filter !== "all" ? "No order on its way is like that." : "No order is on its way.";
    setText(empty, found.length > 0 ? "" : live.isComplete ? nothing : "Looking …");
    back.disabled = page === 0;
    next.disabled = page === last;
    pages.hidden = last === 0;
    setText(position, `${page * PAGE + 1}–${page * PAGE + shown.length} of ${found.length.toLocaleString()}`);
  }

  /** Rows that stay are kept, so that whoever is on one stays there. */
  function place(shown: Relation[], now: number): void {
    const kept = new Set(shown.map(({ id }) => id));
    for (const id of rows.keys()) if (!kept.has(id)) rows.delete(id);
    const placed = shown.map((relation) => {
      const row = rows.get(relation.id) ?? orderRow(relation.id);
      rows.set(relation.id, row);
      row.show(relation, now);
      return row.root;
    });
    arrange(body, placed);
  }

  return { root, show };
}

interface Row {
  root: HTMLElement;
  show(relation: Relation, now: number): void;
}

function orderRow(id: string): Row {
  const cell = (name: string, title: string) => element("td", { class: name, "data-title": title });
  const pill = element("span");
  const where = cell("where", "Where");
  where.append(pill);
  const since = cell("for", "For");
  const customer = cell("customer", "Customer");
  const kitchen = cell("kitchen", "Kitchen order");
  const shipment = cell("shipment", "Shipment");
  const root = element(
    "tr",
    {},
    element("th", { scope: "row", class: "order" }, element("a", { href: orderAddress(id) }, id)),
    where,
    since,
    customer,
    kitchen,
    shipment,
  );
  const show = (relation: Relation, now: number) => {
    const { title, tone } = RELATION_WORDS[relation.state];
    pill.className = `pill ${tone}`;
    setText(pill, title);
    setText(since, relation.since ? duration(now - relation.since.getTime()) : "");
    setText(
      customer,
      relation.customer && "name" in relation.customer ? relation.customer.name : (relation.customerId ?? ""),
    );
    setText(kitchen, relation.kitchen ?? "");
    setText(shipment, relation.shipment ?? "");
  };
  return { root, show };
}

function matches({ id, customerId, kitchen, shipment }: Relation, wanted: string): boolean {
  return [id, customerId, kitchen, shipment].some((text) => text?.toLowerCase().includes(wanted));
}
