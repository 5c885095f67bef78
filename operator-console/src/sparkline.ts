/** A small line without axes; the figures stand beside it. */
import { html, type TemplateResult } from "lit-html";

export function sparkline(values: readonly number[], color: string): TemplateResult {
  if (values.length < 2) return html`<span class="sparkline"></span>`;
  const most = Math.max(1, ...values);
  const points = values.map((value, index) => [(index / (values.length - 1)) * 120, 30 - (value / most) * 26] as const);
  return html`<svg class="sparkline ${color}" viewBox="0 0 120 32" preserveAspectRatio="none" aria-hidden="true">
    <path class="area" d="${pathOf(points)}L120 32L0 32Z" />
    <path class="line ${color}" d=${pathOf(points)} />
  </svg>`;
}

export function pathOf(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], index) => `${index === 0 ? "M" : "L"}${round(x)} ${round(y)}`).join("");
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
