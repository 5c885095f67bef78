/** A modal dialog that is there as long as it is open. The browser keeps the focus in it and Escape closes it. */
import { html, render, type TemplateResult } from "lit-html";

export interface Dialog {
  /** Draws the content again. */
  redraw(): void;
  close(): void;
  /** Resolves when the dialog has closed. */
  closed: Promise<void>;
}

/** @param titleId the id of the heading in the content */
export function openDialog(titleId: string, content: (dialog: Dialog) => TemplateResult): Dialog {
  const element = document.createElement("dialog");
  element.setAttribute("aria-labelledby", titleId);
  const dialog: Dialog = {
    redraw: () => void render(content(dialog), element),
    close: () => element.close(),
    closed: new Promise((resolve) => {
      element.addEventListener("close", () => {
        element.remove();
        resolve();
      });
    }),
  };
  document.body.append(element);
  dialog.redraw();
  element.showModal();
  return dialog;
}

/** The keys of the console, which `?` shows. */
const KEYS = [
  ["/", "Search all orders"],
  ["j", "Next row"],
  ["k", "Previous row"],
  ["Enter", "Open the row"],
  ["x", "Select the row"],
  ["?", "Show these keys"],
  ["Esc", "Close a dialog, leave a field"],
] as const;

export function openKeys(): void {
  openDialog(
    "keys-title",
    (dialog) => html`<h2 id="keys-title">Keyboard shortcuts</h2>
      <dl class="keys">${KEYS.map(([key, does]) => html`<dt><kbd>${key}</kbd></dt><dd>${does}</dd>`)}</dl>
      <div class="buttons"><button type="button" @click=${dialog.close}>Close</button></div>`,
  );
}
