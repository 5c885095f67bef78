/** Charts as SVG. Each has the same figures in a table for people who can't see it. */
import { html, nothing, svg, type TemplateResult } from "lit-html";
import { count } from "./labels.js";
import { pathOf, round } from "./sparkline.js";

interface Series {
  title: string;
  /** A color class of the style sheet. */
  color: string;
  values: readonly number[];
}

interface ChartOptions {
  title: string;
  /** One label for each value. */
  labels: readonly string[];
  series: readonly Series[];
  /** How a value is written, such as a duration. */
  write?: (value: number) => string;
  /** What the axis counts in, such as the milliseconds of a minute. */
  unit?: number;
}

const WIDTH = 640;
const HEIGHT = 180;
const LEFT = 52;
const BOTTOM = 22;
const TOP = 10;
const TICKS = 3;
/** The maximum of labels below a chart. */
const MAX_LABELS = 6;

/** Bars side by side, one group for each label. */
export function barChart(options: ChartOptions): TemplateResult {
  const { series, labels } = options;
  const scale = scaleFor(options);
  const step = (WIDTH - LEFT) / Math.max(1, labels.length);
  const width = Math.max(1, Math.min(18, (step * 0.72) / series.length));
  const bars = series.map(({ color, values, title }, index) =>
    values.map((value, at) => {
      const height = Math.max(value > 0 ? 1.5 : 0, scale.height(value));
      const x = LEFT + at * step + (step - width * series.length) / 2 + index * width;
      return svg`<rect class="fill ${color}" x=${round(x)} y=${round(HEIGHT - BOTTOM - height)} width=${round(width - 0.5)} height=${round(height)} rx="1.5"><title>${labels[at]}, ${title}: ${written(options, value)}</title></rect>`;
    }),
  );
  return figure(options, scale, step, svg`${bars}`);
}

/** One line for each series. */
export function lineChart(options: ChartOptions): TemplateResult {
  const { series, labels } = options;
  const scale = scaleFor(options);
  const step = (WIDTH - LEFT) / Math.max(1, labels.length);
  const lines = series.map(({ color, values }) => {
    const points = values.map(
      (value, at) => [LEFT + (at + 0.5) * step, HEIGHT - BOTTOM - scale.height(value)] as const,
    );
    // A line of one point would be invisible.
    const [first] = points;
    if (points.length === 1 && first)
      return svg`<circle class="dot-mark ${color}" cx=${first[0]} cy=${first[1]} r="3" />`;
    return svg`<path class="line ${color}" d=${pathOf(points)} />`;
  });
  return figure(options, scale, step, svg`${lines}`);
}

interface Scale {
  most: number;
  height(value: number): number;
}

function scaleFor({ series, unit = 1 }: ChartOptions): Scale {
  const most = niceCeiling(Math.max(1, ...series.flatMap(({ values }) => values)) / unit) * unit;
  return { most, height: (value) => (value / most) * (HEIGHT - BOTTOM - TOP) };
}

/** The next round number whose half is also round. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(value)));
  const steps = power === 1 ? [2, 4, 6, 8] : [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8];
  return (steps.find((one) => one * power >= value) ?? 10) * power;
}

function figure(options: ChartOptions, scale: Scale, step: number, marks: TemplateResult): TemplateResult {
  const { title, series, labels } = options;
  return html`<figure class="card chart">
    <figcaption>
      <strong>${title}</strong>
      ${series.length > 1 ? series.map(({ title: name, color }) => html`<span class="key ${color}">${name}</span>`) : nothing}
    </figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true">
      ${grid(options, scale)} ${marks} ${axis(labels, step)}
    </svg>
    ${table(options)}
  </figure>`;
}

function grid(options: ChartOptions, { most, height }: Scale): TemplateResult[] {
  return Array.from({ length: TICKS }, (_, index) => {
    const value = (most * index) / (TICKS - 1);
    const y = round(HEIGHT - BOTTOM - height(value));
    return svg`<line class="grid" x1=${LEFT} x2=${WIDTH} y1=${y} y2=${y} /><text x=${LEFT - 8} y=${y + 4} text-anchor="end">${written(options, value)}</text>`;
  });
}

function axis(labels: readonly string[], step: number): TemplateResult[] {
  const every = Math.max(1, Math.ceil(labels.length / MAX_LABELS));
  return labels.flatMap((label, index) =>
    index % every === 0
      ? [svg`<text x=${round(LEFT + (index + 0.5) * step)} y=${HEIGHT - 5} text-anchor="middle">${label}</text>`]
      : [],
  );
}

function table(options: ChartOptions): TemplateResult {
  const { title, labels, series } = options;
  // A table grows with its contents whatever its height is: what hides it is around it.
  return html`<div class="unseen"><table>
    <caption>${title}</caption>
    <thead><tr><th scope="col">Time</th>${series.map(({ title: name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>
      ${labels.map(
        (label, index) => html`<tr>
          <th scope="row">${label}</th>
          ${series.map(({ values }) => html`<td>${written(options, values[index] ?? 0)}</td>`)}
        </tr>`,
      )}
    </tbody>
  </table></div>`;
}

function written({ write = count }: ChartOptions, value: number): string {
  return write(value);
}
