/** What is going on now: the system's status, the flow of orders, what needs attention, and every active order. */
import { html, nothing, type TemplateResult } from "lit-html";
import { guard } from "lit-html/directives/guard.js";
import { repeat } from "lit-html/directives/repeat.js";
import { CREATING_STAGES } from "../../../functions/src/domain/order-lifecycle.js";
import type { Attention, Relation } from "../documents.js";
import {
  ACTIVE_STAGES,
  type ActiveStage,
  count,
  duration,
  plural,
  RELATION_LABELS,
  reasonTitle,
  STAGE_LABELS,
  THINGS,
} from "../labels.js";
import { addressOf, addressWith, navigate, type Route } from "../router.js";
import { sparkline } from "../sparkline.js";
import { completedIn, groupByReason } from "./figures.js";
import { orderRow, orderTable } from "./order-table.js";
import { statusStrip } from "./status-strip.js";
import { age, type Context, loading, pill, type View } from "./view.js";

/** So many orders are shown at a time: more rows than a person reads only slow the browser down. */
const PAGE_SIZE = 50;

const MAX_GROUPS = 5;

/** What the address says about the list. */
interface Filter {
  stage: ActiveStage | "all";
  text: string;
  page: number;
}

export function overview(context: Context, { query }: Route): View {
  let filter = filterIn(query);
  return {
    title: "Overview",
    onQuery: (changed) => {
      filter = filterIn(changed);
    },
    render: () => {
      context.statistics.refresh();
      if (!context.live.isReady) return html`<h1 class="unseen">Overview</h1>${loading}`;
      const now = Date.now();
      return html`<h1 class="unseen">Overview</h1>
        ${statusStrip(context, now)} ${attentionSummary(context)} ${flow(context)} ${activeOrders(context, filter, now)}`;
    },
  };
}

function filterIn(query: URLSearchParams): Filter {
  const stage = ACTIVE_STAGES.find((one) => one === query.get("stage")) ?? "all";
  const page = Math.max(1, Number.parseInt(query.get("page") ?? "1", 10) || 1);
  return { stage, text: query.get("filter") ?? "", page: page - 1 };
}

function attentionSummary({ live }: Context): TemplateResult {
  const groups = groupByReason(live.attention.values());
  const total = live.attention.size;
  const title = total === 0 ? "No orders need attention" : `${plural(total, "order needs", "orders need")} attention`;
  return html`<section class="attention ${total === 0 ? "calm" : ""}" aria-labelledby="attention-title">
    <header>
      <h2 id="attention-title">${title}</h2>
      ${total > 0 ? html`<a class="button" href="/attention">Review and decide</a>` : nothing}
    </header>
    ${groups.length === 0 ? nothing : html`<ul class="rows">${groups.slice(0, MAX_GROUPS).map(attentionRow)}</ul>`}
    ${groups.length > MAX_GROUPS ? html`<p class="quiet">and ${plural(groups.length - MAX_GROUPS, "more reason")}</p>` : nothing}
  </section>`;
}

function attentionRow(group: Attention[]): TemplateResult | typeof nothing {
  const [first] = group;
  if (!first) return nothing;
  const { order, stage, code, message } = first;
  return html`<li>
    <span class="pill bad">${THINGS[stage]}</span>
    <span class="grow"><strong>${reasonTitle(code)}</strong> <span class="quiet">${message}</span></span>
    ${
      group.length === 1
        ? html`<a data-row href=${addressOf(order)}>${order}</a>`
        : html`<a data-row href=${`/attention?reason=${encodeURIComponent(code)}`}>${plural(group.length, "order")}</a>`
    }
  </li>`;
}

function flow({ live, statistics }: Context): TemplateResult {
  const { health } = live;
  const counts = countByState(live.active.values());
  const { current } = statistics;
  const unknown = statistics.error ? "figures unavailable" : "loading…";
  return html`<section aria-labelledby="flow-title">
    <header class="section-head">
      <h2 id="flow-title">Flow</h2>
      <a href="/flow">Charts</a>
    </header>
    <ol class="flow">
      ${ACTIVE_STAGES.map((stage) => {
        const { title, color } = STAGE_LABELS[stage];
        // Until the active orders have arrived, the last poll knows how many there are.
        const shown = stage === "NEW" || !live.isComplete ? health.active?.[stage] : (counts.get(stage) ?? 0);
        const times = current?.day.stages[stage];
        return html`<li class=${color}>
          <h3>${title}</h3>
          <p class="figure" data-count=${stage}>${shown === undefined ? "–" : count(shown)}</p>
          ${guard([health.points], () =>
            sparkline(
              health.points.map((point) => point[stage]),
              color,
            ),
          )}
          <p class="quiet">${times ? `median ${duration(times.medianMs)}, p95 ${duration(times.p95Ms)}` : current ? "no times yet" : unknown}</p>
        </li>`;
      })}
      <li class="good">
        <h3>Completed <span class="quiet">in 24 h</span></h3>
        <p class="figure" data-count="completed">${current ? count(completedIn(current.hours.slice(-24))) : "–"}</p>
        ${sparkline(current?.hours.slice(-25, -1).map((hour) => completedIn([hour])) ?? [], "good")}
        <p class="quiet">${current ? `${count(completedIn(current.hours.slice(-1)))} this hour` : unknown}</p>
      </li>
    </ol>
  </section>`;
}

function countByState(relations: Iterable<Relation>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { state } of relations) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

interface Page {
  shown: Relation[];
  total: number;
  page: number;
  last: number;
}

