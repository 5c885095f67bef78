/** Orders that need attention, those with the same reason together, and one decision for as many as are selected. */
import { html, nothing, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { actionsFor } from "../../../functions/src/attempts/reason-codes.js";
import type { Attention } from "../documents.js";
import { plural, reasonTitle, THINGS } from "../labels.js";
import type { BulkAction } from "../order-requests.js";
import { addressOf, type Route } from "../router.js";
import { ATTEMPT_LABELS } from "./attempt-labels.js";
import style from "./attention.css";
import { BULK_TEXTS, bulkDialog } from "./bulk-dialog.js";
import { groupByReason } from "./figures.js";
import { age, type Context, pill, useStyle, type View } from "./view.js";

/** So many orders of a group are shown until all are asked for. */
const SHOWN_FIRST = 20;

const BULK_ACTIONS = Object.keys(BULK_TEXTS) as BulkAction[];

/** What the operator has chosen in this view. */
interface Choice {
  readonly selected: Set<string>;
  readonly expanded: Set<string>;
  reason: string;
}

export function attention(context: Context, { query }: Route): View {
  useStyle(style);
  const choice: Choice = { selected: new Set(), expanded: new Set(), reason: query.get("reason") ?? "" };
  let result = "";

  async function decide(action: BulkAction, selected: Attention[]): Promise<void> {
    const done = await bulkDialog(context.api, selected, action);
    if (!done) return;
    result = done;
    choice.selected.clear();
    context.redraw();
  }

  return {
    title: "Needs attention",
    onQuery: (changed) => {
      choice.reason = changed.get("reason") ?? "";
    },
    render: () => {
      const { live, session } = context;
      // What has been decided elsewhere is selected no more.
      for (const path of choice.selected) if (!live.attention.has(path)) choice.selected.delete(path);
      const all = groupByReason(live.attention.values());
      const groups = all.filter(([first]) => choice.reason === "" || first?.code === choice.reason);
      const selected = [...choice.selected].flatMap((path) => live.attention.get(path) ?? []);
      return html`<h1>Needs attention</h1>
        ${choice.reason ? html`<p>Only ${reasonTitle(choice.reason)}. <a href="/attention">Show all</a></p>` : nothing}
        ${result ? html`<p class="result" role="status">${result}</p>` : nothing}
        ${groups.length === 0 ? html`<p class="quiet empty">${live.isReady ? `No orders need attention${choice.reason ? " for this reason" : ""}.` : "Loading…"}</p>` : nothing}
        ${groups.map((group) => groupSection(group, choice, session.role === "operator", context.redraw))}
        ${selected.length > 0 ? selectionBar(selected, choice, decide, context.redraw) : nothing}`;
    },
  };
}

function groupSection(
  group: Attention[],
  choice: Choice,
  mayDecide: boolean,
  redraw: () => void,
): TemplateResult | typeof nothing {
  const [first] = group;
  if (!first) return nothing;
  const { stage, state, code, message } = first;
  const key = `${stage} ${state} ${code} ${message}`;
  const shown = choice.expanded.has(key) ? group : group.slice(0, SHOWN_FIRST);
  const isAll = group.every(({ path }) => choice.selected.has(path));
  const toggleAll = () => {
    for (const { path } of group) toggle(choice.selected, path, !isAll);
    redraw();
  };
  return html`<section class="card group" aria-label=${`${reasonTitle(code)}: ${plural(group.length, "order")}`}>
    <header>
      ${mayDecide ? html`<label class="check"><input type="checkbox" .checked=${isAll} @change=${toggleAll} /><span class="unseen">Select all ${group.length}</span></label>` : nothing}
      <h2>${reasonTitle(code)}</h2>
      ${pill(ATTEMPT_LABELS[state].title, ATTEMPT_LABELS[state].color)}
      <span class="quiet">${plural(group.length, THINGS[stage])}</span>
    </header>
    <p>${ATTEMPT_LABELS[state].explain(THINGS[stage])} <code>${code}${message ? `: ${message}` : ""}</code></p>
    <ul class="rows">
      ${repeat(
        shown,
        ({ path }) => path,
        (one) => attentionRow(one, choice, mayDecide, redraw),
      )}
    </ul>
    ${
      shown.length < group.length
        ? html`<button type="button" @click=${() => {
            choice.expanded.add(key);
            redraw();
          }}>Show all ${group.length}</button>`
        : nothing
    }
  </section>`;
}

function attentionRow(one: Attention, choice: Choice, mayDecide: boolean, redraw: () => void): TemplateResult {
  const { path, order, since } = one;
  const onChange = () => {
    toggle(choice.selected, path, !choice.selected.has(path));
    redraw();
  };
  return html`<li>
    ${mayDecide ? html`<label class="check"><input type="checkbox" .checked=${choice.selected.has(path)} @change=${onChange} /><span class="unseen">Select ${order}</span></label>` : nothing}
    <a class="grow" data-row href=${addressOf(order)}>${order}</a>
    <span class="quiet number">${since ? html`${age(since)} ago` : nothing}</span>
  </li>`;
}

function toggle(set: Set<string>, path: string, isIn: boolean): void {
  if (isIn) set.add(path);
  else set.delete(path);
}

function selectionBar(
  selected: Attention[],
  choice: Choice,
  decide: (action: BulkAction, selected: Attention[]) => Promise<void>,
  redraw: () => void,
): TemplateResult {
  const clear = () => {
    choice.selected.clear();
    redraw();
  };
  return html`<div class="selection" role="region" aria-label="Selection">
    <strong>${plural(selected.length, "order")} selected</strong>
    ${BULK_ACTIONS.map((action) => {
      // Not every reason allows every decision: a button counts what it applies to.
      const possible = selected.filter(({ code }) => actionsFor(code).includes(action));
      return html`<button
        class=${action === "retry" ? "primary" : ""}
        type="button"
        ?disabled=${possible.length === 0}
        @click=${() => decide(action, possible)}
      >
        ${BULK_TEXTS[action].button} ${possible.length}…
      </button>`;
    })}
    <button type="button" @click=${clear}>Clear</button>
  </div>`;
}
