/** The list of keys, which `?` shows. */
import { html } from "lit-html";
import { openDialog } from "./dialog.js";

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