/** The active orders that the filter lets through, longest in stage first, one page of them. */
function visibleOrders(relations: Iterable<Relation>, { stage, text, page }: Filter): Page {
  const wanted = text.trim().toLowerCase();
  const found = [...relations].filter(
    (relation) => (stage === "all" || relation.state === stage) && (wanted === "" || matches(relation, wanted)),
  );
  found.sort(
    (one, other) => (one.since?.getTime() ?? 0) - (other.since?.getTime() ?? 0) || (one.id < other.id ? -1 : 1),
  );
  const last = Math.max(0, Math.ceil(found.length / PAGE_SIZE) - 1);
  const at = Math.min(page, last);
  return { shown: found.slice(at * PAGE_SIZE, (at + 1) * PAGE_SIZE), total: found.length, page: at, last };
}

function matches({ id, customer, customerId, ...links }: Relation, wanted: string): boolean {
  return [id, customer, customerId, ...CREATING_STAGES.map((stage) => links[stage])].some((text) =>
    text?.toLowerCase().includes(wanted),
  );
}

function activeOrders(context: Context, filter: Filter, now: number): TemplateResult {
  const { live } = context;
  const waiting = filter.stage === "NEW";
  const page = visibleOrders(live.active.values(), filter);
  return html`<section aria-labelledby="orders-title">
    <header class="section-head">
      <h2 id="orders-title">Active orders</h2>
      <div role="group" aria-label="Filter by stage" class="choice">
        ${(["all", ...ACTIVE_STAGES] as const).map(
          (stage) => html`<button
            type="button"
            aria-pressed=${filter.stage === stage}
            @click=${() => navigate(addressWith({ stage: stage === "all" ? "" : stage, page: "" }), { replace: true })}
          >
            ${stage === "all" ? "All" : STAGE_LABELS[stage].title}
          </button>`,
        )}
      </div>
      <input
        type="search"
        aria-label="Filter active orders"
        placeholder="Filter"
        autocomplete="off"
        .value=${filter.text}
        @input=${(event: InputEvent) =>
          navigate(addressWith({ filter: (event.target as HTMLInputElement).value, page: "" }), { replace: true })}
      />
    </header>
    ${waiting ? newOrders(context, filter, now) : html`${ordersTable(page, now)} ${emptyNote(context, filter, page)} ${pages(page)} ${newNote(context, filter)}`}
  </section>`;
}

/** Orders without a relation yet: the poll remembers those that have been NEW for the longest. */
function newOrders({ live: { health } }: Context, { text }: Filter, now: number): TemplateResult {
  const total = health.active?.NEW ?? 0;
  const wanted = text.trim().toLowerCase();
  const shown = health.waiting.filter(({ order }) => order.toLowerCase().includes(wanted));
  if (health.waiting.length === 0) return html`<p class="quiet empty">No new orders at the last poll.</p>`;
  return html`<div class="scroll"><table class="orders">
      <caption class="unseen">New orders, longest waiting first</caption>
      <thead><tr><th scope="col">Order</th><th scope="col" class="number">Waiting for</th></tr></thead>
      <tbody>
        ${shown.map(
          ({ order, since }) => html`<tr>
            <th scope="row"><a data-row href=${addressOf(order)}>${order}</a></th>
            <td class="number">${age(since, now)}</td>
          </tr>`,
        )}
      </tbody>
    </table></div>
    <p class="quiet">The ${health.waiting.length} longest waiting of ${plural(total, "new order")}.</p>`;
}

/** The list of all stages has no new orders, since they have no relation. */
function newNote({ live: { health } }: Context, { stage }: Filter): TemplateResult | typeof nothing {
  const total = health.active?.NEW;
  if (!total || stage !== "all") return nothing;
  return html`<p class="quiet">Not listed: ${plural(total, "new order")}. <a href=${addressWith({ stage: "NEW", page: "" })}>Longest waiting</a></p>`;
}

function ordersTable({ shown }: Page, now: number): TemplateResult | typeof nothing {
  if (shown.length === 0) return nothing;
  const rows = repeat(
    shown,
    ({ id }) => id,
    (relation) =>
      guard([relation, relation.since && duration(now - relation.since.getTime())], () => rowOf(relation, now)),
  );
  const titles = { state: "Stage", time: "Time in stage" };
  return orderTable("Active orders, longest in stage first", titles, rows);
}

function rowOf({ id, state, since, customer, ...links }: Relation, now: number): TemplateResult {
  const { title, color } = RELATION_LABELS[state];
  return orderRow({ id, state: pill(title, color), time: age(since, now), customer, links });
}

function emptyNote({ live }: Context, { stage, text }: Filter, { total }: Page): TemplateResult | typeof nothing {
  if (total > 0) return nothing;
  if (!live.isComplete) return html`<p class="quiet empty" role="status">Loading…</p>`;
  const isFiltered = text.trim() !== "" || stage !== "all";
  return html`<p class="quiet empty">
    ${
      isFiltered
        ? html`No active orders match your filters. <a href=${`/orders?q=${encodeURIComponent(text.trim())}`}>Search all orders</a>`
        : "No active orders."
    }
  </p>`;
}

function pages({ shown, total, page, last }: Page): TemplateResult | typeof nothing {
  if (last === 0) return nothing;
  const go = (to: number) => () => navigate(addressWith({ page: to === 0 ? "" : String(to + 1) }));
  return html`<nav class="pages" aria-label="Pages of orders">
    <button type="button" ?disabled=${page === 0} @click=${go(page - 1)}>Previous</button>
    <span role="status">${page * PAGE_SIZE + 1}–${page * PAGE_SIZE + shown.length} of ${count(total)}</span>
    <button type="button" ?disabled=${page === last} @click=${go(page + 1)}>Next</button>
  </nav>`;
}
