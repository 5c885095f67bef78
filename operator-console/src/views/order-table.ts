/** The table of every list of orders: the same columns, with titles of their own for the state and the time. */
import { html, type TemplateResult } from "lit-html";
import { CREATING_STAGES, type CreatingStage } from "../../../functions/src/domain/order-lifecycle.js";
import { linkTitle } from "../labels.js";
import { addressOf } from "../router.js";

/** The titles of the columns that differ between lists. */
interface Titles {
  state: string;
  time: string;
}

interface Row {
  id: string;
  state: unknown;
  time: unknown;
  customer: string | null | undefined;
  links: { [S in CreatingStage]: string | null | undefined };
}

export function orderTable(caption: string, { state, time }: Titles, rows: unknown): TemplateResult {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table class="orders">
      <caption class="unseen">${caption}</caption>
      <thead>
        <tr>
          <th scope="col">Order</th>
          <th scope="col">${state}</th>
          <th scope="col" class="number">${time}</th>
          <th scope="col">Customer</th>
          ${CREATING_STAGES.map((stage) => html`<th scope="col">${linkTitle(stage)}</th>`)}
        </tr>
      </thead>
      <tbody>${rows}</tbody>
    </table>
  </div>`;
}

export function orderRow({ id, state, time, customer, links }: Row): TemplateResult {
  return html`<tr>
    <th scope="row"><a data-row href=${addressOf(id)}>${id}</a></th>
    <td>${state}</td>
    <td class="number">${time}</td>
    <td>${customer ?? ""}</td>
    ${CREATING_STAGES.map((stage) => html`<td class="secondary">${links[stage] ?? ""}</td>`)}
  </tr>`;
}
