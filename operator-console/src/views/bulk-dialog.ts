/** One decision for many orders: a preview, a reason, progress, and the outcome of each. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Api } from "../api.js";
import type { Attention } from "../documents.js";
import { plural, THINGS } from "../labels.js";
import { type BulkAction, decideAll } from "../order-requests.js";
import { type Dialog, openDialog } from "./dialog.js";
import { messageOf, problem } from "./view.js";

/** So many decisions go in one request, which bounds how long it takes. */
const CHUNK_SIZE = 20;

/** So many orders the preview names. */
const PREVIEWED = 6;

export const BULK_TEXTS = {
  retry: {
    button: "Retry",
    warning: "Only continue if you are sure nothing was created for them. Otherwise this creates duplicates.",
    done: "queued for retry",
    next: "The next poll retries them.",
  },
  dismiss: {
    button: "Dismiss",
    warning: "Nothing more will be done about these attempts for this reason. This can't be undone.",
    done: "dismissed",
    next: "Nothing more will be done about them for this reason.",
  },
} as const satisfies Record<BulkAction, unknown>;

interface Refusal {
  order: string;
  reason: string;
}

/** Where the dialog is. */
interface Progress {
  step: "preview" | "sending" | "done";
  decided: number;
  refused: Refusal[];
  error: string | undefined;
}

/** @returns what to tell the operator, undefined if nothing was decided */
export async function bulkDialog(api: Api, selected: Attention[], action: BulkAction): Promise<string | undefined> {
  const key = crypto.randomUUID();
  const progress: Progress = { step: "preview", decided: 0, refused: [], error: undefined };

  async function send(reason: string): Promise<void> {
    progress.step = "sending";
    progress.error = undefined;
    progress.decided = 0;
    progress.refused = [];
    try {
      for (let from = 0; from < selected.length; from += CHUNK_SIZE) {
        dialog.redraw();
        await sendChunk(selected.slice(from, from + CHUNK_SIZE), reason, `${key}-${from}`);
      }
      progress.step = "done";
    } catch (failed) {
      // Sending again with the same keys repeats nothing.
      progress.step = "preview";
      progress.error = messageOf(failed);
    }
    dialog.redraw();
  }

  async function sendChunk(chunk: Attention[], reason: string, chunkKey: string): Promise<void> {
    const attempts = chunk.map(({ order: id, stage, claim }) => ({ id, stage, claim }));
    const { results } = await decideAll(api, action, attempts, reason, chunkKey);
    for (const { id, problem: refusal } of results) {
      if (refusal) progress.refused.push({ order: id, reason: refusal.detail });
      else progress.decided++;
    }
  }

  const dialog = openDialog("bulk-title", (self) => content(action, selected, progress, self, send));
  await dialog.closed;
  return progress.decided > 0 ? `${plural(progress.decided, "order")} ${BULK_TEXTS[action].done}.` : undefined;
}

function content(
  action: BulkAction,
  selected: Attention[],
  progress: Progress,
  dialog: Dialog,
  send: (reason: string) => Promise<void>,
): TemplateResult {
  if (progress.step === "done") return outcome(action, progress, dialog);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void send(String(new FormData(event.currentTarget as HTMLFormElement).get("reason")));
  };
  const isSending = progress.step === "sending";
  const done = progress.decided + progress.refused.length;
  const { button, warning } = BULK_TEXTS[action];
  return html`<form @submit=${submit}>
    <h2 id="bulk-title">${button} ${plural(selected.length, "order")}</h2>
    <p>${warning}</p>
    <ul class="preview">
      ${selected.slice(0, PREVIEWED).map(({ order, stage }) => html`<li><code>${order}</code> <span class="quiet">${THINGS[stage]}</span></li>`)}
      ${selected.length > PREVIEWED ? html`<li class="quiet">and ${selected.length - PREVIEWED} more</li>` : nothing}
    </ul>
    <label for="bulk-reason">Reason</label>
    <textarea id="bulk-reason" name="reason" required maxlength="500" rows="3" ?readonly=${isSending}></textarea>
    ${problem(progress.error)}
    ${isSending ? html`<label for="bulk-progress">${done} of ${selected.length} done</label><progress id="bulk-progress" max=${selected.length} value=${done}></progress>` : nothing}
    <div class="buttons">
      <button class="primary" type="submit" ?disabled=${isSending}>${button} ${selected.length}</button>
      <button type="button" ?disabled=${isSending} @click=${dialog.close}>Cancel</button>
    </div>
  </form>`;
}

function outcome(action: BulkAction, { decided, refused }: Progress, { close }: Dialog): TemplateResult {
  const { done, next } = BULK_TEXTS[action];
  return html`<h2 id="bulk-title">${plural(decided, "order")} ${done}</h2>
    <p role="status">${refused.length === 0 ? next : `${plural(refused.length, "order")} unchanged:`}</p>
    <ul class="preview">${refused.map(({ order, reason }) => html`<li><code>${order}</code> ${reason}</li>`)}</ul>
    <div class="buttons"><button class="primary" type="button" @click=${close}>Close</button></div>`;
}
