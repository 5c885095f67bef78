/** The dialog in which an operator decides about an attempt. */
import type { Auth } from "firebase/auth";
import { ApiError, type Attempt, decide } from "./api.js";
import { element, setText } from "./element.js";
import { THINGS } from "./labels.js";

const KINDS = {
  link: {
    title: (thing: string) => `Link the ${thing}`,
    explain: (thing: string) =>
      `You have found the ${thing} that belongs to this order. Its name is looked up before it is linked.`,
    button: "Link it",
    done: "Linked. The order goes on by itself.",
  },
  retry: {
    title: (thing: string) => `Ask for the ${thing} again`,
    explain: (thing: string) => `You are certain that there is no ${thing} yet. If there is one, this makes a second.`,
    button: "Try it again",
    done: "The next poll tries it again.",
  },
} as const;

/**
 * Asks for a reason and carries the decision out; resolves with what to tell, or undefined where it was called off.
 * One key goes with every press of the button, so that a lost answer costs nothing.
 */
export function askDecision(
  auth: Auth,
  id: string,
  attempt: Attempt,
  action: keyof typeof KINDS,
): Promise<string | undefined> {
  const { title, explain, button, done } = KINDS[action];
  const { stage, version } = attempt;
  const thing = THINGS[stage];
  const key = crypto.randomUUID();
  const name = element("input", {
    id: "decision-name",
    required: true,
    maxlength: "1400",
    autocomplete: "off",
    spellcheck: "false",
  });
  const reason = element("textarea", { id: "decision-reason", required: true, maxlength: "500", rows: "3" });
  const problem = element("p", { class: "problem", role: "alert" });
  const confirm = element("button", { class: "primary", type: "submit" }, button);
  const cancel = element("button", { type: "button" }, "Cancel");
  const form = element(
    "form",
    {},
    element("h2", { id: "decision-title", class: "dialog-title" }, title(thing)),
    element("p", {}, explain(thing)),
    ...(action === "link" ? [element("label", { for: "decision-name" }, "Name"), name] : []),
    element("label", { for: "decision-reason" }, "Reason"),
    reason,
    problem,
    element("div", { class: "buttons" }, confirm, cancel),
  );
  const dialog = element("dialog", { "aria-labelledby": "decision-title" }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    let result: string | undefined;
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    cancel.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      confirm.disabled = true;
      setText(problem, "");
      const body = { reason: reason.value, version, ...(action === "link" && { name: name.value.trim() }) };
      decide(auth, { id, stage, action }, body, key).then(
        () => {
          result = done;
          dialog.close();
        },
        (error: unknown) => {
          confirm.disabled = false;
          setText(problem, error instanceof ApiError ? error.message : String(error));
        },
      );
    });
    dialog.showModal();
  });
}
