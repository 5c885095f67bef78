/** The dialog in which an operator decides about one attempt. */
import { html, nothing } from "lit-html";
import type { Action } from "../../../functions/src/attempts/reason-codes.js";
import type { OrderDetail } from "../../../functions/src/operator-api/schemas.js";
import type { Api } from "../api.js";
import { THINGS } from "../labels.js";
import { decide } from "../order-requests.js";
import { openDialog } from "./dialog.js";
import { messageOf, problem } from "./view.js";

type Attempt = OrderDetail["attempts"][number];

const TEXTS = {
  link: {
    title: (thing: string) => `Link an existing ${thing}`,
    explain: (thing: string) =>
      `Enter the name of the existing ${thing}. It is verified with the food service before linking.`,
    button: "Link",
    done: "Linked. Processing continues automatically.",
  },
  retry: {
    title: (thing: string) => `Retry creating the ${thing}`,
    explain: (thing: string) => `Only continue if you are sure no ${thing} exists. Otherwise this creates a duplicate.`,
    button: "Retry",
    done: "Queued for retry at the next poll.",
  },
  dismiss: {
    title: (thing: string) => `Dismiss the ${thing}`,
    explain: (thing: string) => `Nothing more will be done about the ${thing} for this reason. This can't be undone.`,
    button: "Dismiss",
    done: "Dismissed.",
  },
} as const satisfies Record<Action, unknown>;

/**
 * Asks for a reason and applies the decision. Each press of the button sends the same key, so a lost answer is harmless.
 * @returns what to tell the operator, undefined if they cancelled
 */
export async function decisionDialog(
  api: Api,
  id: string,
  { stage, version }: Attempt,
  action: Action,
): Promise<string | undefined> {
  const { title, explain, button, done } = TEXTS[action];
  const thing = THINGS[stage];
  const key = crypto.randomUUID();
  let error: string | undefined;
  let isBusy = false;
  let result: string | undefined;

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const name = String(data.get("name") ?? "").trim();
    isBusy = true;
    error = undefined;
    dialog.redraw();
    try {
      const decision = { reason: String(data.get("reason")), ...(action === "link" && { name }) };
      await decide(api, { id, stage, version }, action, decision, key);
      result = done;
      dialog.close();
    } catch (failed) {
      isBusy = false;
      error = messageOf(failed);
      dialog.redraw();
    }
  }

  const dialog = openDialog(
    "decision-title",
    ({ close }) => html`<form @submit=${submit}>
      <h2 id="decision-title">${title(thing)}</h2>
      <p>${explain(thing)}</p>
      ${
        action === "link"
          ? html`<label for="decision-name">Name</label>
              <input id="decision-name" name="name" required maxlength="1400" autocomplete="off" spellcheck="false" />`
          : nothing
      }
      <label for="decision-reason">Reason</label>
      <textarea id="decision-reason" name="reason" required maxlength="500" rows="3"></textarea>
      ${problem(error)}
      <div class="buttons">
        <button class="primary" type="submit" ?disabled=${isBusy}>${button}</button>
        <button type="button" @click=${close}>Cancel</button>
      </div>
    </form>`,
  );
  await dialog.closed;
  return result;
}
