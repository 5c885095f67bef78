/** A modal dialog, in the document only while it is open. The browser keeps the focus in it and Escape closes it. */
import { render, type TemplateResult } from "lit-html";
import style from "./dialog.css";
import { useStyle } from "./view.js";

export interface Dialog {
  /** Draws the content again. */
  redraw(): void;
  close(): void;
  /** Resolves when the dialog has closed. */
  closed: Promise<void>;
}

/** @param titleId the id of the heading in the content */
export function openDialog(titleId: string, content: (dialog: Dialog) => TemplateResult): Dialog {
  useStyle(style);
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
