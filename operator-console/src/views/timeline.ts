/** Where an order's time went, as a picture beside the median, and step by step. */
import { html, nothing, svg, type TemplateResult } from "lit-html";
import { RELATION_STATES, type RelationState, stageLeadingTo } from "../../../functions/src/domain/order-lifecycle.js";
import type { OrderDetail, StageSummary } from "../../../functions/src/operator-api/schemas.js";
import {
  ACTIVE_STAGES,
  type ActiveStage,
  type Color,
  duration,
  moment,
  RELATION_LABELS,
  STAGE_LABELS,
} from "../labels.js";

type Relation = NonNullable<OrderDetail["relation"]>;

/** What is known of an order without a relation: only the food service has it. */
interface Waiting {
  /** When it was placed, if it is NEW and the food service has been asked. */
  placedAt: string | undefined;
  /** Whether a create was tried. */
  wasTried: boolean;
}

interface Step {
  title: string;
  color: Color;
  at: Date;
  linked: string | undefined;
}

interface Span {
  stage: ActiveStage;
  ms: number;
  isCurrent: boolean;
}

export function timeline(
  relation: Relation | undefined,
  typical: StageSummary | undefined,
  { placedAt, wasTried }: Waiting,
): TemplateResult {
  if (relation) return course(relation, typical);
  const note = wasTried ? "No kitchen order is linked yet." : "Not sent to the kitchen yet.";
  return html`${placedAt ? course({ placedAt, times: {} }, typical) : nothing}<p class="card">${note}</p>`;
}

type Course = Pick<Relation, "placedAt" | "times"> & Partial<Relation>;

function course(order: Course, typical: StageSummary | undefined): TemplateResult {
  const spans = spansOf(order, Date.now());
  const steps = stepsOf(order);
  return html`${picture(spans, typical)}
    <ol class="steps">
      ${steps.map(
        ({ title, color, at, linked }, index) => html`<li class=${color}>
          <strong>${title}</strong>
          <time datetime=${at.toISOString()}>${moment(at)}</time>
          ${index > 0 ? html`<span class="quiet">+${duration(at.getTime() - (steps[index - 1]?.at.getTime() ?? 0), true)}</span>` : nothing}
          ${linked ? html`<code>${linked}</code>` : nothing}
        </li>`,
      )}
    </ol>`;
}

/** Each state that the order came to, oldest first. */
function stepsOf({ placedAt, times, ...links }: Course): Step[] {
  const placed: Step[] = placedAt ? [{ title: "Placed", color: "new", at: new Date(placedAt), linked: undefined }] : [];
  const steps = (Object.keys(RELATION_STATES) as RelationState[]).flatMap((state): Step[] => {
    const at = times[state];
    if (!at) return [];
    const stage = stageLeadingTo(state);
    const linked = stage && links[stage];
    return [{ ...RELATION_LABELS[state], at: new Date(at), linked }];
  });
  return [...placed, ...steps].toSorted((one, other) => one.at.getTime() - other.at.getTime());
}

/** How long the order was, or is, in each stage that it entered. */
function spansOf({ placedAt, times, state }: Course, now: number): Span[] {
  const starts = ACTIVE_STAGES.map((stage) => (stage === "NEW" ? placedAt : times[stage]));
  const ended = state && !RELATION_STATES[state].open ? times[state] : undefined;
  return ACTIVE_STAGES.flatMap((stage, index) => {
    const [start, end] = [starts[index], starts[index + 1] ?? ended];
    if (!start) return [];
    const ms = Math.max(0, (end ? Date.parse(end) : now) - Date.parse(start));
    return [{ stage, ms, isCurrent: end === undefined }];
  });
}

function picture(spans: Span[], typical: StageSummary | undefined): TemplateResult | typeof nothing {
  if (spans.length === 0) return nothing;
  const medians = (stage: ActiveStage) => typical?.stages[stage]?.medianMs;
  const longest = Math.max(1, ...spans.flatMap(({ stage, ms }) => [ms, medians(stage) ?? 0]));
  const share = (ms: number) => `${Math.max(0.8, (ms / longest) * 100).toFixed(1)}`;
  return html`<div class="card spans">
    ${spans.map(({ stage, ms, isCurrent }) => {
      const { title, color } = STAGE_LABELS[stage];
      const median = medians(stage);
      return html`<div class="span">
        <span>${title}</span>
        <svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">
          <rect class="track" width="100" height="12" />
          <rect class="fill ${color}" width=${share(ms)} height="12" />
          ${median === undefined ? nothing : medianMark(Number(share(median)))}
        </svg>
        <span class="number">${duration(ms, true)}${isCurrent ? " so far" : ""}</span>
        <span class="quiet">${median === undefined ? nothing : compared(ms, median)}</span>
      </div>`;
    })}
  </div>`;
}

function medianMark(at: number): TemplateResult {
  return svg`<rect class="mark" x=${Math.min(99, at)} width="0.8" height="12" />`;
}

function compared(ms: number, median: number): string {
  return ms > 1.5 * median && median > 0
    ? `${(ms / median).toFixed(1)}× the median of ${duration(median)}`
    : `median ${duration(median)}`;
}
