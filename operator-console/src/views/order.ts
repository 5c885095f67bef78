/** One order: where its time went, what was tried, what people decided, what the food service says now, and the actions. */
import { html, nothing, type TemplateResult } from "lit-html";
import { ATTEMPT_STATES } from "../../../functions/src/attempts/attempt-states.js";
import type { Action } from "../../../functions/src/attempts/reason-codes.js";
import {
  CREATING_STAGES,
  type CreatingStage,
  RELATION_STATES,
  STATE_TITLES,
} from "../../../functions/src/domain/order-lifecycle.js";
import type { Documents, FoodServiceView, OrderDetail } from "../../../functions/src/operator-api/schemas.js";
import type { AttemptLogs } from "../data/source.js";
import { duration, linkTitle, moment, RELATION_LABELS, sentenceCase, THINGS } from "../labels.js";
import { readDocuments, readFoodService, readOrder } from "../order-requests.js";
import type { Route } from "../router.js";
import { attemptCard } from "./attempt-card.js";
import { decisionDialog } from "./decision-dialog.js";
import style from "./order.css";
import { type NewSince, timeline } from "./timeline.js";
import { age, type Context, loading, messageOf, pill, problem, useStyle, type View } from "./view.js";

type Attempt = OrderDetail["attempts"][number];

/** What is known of an order so far. What is not there is not loaded yet; null is known not to exist. */
interface Known {
  detail?: OrderDetail | null | undefined;
  foodService?: FoodServiceView | null | undefined;
  documents?: Documents | undefined;
  error?: string | undefined;
  result?: string | undefined;
}

export function order(context: Context, { id }: Route): View {
  useStyle(style);
  const known: Known = {};
  let number = 0;

  /** Loads something into `known` and draws it, or the reason why it can't be loaded. */
  async function load<K extends "detail" | "foodService" | "documents">(
    name: K,
    found: Promise<Known[K]>,
  ): Promise<void> {
    try {
      known[name] = await found;
      known.error = undefined;
    } catch (error) {
      known.error = messageOf(error);
    }
    context.redraw();
  }
  const loadFoodService = () => load("foodService", readFoodService(context.api, id));
  const loadDocuments = () => load("documents", readDocuments(context.api, id));

  async function loadDetail(): Promise<void> {
    const mine = ++number;
    await load(
      "detail",
      readOrder(context.api, id).then((detail) => (mine === number ? detail : known.detail)),
    );
    // Only the food service knows an order that has nothing stored yet.
    if (known.detail === null && known.foodService === undefined) await loadFoodService();
    if (known.documents) await loadDocuments();
  }

  function act(attempt: Attempt, action: Action): void {
    void decisionDialog(context.api, id, attempt, action).then(async (result) => {
      known.result = result;
      await loadDetail();
    });
  }

  const onChanges = () => void loadDetail();
  const unwatch = context.source.watch({ order: id }, { onChanges, onDenied: () => {} });
  let seen = attentionKey(context, id);
  return {
    title: `Order ${id}`,
    stop: unwatch,
    render: () => {
      context.statistics.refresh();
      const key = attentionKey(context, id);
      if (key !== seen) {
        seen = key;
        void loadDetail();
      }
      return html`<p><a href="/">← Active orders</a></p>
        ${head(id, known)} ${problem(known.error, loadDetail)}
        ${known.result ? html`<p class="result" role="status">${known.result}</p>` : nothing}
        ${body(context, id, known, { act, loadFoodService, loadDocuments })}`;
    },
  };
}

interface Actions {
  act(attempt: Attempt, action: Action): void;
  loadFoodService(): Promise<void>;
  loadDocuments(): Promise<void>;
}

/** Changes when an attempt of this order comes to need attention, or no longer does. */
function attentionKey({ live }: Context, id: string): string {
  const mine = [...live.attention.values()].filter(({ order: its }) => its === id);
  return mine.map(({ path, state, claim, message }) => `${path} ${state} ${claim} ${message}`).join("\n");
}

