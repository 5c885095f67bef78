/**
 * An operator in the simulation: looks at attempts that need a decision, checks the facts, and links, retries or dismisses. Faults make the
 * operator decide wrongly, twice, or about what has changed since.
 */

import { ATTEMPT_STATES, ATTEMPTS, type Attempt, attemptIn, MISSING_LINK } from "../functions/src/attempts/attempt.js";
import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
import type { Resolution } from "../functions/src/attempts/resolve-attempt.js";
import type { Snapshot } from "../functions/src/ports.js";
import { RELATIONS, relationPath } from "../functions/src/relations/relation.js";
import { createdBy } from "../services/food-service/model/food-service-model.js";
import type { System } from "./system.js";

/** How often the operator looks. */
const LOOK_EVERY_MS = 45_000;

/** How long the operator takes to find the facts, while other processes go on; and the maximum of an eager one. */
const MIN_DELIBERATION_MS = 1_000;
const MAX_DELIBERATION_MS = 90_000;
const MAX_EAGER_DELIBERATION_MS = 10_000;

/** How much later a decision is sent again from a page that was loaded before the first one. */
const OLD_PAGE_MS = [60_000, 600_000] as const;

/** How long after a decision the food service begins to reply about another order, and for how long. */
const MISREAD_AFTER_MS = [10_000, 120_000] as const;
const MISREAD_MS = [60_000, 1_300_000] as const;

/** After this time, the network delivers a request no more: what does not exist now never will. */
const CERTAIN_AFTER_MS = 200_000;

/** An operator dismisses every so many decisions to create something again. */
const GIVEN_UP_EVERY = 5;

/** An operator gives up on an attempt for which so many decisions in a row were rejected, each sent three times. */
const MAX_REJECTED = 5;

export class Operator {
  private readonly deciding = new Set<string>();
  private readonly rejected = new Map<string, number>();
  /** The latest decision about each attempt, with the version that the operator saw. */
  private readonly latest = new Map<string, Resolution>();
  private decisions = 0;

  /** @param isEager whether the operator also decides what would be sent again, and retries without waiting until that is safe */
  constructor(
    private readonly system: System,
    private readonly isEager: boolean,
  ) {}

  /** Looks again and again until the schedules stop. */
  start(): void {
    const look = () => {
      if (!this.system.isTicking) return;
      for (const found of this.system.store.all(ATTEMPTS)) this.consider(found);
      this.system.world.after(LOOK_EVERY_MS, look);
    };
    this.system.world.after(LOOK_EVERY_MS, look);
  }

  private consider(seen: Snapshot): void {
    const attempt = attemptIn(seen);
    if (!attempt || this.deciding.has(seen.path)) return;
    const isWaiting = this.isEager
      ? ATTEMPT_STATES[attempt.state].needsOperator
      : needsDecision(attempt, this.system.policy);
    if (!isWaiting) return;
    if ((this.rejected.get(seen.path) ?? 0) >= MAX_REJECTED) return;
    this.deciding.add(seen.path);
    const { world } = this.system;
    const longest = this.isEager ? MAX_EAGER_DELIBERATION_MS : MAX_DELIBERATION_MS;
    world.after(world.between(MIN_DELIBERATION_MS, longest), () => {
      const resolution = this.decide(attempt, seen.version);
      if (resolution) this.apply(resolution, seen.path);
      else this.deciding.delete(seen.path);
    });
  }

