/** An attempt with its error in words, and what an operator may do about it. */
import { html, nothing, type TemplateResult } from "lit-html";
import { ATTEMPT_STATES } from "../../../functions/src/attempts/attempt-states.js";
import { type Action, actionsFor } from "../../../functions/src/attempts/reason-codes.js";
import type { OrderDetail } from "../../../functions/src/operator-api/schemas.js";
import type { AttemptLogs } from "../data/source.js";
import { linkTitle, moment, plural, reasonTitle, THINGS } from "../labels.js";
import { ATTEMPT_LABELS } from "./attempt-labels.js";
import { pill } from "./view.js";

type Attempt = OrderDetail["attempts"][number];

const ACTION_LABELS = { link: "Link existing…", retry: "Retry…", dismiss: "Dismiss…" } as const satisfies Record<
  Action,
  string
>;

/** The log lines that may be about an attempt are from this long before and after its latest try. */
const LOGGED_MS = 900_000;

/**
 * @param act is called with the operator's choice; undefined for people who may only look
 * @param logsAddress the URL of the order's log lines about an attempt
 */
export function attemptCard(
  attempt: Attempt,
  act: ((attempt: Attempt, action: Action) => void) | undefined,
  logsAddress: (attempt: AttemptLogs) => string | undefined,
): TemplateResult {
  const { stage, state, tries, reason, claimedAt, nextTryAt } = attempt;
  const { title, color, explain } = ATTEMPT_LABELS[state];
  const actions = act && ATTEMPT_STATES[state].needsOperator ? actionsFor(reason?.code) : [];
  const sent = tries === 0 ? "No request sent." : `${plural(tries, "attempt")}.`;
  const last = claimedAt && tries > 0 ? ` Last attempt ${moment(new Date(claimedAt))}.` : "";
  const time = (offsetMs: number) => new Date(Date.parse(claimedAt ?? "") + offsetMs).toISOString();
  const logs = claimedAt && logsAddress({ stage, from: time(-LOGGED_MS), to: time(LOGGED_MS) });
  const next = nextTryAt ? ` Next retry ${moment(new Date(nextTryAt))}.` : "";
  return html`<article class="card attempt ${color}">
    <h3>${linkTitle(stage)} ${pill(title, color)}</h3>
    <p>${explain(THINGS[stage])}</p>
    ${reason ? html`<p class="reason"><strong>${reasonTitle(reason.code)}</strong> <code>${reason.code}: ${reason.message}</code></p>` : nothing}
    <p class="quiet">${sent}${last}${next} ${logs ? html`<a href=${logs} target="_blank" rel="noopener">Logs of this attempt</a>` : nothing}</p>
    ${
      actions.length > 0
        ? html`<div class="buttons">
            ${actions.map((action) => html`<button type="button" @click=${() => act?.(attempt, action)}>${ACTION_LABELS[action]}</button>`)}
          </div>`
        : nothing
    }
  </article>`;
}