function head(id: string, { detail, foodService }: Known): TemplateResult {
  const relation = detail?.relation;
  return html`<header class="order-head">
    <h1>${id}</h1>
    ${
      relation?.state
        ? pill(RELATION_LABELS[relation.state].title, RELATION_LABELS[relation.state].color)
        : isUnknown(detail, foodService)
          ? pill("Not found", "quiet")
          : detail !== undefined
            ? pill("Not started", "new")
            : nothing
    }
    ${detail?.attempts.some(({ state }) => ATTEMPT_STATES[state].needsOperator) ? pill("Needs attention", "bad") : nothing}
    <span class="quiet">${relation?.state ? inStage(relation) : nothing}</span>
  </header>`;
}

type RelationView = NonNullable<OrderDetail["relation"]>;

function inStage({ state, times, placedAt }: RelationView): string {
  const since = state && times[state];
  if (!state || !since) return "";
  const at = new Date(since);
  if (RELATION_STATES[state].open) return `In this stage for ${duration(Date.now() - at.getTime())}`;
  const after = placedAt ? `, ${duration(at.getTime() - Date.parse(placedAt), true)} after it was placed` : "";
  return `${RELATION_LABELS[state].title} at ${moment(at)}${after}`;
}

function isUnknown(detail: Known["detail"], foodService: Known["foodService"]): boolean {
  return detail === null && foodService === null;
}

function body(context: Context, id: string, known: Known, actions: Actions): TemplateResult | typeof nothing {
  const { detail, foodService } = known;
  if (detail === undefined) return known.error ? nothing : loading;
  if (isUnknown(detail, foodService)) {
    return html`<div class="card"><p><strong>No such order.</strong> Neither this system nor the food service knows <code>orders/${id}</code>.</p>
      <p><a href="/orders">Search all orders</a></p></div>`;
  }
  const tried = attempts(context, id, detail, actions);
  // What needs attention comes first; that nothing does is no news.
  const isOpen = detail !== null && detail.attempts.length + detail.unreadable.length > 0;
  return html`${isOpen ? tried : nothing}
    <div class="columns">
      <section aria-labelledby="timeline-title">
        <h2 id="timeline-title">Timeline</h2>
        ${timeline(detail?.relation, detail?.attempts ?? [], context.statistics.current?.day, newSince(context, id, known))}
      </section>
      <div>
        ${details(detail?.relation)} ${upstream(known, actions)}
      </div>
    </div>
    ${isOpen ? nothing : tried}
    ${decisions(detail)} ${rawDocuments(known, actions)}`;
}

/** Since when an order without a relation is new: only the food service, the poll and an open create know. */
function newSince({ live }: Context, id: string, { detail, foodService }: Known): NewSince {
  const order = foodService?.order;
  if (order && order.status !== "NEW") return {};
  const waiting = live.health.waiting.find(({ order: its }) => its === id);
  const create = detail?.attempts.find(
    ({ stage, state, tries }) => stage === "kitchen" && state !== "CLOSED" && tries > 0,
  );
  return { placedAt: order?.placedAt ?? waiting?.since.toISOString(), triedAt: create?.claimedAt };
}