  /** Links what exists for the order and stage, else retries if it is certain that nothing will. */
  private decide(attempt: Attempt, version: string): Resolution | undefined {
    const { order, stage, claimedAt } = attempt;
    const key = idempotencyKey(order, stage);
    const { world } = this.system;
    const created = createdBy(stage, this.system.food.truth()).find(
      (made) =>
        made.idempotencyKey === key &&
        !world.isLostForGood(made.name) &&
        Date.parse(made.createdAt) >= (world.replaced.get(order) ?? 0),
    );
    // A page sends back the attempt's version, or the id of the claim that it showed.
    const seen = this.decisions % 2 === 0 ? { version } : { claim: attempt.id };
    const decision = this.renewed({ order, stage, by: "operator", reason: "checked", ...seen });
    /** Every other decision of an operator who may decide either way. */
    const isOdd = this.decisions % 4 < 2;
    const code = attempt.reason?.code;
    // Nothing is to be decided about a name that can't be stored.
    if (code === "UNUSABLE_NAME") return undefined;
    if (world.isLostForGood(order)) return { ...decision, dismiss: true };
    // What is lost for a while comes back, and nothing needs to be decided then.
    if (code === "ORDER_NOT_FOUND" || code === "ORDER_UNREADABLE" || world.absenceOf(order)) return undefined;
    // A report is worth another try.
    if (code === "REPORT_REJECTED" || code === "REPORT_IGNORED") return decision;
    const replacedAt = world.replaced.get(order);
    if (code === "ORDER_REPLACED" && replacedAt !== undefined && isOdd) return decision;
    if (code === "ACTIVE_AFTER_CANCELLATION" && isOdd) return decision;
    if (code === "ACTIVE_AFTER_CANCELLATION" || code === "ORDER_REPLACED") return { ...decision, dismiss: true };
    const linked = this.system.fieldsAt(relationPath(order.slice("orders/".length)))?.[stage];
    if (linked !== undefined && linked !== created?.name && code !== "LINK_NOT_FOUND") {
      return { ...decision, dismiss: true };
    }
    if (created && world.absenceOf(created.name)) return undefined;
    if (created) return { ...decision, link: created.name };
    const isCertain = this.isEager || world.now - (claimedAt?.getTime() ?? 0) > CERTAIN_AFTER_MS;
    if (!isCertain) return undefined;
    // Only an eager operator would send what another program may have sent. Now and then, an operator gives an order up.
    const isGivenUp = code === MISSING_LINK ? !(this.isEager && isOdd) : this.decisions % GIVEN_UP_EVERY === 0;
    return isGivenUp ? { ...decision, dismiss: true } : decision;
  }

  /** The same decision as a new one. */
  private renewed<D extends Omit<Resolution, "key">>(decision: D): D & { key: string } {
    return { ...decision, key: `decision ${++this.decisions}` };
  }

  /** Applies the decision, and whatever goes wrong with it. */
  private apply(resolution: Resolution, path: string): void {
    const { system, latest } = this;
    const { world } = system;
    const earlier = latest.get(path);
    latest.set(path, resolution);
    // The page that showed the attempt before is still open.
    if (earlier) system.resolve(this.renewed(earlier));
    const fault = system.decides(resolution);
    const { link, dismiss, ...retry } = resolution;
    if (fault === "sent twice") world.after(world.between(0, 20), () => system.resolve(resolution));
    if (fault === "contradicted") {
      const other = link === undefined && !dismiss ? { ...retry, dismiss: true as const } : retry;
      world.after(world.between(0, 20), () => system.resolve(this.renewed(other)));
    }
    if (fault === "sent again later") {
      const delay = world.between(...OLD_PAGE_MS);
      world.faultLasts(delay);
      world.after(delay, () => system.resolve(this.renewed(resolution)));
    }
    if (fault === "misread later") world.after(world.between(...MISREAD_AFTER_MS), () => this.misread(resolution));
    if (fault === "wrong name") system.resolve(this.renewed({ ...resolution, link: this.wrongName(resolution) }));
    this.send(fault === "overlooked" ? retry : resolution, path);
  }

  /** Lets the food service reply about another order than the one of a decision, briefly or for long. */
  private misread({ order }: Resolution): void {
    const { world } = this.system;
    if (!world.absenceOf(order)) world.lose(order, "foreign replies for a while", world.between(...MISREAD_MS));
  }

  /** A name that another order links, or else one that does not exist. */
  private wrongName({ order, stage, link = "" }: Resolution): string {
    const others = this.system.store.all(RELATIONS).flatMap(({ path, fields }) => {
      const name = fields[stage];
      const isLinked = fields.state !== undefined && path !== relationPath(order.slice("orders/".length));
      return isLinked && typeof name === "string" ? name : [];
    });
    return others[this.decisions % others.length] ?? `${link}0`;
  }

  /** Sends the decision, and the same one again if there was no reply. */
  private send(resolution: Resolution, path: string, tries = 3): void {
    this.system.resolve(resolution, (ended) => {
      if (ended === "taken" || tries === 1) {
        this.deciding.delete(path);
        this.rejected.set(path, ended === "taken" ? 0 : (this.rejected.get(path) ?? 0) + 1);
      } else this.system.world.after(5_000, () => this.send(resolution, path, tries - 1));
    });
  }
}

/** Whether nothing will happen to the attempt without an operator. */
export function needsDecision(
  { state, policy, nextTryAt }: Pick<Attempt, "state" | "policy" | "nextTryAt">,
  current: Attempt["policy"],
): boolean {
  if (!ATTEMPT_STATES[state].needsOperator) return false;
  const isResent = state === "UNCERTAIN" && nextTryAt && policy === "idempotency-key" && current === "idempotency-key";
  return !isResent;
}
