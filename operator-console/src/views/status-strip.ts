/** Is it alive? The poll, the food service, the oldest order of each stage, the report lag and the version, each with its level. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Relation } from "../documents.js";
import { ACTIVE_STAGES, type ActiveStage, count, duration, plural, STAGE_LABELS } from "../labels.js";
import { addressOf } from "../router.js";
import { FAILED_POLLS_MS, type Level, levelOf, STALE_LAG_MS } from "../thresholds.js";
import type { Context } from "./view.js";

interface Cell {
  title: string;
  level: Level;
  value: string;
  detail: string;
  href?: string;
}

const LEVEL_WORDS = { ok: "OK", amber: "Warning", red: "Critical", unknown: "No data" } as const satisfies Record<
  Level,
  string
>;

export function statusStrip(context: Context, now = Date.now()): TemplateResult {
  const { health } = context.live;
  const cells = [
    pollCell(context, now),
    foodServiceCell(context, now),
    ...ACTIVE_STAGES.map((stage) => oldestCell(stage, context, now)),
    reportCell(context, now),
  ];
  const worst = worstOf(cells.map(({ level }) => level));
  return html`<section class="status" aria-labelledby="status-title">
    <h2 id="status-title" class="unseen">System status: ${LEVEL_WORDS[worst]}</h2>
    <dl>${cells.map(cellTemplate)}</dl>
    ${health.revision ? html`<p class="quiet revision">Revision <code>${health.revision}</code></p>` : nothing}
  </section>`;
}

function cellTemplate({ title, level, value, detail, href }: Cell): TemplateResult {
  return html`<div class="cell ${level}" data-status=${title}>
    <dt>${title}</dt>
    <dd class="value"><span class="dot" role="img" aria-label=${LEVEL_WORDS[level]}></span>${value}</dd>
    <dd class="quiet">${href ? html`<a href=${href}>${detail}</a>` : detail}</dd>
  </div>`;
}

function pollCell({ live }: Context, now: number): Cell {
  const { polledAt, tookMs, active, failedPages } = live.health;
  const title = "Last poll";
  if (!polledAt) return { title, level: "unknown", value: "None yet", detail: "Waiting for the first poll" };
  const late = levelOf("pollAgeMs", now - polledAt.getTime());
  const level = failedPages > 0 ? worstOf([late, "amber"]) : late;
  const seen = active
    ? ACTIVE_STAGES.map((stage) => `${count(active[stage])} ${titleOf(stage)}`).join(", ")
    : "no orders";
  const failed = failedPages > 0 ? `, ${plural(failedPages, "failed page")}` : "";
  return {
    title,
    level,
    value: `${duration(now - polledAt.getTime())} ago`,
    detail: `Took ${inSeconds(tookMs)}: ${seen}${failed}`,
  };
}

function foodServiceCell({ live }: Context, now: number): Cell {
  const { polledAt, completeAt, failedPages, failedAt, error } = live.health;
  const title = "Food service";
  if (!polledAt) return { title, level: "unknown", value: "Unknown", detail: "Not called yet" };
  const failures = failedAt.filter((at) => now - at.getTime() < FAILED_POLLS_MS).length;
  const failing = levelOf("failedPolls", failures);
  if (failedPages === 0) {
    const detail =
      failures === 0
        ? "All pages listed"
        : `${plural(failures, "poll")} failed in the last ${duration(FAILED_POLLS_MS)}`;
    return { title, level: failing, value: "Reachable", detail };
  }
  const time = completeAt ? ` for ${duration(now - completeAt.getTime())}` : "";
  const level = worstOf([
    "amber",
    failing,
    levelOf("pollAgeMs", completeAt ? now - completeAt.getTime() : Number.POSITIVE_INFINITY),
  ]);
  return { title, level, value: `Failing${time}`, detail: error ?? "Pages could not be listed" };
}

function oldestCell(stage: ActiveStage, context: Context, now: number): Cell {
  const title = `Oldest ${titleOf(stage)}`;
  if (stage !== "NEW" && !context.live.isComplete) return { title, level: "unknown", value: "Loading…", detail: "" };
  const oldest = oldestOf(stage, context);
  if (!oldest) return { title, level: "ok", value: "None", detail: "No orders in this stage" };
  const age = now - oldest.since.getTime();
  return {
    title,
    level: levelOf("oldestOrderMs", age),
    value: duration(age),
    detail: shortId(oldest.id),
    href: addressOf(oldest.id),
  };
}

function reportCell({ live }: Context, now: number): Cell {
  const { unreported, reportLagMs, sweptAt } = live.health;
  const title = "Report lag";
  if (unreported === undefined || !sweptAt)
    return { title, level: "unknown", value: "Unknown", detail: "Waiting for a sweep" };
  const checkedMs = now - sweptAt.getTime();
  const checked = `checked ${duration(checkedMs)} ago`;
  if (checkedMs > STALE_LAG_MS) return { title, level: "unknown", value: "Unknown", detail: `last ${checked}` };
  if (unreported === 0) return { title, level: "ok", value: "None", detail: checked };
  return {
    title,
    level: levelOf("reportLagMs", reportLagMs),
    value: duration(reportLagMs),
    detail: `${count(unreported)} unreported, ${checked}`,
  };
}

/** The oldest order of a stage. Only the poll knows the new ones: they have no relation yet. */
function oldestOf(stage: ActiveStage, { live }: Context): { id: string; since: Date } | undefined {
  if (stage !== "NEW") return oldestIn(live.active.values(), stage);
  const [longest] = live.health.waiting;
  return longest && { id: longest.order, since: longest.since };
}

const titleOf = (stage: ActiveStage): string => STAGE_LABELS[stage].title.toLowerCase();

function oldestIn(relations: Iterable<Relation>, state: Relation["state"]): { id: string; since: Date } | undefined {
  let oldest: { id: string; since: Date } | undefined;
  for (const { id, state: its, since } of relations) {
    if (its === state && since && (!oldest || since < oldest.since)) oldest = { id, since };
  }
  return oldest;
}

function worstOf(levels: Level[]): Level {
  return (["red", "amber", "unknown", "ok"] as const).find((level) => levels.includes(level)) ?? "ok";
}

function inSeconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Enough of an id to tell it from others. */
function shortId(id: string): string {
  return id.length > 13 ? `${id.slice(0, 13)}…` : id;
}
