/** How long open orders have been where they are, as bars; the same figures stand in a table for who does not see them. */
import { RELATION_STATES, type RelationState } from "../../functions/src/domain/order-lifecycle.js";
import type { Relation } from "./documents.js";
import { element } from "./element.js";
import { RELATION_WORDS } from "./labels.js";

/** Upper ends of the bars, in minutes. */
const ENDS = [5, 10, 20, 40, Number.POSITIVE_INFINITY];

const MINUTE = 60_000;
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 84;
const BASE = 64;

const label = (index: number) => {
  const end = ENDS[index] ?? 0;
  return end === Number.POSITIVE_INFINITY ? `${ENDS[index - 1]}+` : `<${end}`;
};

/** One chart for each state that is open. */
export function stageCharts(relations: Iterable<Relation>, now: number): HTMLElement {
  const open = (Object.keys(RELATION_STATES) as RelationState[]).filter((state) => RELATION_STATES[state].open);
  const counts = new Map(open.map((state) => [state, ENDS.map(() => 0)]));
  for (const { state, since } of relations) {
    const bars = counts.get(state);
    if (!bars || !since) continue;
    const index = ENDS.findIndex((end) => now - since.getTime() < end * MINUTE);
    bars[index] = (bars[index] ?? 0) + 1;
  }
  return element("div", { class: "charts" }, ...open.map((state) => chart(state, counts.get(state) ?? [])));
}

function chart(state: RelationState, bars: number[]): HTMLElement {
  const { title, tone } = RELATION_WORDS[state];
  const rows = bars.map((count, index) =>
    element("tr", {}, element("th", { scope: "row" }, `${label(index)} min`), element("td", {}, String(count))),
  );
  const table = element(
    "table",
    {},
    element("caption", {}, `${title}: how many orders for how long`),
    element(
      "thead",
      {},
      element("tr", {}, element("th", { scope: "col" }, "Minutes"), element("th", { scope: "col" }, "Orders")),
    ),
    element("tbody", {}, ...rows),
  );
  return element(
    "figure",
    { class: `chart ${tone}` },
    drawn(bars),
    element("figcaption", {}, `${title}, minutes so far`),
    element("div", { class: "unseen" }, table),
  );
}

function drawn(bars: number[]): SVGElement {
  const picture = part("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" });
  const most = Math.max(1, ...bars);
  const step = WIDTH / bars.length;
  for (const [index, count] of bars.entries()) {
    const height = Math.round((count / most) * (BASE - 16));
    const x = index * step + 4;
    const middle = { x: String(x + (step - 8) / 2), "text-anchor": "middle" };
    picture.append(
      part("rect", {
        class: "bar",
        x: String(x),
        y: String(BASE - Math.max(height, 1)),
        width: String(step - 8),
        height: String(Math.max(height, 1)),
        rx: "2",
      }),
      part("text", { class: "value", ...middle, y: String(BASE - height - 4) }, count > 0 ? String(count) : ""),
      part("text", { class: "axis", ...middle, y: String(HEIGHT - 4) }, label(index)),
    );
  }
  return picture;
}

function part(name: string, attributes: Record<string, string>, text = ""): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.textContent = text;
  return made;
}
