/** Where an order's time went, as a picture beside the median, and step by step. */
import { html, nothing, svg, type TemplateResult } from "lit-html";
import { RELATION_STATES, type RelationState, stageLeadingTo } from "../../../functions/src/domain/order-lifecycle.js";
import type { OrderDetail, StageSummary } from "../../../functions/src/operator-api/schemas.js";
import {
  ACTIVE_STAGES,
  type ActiveStage,
  type Color,
  duration,
  linkTitle,
  moment,
  RELATION_LABELS,
  STAGE_LABELS,
} from "../labels.js";
import { ATTEMPT_LABELS } from "./attempt-labels.js";

type Relation = NonNullable<OrderDetail["relation"]>;

type Attempt = OrderDetail["attempts"][number];

interface Step {
  title: string;
  color: Color;
  at: Date;
  linked: string | undefined;
}

interface Span {
  stage: ActiveStage;
  ms: number;
  /** Whether it may have begun earlier. */
  isAtLeast: boolean;
  isCurrent: boolean;
}

/** What is known of a new order, which has no relation. */
export interface NewSince {
  placedAt?: string | undefined;
  /** When a create was tried: the order was new at that time. */
  triedAt?: string | undefined;
}

export function timeline(
  relation: Relation | null | undefined,
  attempts: Attempt[],
  typical: StageSummary | undefined,
  newSince: NewSince,
): TemplateResult {
  const course = relation ?? { ...newSince, times: {} };
  const steps = stepsOf(course, attempts);
  return html`${picture(spansOf(course, Date.now()), typical)}
    <ol class="steps">
      ${steps.map(
        ({ title, color, at, linked }, index) => html`<li class=${color}>
          <strong>${title}</strong>
          <time datetime=${at.toISOString()}>${moment(at)}</time>
          ${index > 0 ? html`<span class="quiet">+${duration(at.getTime() - (steps[index - 1]?.at.getTime() ?? 0), true)}</span>` : nothing}
          ${linked ? html`<code>${linked}</code>` : nothing}
        </li>`,
      )}
    </ol>
    ${relation || attempts.length > 0 ? nothing : html`<p class="card">Not sent to the kitchen yet.</p>`}`;
}

type Course = Pick<Relation, "times"> & Partial<Relation> & NewSince;

/** Each state that the order came to, and the latest try of each open attempt, oldest first. */
function stepsOf({ placedAt, times, ...links }: Course, attempts: Attempt[]): Step[] {
  const placed: Step[] = placedAt ? [{ title: "Placed", color: "new", at: new Date(placedAt), linked: undefined }] : [];
  const steps = (Object.keys(RELATION_STATES) as RelationState[]).flatMap((state): Step[] => {
    const at = times[state];
    if (!at) return [];
    const stage = stageLeadingTo(state);
    const linked = stage && links[stage];
    return [{ ...RELATION_LABELS[state], at: new Date(at), linked }];
  });
  const tried = attempts.flatMap(({ stage, state, tries, claimedAt }): Step[] => {
    const { title, color } = ATTEMPT_LABELS[state];
    const what = `${linkTitle(stage)} ${tries > 0 ? "attempted" : title.toLowerCase()}`;
    return claimedAt ? [{ title: what, color, at: new Date(claimedAt), linked: undefined }] : [];
  });
  return [...placed, ...steps, ...tried].toSorted((one, other) => one.at.getTime() - other.at.getTime());
}

/** How long the order was, or is, in each stage that it entered. */
function spansOf({ placedAt, triedAt, times, state }: Course, now: number): Span[] {
  const starts = ACTIVE_STAGES.map((stage) => (stage === "NEW" ? (placedAt ?? triedAt) : times[stage]));
  const ended = state && !RELATION_STATES[state].open ? times[state] : undefined;
  return ACTIVE_STAGES.flatMap((stage, index) => {
    const [start, end] = [starts[index], starts[index + 1] ?? ended];
    if (!start) return [];
    const ms = Math.max(0, (end ? Date.parse(end) : now) - Date.parse(start));
    return [{ stage, ms, isCurrent: end === undefined, isAtLeast: stage === "NEW" && !placedAt }];
  });
}

function picture(spans: Span[], typical: StageSummary | undefined): TemplateResult | typeof nothing {
  if (spans.length === 0) return nothing;
  const medians = (stage: ActiveStage) => typical?.stages[stage]?.medianMs;
  const longest = Math.max(1, ...spans.flatMap(({ stage, ms }) => [ms, medians(stage) ?? 0]));
  const share = (ms: number) => `${Math.max(0.8, (ms / longest) * 100).toFixed(1)}`;
  return html`<div class="card spans">
    ${spans.map(({ stage, ms, isCurrent, isAtLeast }) => {
      const { title, color } = STAGE_LABELS[stage];
      const median = medians(stage);
      return html`<div class="span">
        <span>${title}</span>
        <svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">
          <rect class="track" width="100" height="12" />
          <rect class="fill ${color}" width=${share(ms)} height="12" />
          ${median === undefined ? nothing : medianMark(Number(share(median)))}
        </svg>
        <span class="number">${isAtLeast ? "at least " : ""}${duration(ms, true)}${isCurrent ? " so far" : ""}</span>
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
