/** What every view of the console is made of. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Api } from "../api.js";
import type { DataSource, Session } from "../data/source.js";
import type { Color } from "../labels.js";
import { duration, moment } from "../labels.js";
import type { Live } from "../live.js";
import type { Statistics } from "../statistics.js";

/** What a view works with. */
export interface Context {
  readonly source: DataSource;
  readonly session: Session;
  readonly api: Api;
  readonly live: Live;
  readonly statistics: Statistics;
  /** Draws everything again soon. */
  redraw(): void;
}

export interface View {
  /** The document's title. */
  title: string;
  render(): TemplateResult;
  /** The query of the address has changed while the view stayed. */
  onQuery?(query: URLSearchParams): void;
  stop?(): void;
}

export const pill = (title: string, color: Color) => html`<span class="pill ${color}">${title}</span>`;

/** @param retry does again what failed, if a person may ask for that */
export const problem = (message: string | undefined, retry?: () => void) =>
  message
    ? html`<p class="problem" role="alert">${message}
        ${retry ? html`<button type="button" @click=${() => retry()}>Try again</button>` : nothing}</p>`
    : nothing;

export const loading = html`<p class="quiet loading" role="status">Loading…</p>`;

/** How long ago something was, with the moment itself on hover. */
export function age(at: Date | undefined, now = Date.now()): TemplateResult | typeof nothing {
  if (!at) return nothing;
  return html`<time datetime=${at.toISOString()} title=${moment(at)}>${duration(now - at.getTime())}</time>`;
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const used = new Set<string>();

/** Applies the style sheet of a view, once. It comes with the view's script. */
export function useStyle(css: string): void {
  if (used.has(css)) return;
  used.add(css);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}