function attempts(context: Context, id: string, detail: OrderDetail | null, { act }: Actions): TemplateResult {
  const logsAddress = (attempt?: AttemptLogs) => context.source.logsAddress(`orders/${id}`, attempt);
  const logs = logsAddress();
  const mayDecide = context.session.role === "operator";
  const unreadable = detail?.unreadable ?? [];
  const all = detail?.attempts ?? [];
  return html`<section aria-labelledby="attempts-title">
    <header class="section-head">
      <h2 id="attempts-title">Open attempts</h2>
      ${logs ? html`<a href=${logs} target="_blank" rel="noopener">Logs</a>` : nothing}
    </header>
    ${unreadable.map(({ reason }) => problem(`Couldn't read a document: ${reason}`))}
    ${all.length === 0 ? html`<p class="quiet">No open attempts.</p>` : nothing}
    <div class="cards">${all.map((attempt) => attemptCard(attempt, mayDecide ? act : undefined, logsAddress))}</div>
  </section>`;
}

function details(relation: RelationView | null | undefined): TemplateResult {
  const customer = relation?.customer;
  const profile =
    customer === undefined
      ? "Not resolved yet"
      : "reason" in customer
        ? `Lookup failed: ${customer.reason.message}`
        : `${customer.name}, class ${customer.class}, roll ${customer.roll}`;
  const customerId = relation?.customerId;
  return html`<section aria-labelledby="details-title">
    <h2 id="details-title">Details</h2>
    <dl class="card facts">
      <dt>Customer</dt>
      <dd>${customerId ? html`<a href=${`/orders?q=${encodeURIComponent(customerId)}`}>${customerId}</a>` : "—"}</dd>
      <dt>Customer profile</dt>
      <dd>${profile}</dd>
      ${CREATING_STAGES.map((stage) => html`<dt>${linkTitle(stage)}</dt><dd>${relation?.[stage] ?? "—"}</dd>`)}
    </dl>
  </section>`;
}

/** The food service's view of the order, loaded on request. */
function upstream({ foodService }: Known, { loadFoodService }: Actions): TemplateResult {
  return html`<section aria-labelledby="upstream-title">
    <header class="section-head">
      <h2 id="upstream-title">Food service</h2>
      <button type="button" @click=${loadFoodService}>${foodService !== undefined ? "Check again" : "Check now"}</button>
    </header>
    ${
      foodService === undefined
        ? html`<p class="card quiet">Requests the current status from the food service.</p>`
        : foodService === null
          ? html`<p class="card">The food service doesn't know this order.</p>`
          : html`<dl class="card facts">
              <dt>Order</dt>
              <dd>${STATE_TITLES[foodService.order.status]}</dd>
              ${foodService.order.placedAt ? html`<dt>Placed</dt><dd>${moment(new Date(foodService.order.placedAt))}</dd>` : nothing}
              <dt>Kitchen order</dt>
              <dd>${linked(foodService.kitchenOrder)}</dd>
              <dt>Shipment</dt>
              <dd>${linked(foodService.shipment)}</dd>
              <dt>Checked</dt>
              <dd>${age(new Date(foodService.at))} ago</dd>
            </dl>`
    }
  </section>`;
}

function linked(found: FoodServiceView["kitchenOrder"]): string {
  if (found === null) return "—";
  return "status" in found ? sentenceCase(found.status) : `${found.problem.code}: ${found.problem.message}`;
}

function decisions(detail: OrderDetail | null): TemplateResult {
  const entries = detail?.audit ?? [];
  return html`<section aria-labelledby="decisions-title">
    <h2 id="decisions-title">Operator decisions</h2>
    ${entries.length === 0 ? html`<p class="quiet">No decisions yet.</p>` : nothing}
    <ul class="rows ${entries.length > 0 ? "card" : ""}">
      ${entries.map(({ by, action, name, stage, reason, at }) => {
        return html`<li>
          <span class="grow"><strong>${by}</strong> ${decisionText({ action, name, stage })}: “${reason}”</span>
          <time class="quiet" datetime=${at}>${moment(new Date(at))}</time>
        </li>`;
      })}
    </ul>
  </section>`;
}

/** What an operator did, in the past tense. */
function decisionText({
  action,
  name,
  stage,
}: {
  action: string;
  name?: string | undefined;
  stage: CreatingStage;
}): string {
  if (action === "link") return `linked ${name}`;
  return `${action === "dismiss" ? "dismissed" : "retried"} the ${THINGS[stage]}`;
}

function rawDocuments({ documents }: Known, { loadDocuments }: Actions): TemplateResult {
  const onToggle = (event: Event) => {
    if ((event.target as HTMLDetailsElement).open && !documents) void loadDocuments();
  };
  return html`<details class="raw" @toggle=${onToggle}>
    <summary>Raw documents</summary>
    ${
      documents
        ? documents.documents.map(
            ({
              path,
              version,
              fields,
            }) => html`<h3><code>${path}</code> <span class="quiet">version ${version}</span></h3>
              <pre tabindex="0" role="region" aria-label=${path}>${JSON.stringify(fields, undefined, 2)}</pre>`,
          )
        : loading
    }
  </details>`;
}
