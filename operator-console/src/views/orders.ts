/** Finds any order, active or completed: by its own id or those linked to it, by customer, or by outcome and day. */
import { html, nothing, type TemplateResult } from "lit-html";
import { RELATION_STATES, type RelationState } from "../../../functions/src/domain/order-lifecycle.js";
import type { SearchPage } from "../../../functions/src/operator-api/schemas.js";
import { RELATION_LABELS, THINGS } from "../labels.js";
import { addressOf, addressWith, navigate, type Route } from "../router.js";
import { orderRow, orderTable } from "./order-table.js";
import style from "./orders.css";
import { age, type Context, loading, messageOf, pill, problem, useStyle, type View } from "./view.js";

const ENDED_STATES = (Object.keys(RELATION_STATES) as RelationState[]).filter((state) => !RELATION_STATES[state].open);

type Found = SearchPage["orders"][number];

export function orders(context: Context, { query }: Route): View {
  useStyle(style);
  let asked = query;
  let page: SearchPage | undefined;
  let error: string | undefined;
  let number = 0;

  async function search(): Promise<void> {
    const mine = ++number;
    error = undefined;
    try {
      const found = await context.api.send<SearchPage>(`/api/orders?${apiQuery(asked)}`);
      if (mine !== number) return;
      page = found;
    } catch (failed) {
      if (mine !== number) return;
      page = undefined;
      error = messageOf(failed);
    }
    context.redraw();
  }

  void search();
  return {
    title: asked.get("q") ? `Search: ${asked.get("q")}` : "Orders",
    onQuery: (changed) => {
      if (changed.toString() === asked.toString()) return;
      asked = changed;
      page = undefined;
      void search();
    },
    render: () => html`<h1>Orders</h1>
      ${searchForm(asked)} ${problem(error, search)} ${page ? results(page, asked) : error ? nothing : loading}`,
  };
}

/** The parts of the address that the API knows. */
function apiQuery(query: URLSearchParams): URLSearchParams {
  const wanted = new URLSearchParams();
  for (const name of ["q", "outcome", "day", "pageToken"]) {
    const value = query.get(name)?.trim();
    if (value) wanted.set(name, value);
  }
  return wanted;
}

function searchForm(query: URLSearchParams): TemplateResult {
  const submit = (event: Event) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(data.get(name) ?? "").trim();
    navigate(addressWith({ q: text("q"), outcome: text("outcome"), day: text("day"), pageToken: "" }));
  };
  const outcome = query.get("outcome") ?? "";
  return html`<form class="search-form" role="search" aria-label="All orders" @submit=${submit}>
    <label class="grow">
      <span>Order, kitchen order, shipment or customer</span>
      <input name="q" type="search" autocomplete="off" spellcheck="false" maxlength="1400" .value=${query.get("q") ?? ""} />
    </label>
    <label>
      <span>Outcome</span>
      <select name="outcome" .value=${outcome}>
        <option value="">Any</option>
        ${ENDED_STATES.map((state) => html`<option value=${state} ?selected=${state === outcome}>${RELATION_LABELS[state].title}</option>`)}
      </select>
    </label>
    <label>
      <span>Day completed (UTC)</span>
      <input name="day" type="date" .value=${query.get("day") ?? ""} />
    </label>
    <button class="primary" type="submit">Search</button>
  </form>`;
}

function results({ orders: found, nextPageToken }: SearchPage, query: URLSearchParams): TemplateResult {
  if (found.length === 0) {
    const text = nextPageToken === "" ? nothingFound(query) : "No matches on this page. There may be more on the next.";
    return html`<p class="quiet empty" role="status">${text}</p>${more(nextPageToken, query)}`;
  }
  const isSearch = Boolean(query.get("q")?.trim());
  const titles = { state: "State", time: isSearch ? "Placed" : "Completed" };
  const rows = found.map((order) => rowOf(order, isSearch ? order.placedAt : order.since));
  const sorting = found.length > 1 ? ", newest first" : "";
  return html`<p class="quiet" role="status">${found.length}${nextPageToken ? "+" : ""} ${found.length === 1 ? "order" : "orders"} ${isSearch ? "found" : "completed"}${sorting}</p>
    ${orderTable("Orders found", titles, rows)} ${more(nextPageToken, query)}`;
}

/** @param time what the list is sorted by */
function rowOf({ id, state, attention, customer, ...links }: Found, time: string | null): TemplateResult {
  const label = state ? RELATION_LABELS[state] : undefined;
  return orderRow({
    id,
    state: html`${label ? pill(label.title, label.color) : pill("Not started", "new")}
      ${attention ? pill(`${THINGS[attention]} needs attention`, "bad") : nothing}`,
    time: time ? html`${age(new Date(time))} ago` : "",
    customer,
    links,
  });
}

function more(nextPageToken: string, query: URLSearchParams): TemplateResult | typeof nothing {
  if (nextPageToken === "" && !query.has("pageToken")) return nothing;
  return html`<nav class="pages" aria-label="Pages of orders">
    ${query.has("pageToken") ? html`<a class="button" href=${addressWith({ pageToken: "" })}>First page</a>` : nothing}
    ${nextPageToken ? html`<a class="button" rel="next" href=${addressWith({ pageToken: nextPageToken })}>Next page</a>` : nothing}
  </nav>`;
}

function nothingFound(query: URLSearchParams): TemplateResult | string {
  const text = query.get("q")?.trim();
  if (text) {
    // Only the food service knows an order that has not been sent to the kitchen yet.
    const id = text.replace(/^orders\//, "");
    const mayBeId = !id.includes("/");
    const filters = query.has("outcome") || query.has("day") ? " with these filters" : "";
    return html`No order matches “${text}”${filters}. Search by a whole id, name or customer.
      ${mayBeId ? html`<a href=${addressOf(id)}>Ask the food service about it</a>` : nothing}`;
  }
  return query.get("day") ? "No orders completed on this day." : "No orders completed in the last 24 hours.";
}
