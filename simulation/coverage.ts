/** Measures which situations of the protocol a search has met: the states of orders, the transitions between them, and pairs of transitions. */
import { hash } from "node:crypto";
import { attemptPath } from "../functions/src/attempts/attempt.js";
import { isReasonCode } from "../functions/src/attempts/reason-codes.js";
import { CREATING_STAGES } from "../functions/src/domain/order-lifecycle.js";
import { orderRefFromId } from "../functions/src/domain/resource-names.js";
import type { Fields } from "../functions/src/ports.js";
import { relationPath } from "../functions/src/relations/relation.js";
import type { Entry } from "./world.js";

/** What a state is read from. */
export interface Observed {
  fieldsAt(path: string): Fields | undefined;
  statusOf(order: string): string | undefined;
}

/** The state of an order in the protocol: its status, its relation and its attempts, without names and times. */
function protocolState(id: string, observed: Observed): string {
  const { name } = orderRefFromId(id);
  const relation = observed.fieldsAt(relationPath(id));
  const links = CREATING_STAGES.filter((stage) => relation?.[stage] !== undefined).join("+");
  const trouble = Object.keys((relation?.trouble as Fields | null | undefined) ?? {}).join("+");
  const attempts = CREATING_STAGES.map((stage) => attemptState(observed.fieldsAt(attemptPath(stage, id))));
  return [observed.statusOf(name), relation?.state, links, trouble, ...attempts].map((part) => part || "-").join(" ");
}

/** The code for which a stored attempt failed or waits for an operator. */
export const reasonCodeOf = (attempt: Fields | undefined) =>
  (attempt?.reason as { code?: string } | null | undefined)?.code;

function attemptState(attempt: Fields | undefined): string | undefined {
  if (!attempt) return undefined;
  const code = reasonCodeOf(attempt);
  const dismissed = attempt.isDismissed ? ", dismissed" : "";
  return `${attempt.state}${isReasonCode(code) ? `, ${code}` : ""}${dismissed}`;
}

/** What has been seen: each set has one text for each state, each transition, and each two transitions in a row. */
export class Coverage {
  readonly states = new Set<string>();
  readonly transitions = new Set<string>();
  readonly pairs = new Set<string>();
  /** The last two states of each order in the current run. */
  private readonly latest = new Map<string, [before: string | undefined, now: string]>();

  /** Begins another run. */
  begin(): void {
    this.latest.clear();
  }

  /** Takes note of the state that an order has now. */
  see(id: string, observed: Observed): void {
    const state = protocolState(id, observed);
    const [before, now] = this.latest.get(id) ?? [];
    if (state === now) return;
    this.states.add(state);
    if (now !== undefined) this.transitions.add(`${now} → ${state}`);
    if (before !== undefined) this.pairs.add(`${before} → ${now} → ${state}`);
    this.latest.set(id, [now, state]);
  }

  /** Adds what another search has seen; it may come from another process, as plain data. */
  add({ states, transitions, pairs }: Pick<Coverage, "states" | "transitions" | "pairs">): void {
    for (const state of states) this.states.add(state);
    for (const transition of transitions) this.transitions.add(transition);
    for (const pair of pairs) this.pairs.add(pair);
  }

  /** How many there are of each. */
  get numbers(): { states: number; transitions: number; pairs: number } {
    return { states: this.states.size, transitions: this.transitions.size, pairs: this.pairs.size };
  }

  /** How much has been seen: grows if a run has met anything new. */
  get size(): number {
    return this.states.size + this.transitions.size + this.pairs.size;
  }
}

/** What a situation is read from, besides the order's documents. */
export interface Surroundings extends Observed {
  now: number;
  orders: readonly string[];
  /** The entries of a run so far, by its number. */
  entriesOf(run: number): readonly Entry[];
  /** The numbers of the runs that have not ended. */
  running: readonly number[];
  /** What else there is to know about the world, such as outages. */
  conditions: string;
}

/**
 * In which situation an effect is about to be tried: what the process did before it in the same run, what other runs are doing, and
 * the documents, without names and times. The same fault in the same situation has the same consequences, except for their times.
 * @returns a digest, in hexadecimal
 */
export function situationOf({ operation, about, run }: Entry, world: Surroundings): string {
  const own = run === 0 ? [] : world.entriesOf(run);
  const others = world.running
    .filter((number) => number !== run)
    .map((number) => world.entriesOf(number).at(-1)?.operation ?? "begins");
  const held = ["poll", "sweep"].filter((lease) => isLater(world.fieldsAt(`leases/${lease}`)?.until, world.now));
  const orders = world.orders.map((id) => `${protocolState(id, world)} ${detailsOf(id, world)}`);
  const trail = own.map((entry) => `${entry.operation} ${entry.result}`).join(", ");
  const text = [operation, about, trail, others.sort(), held, orders, world.conditions].join("|").replace(NAMES, "#");
  // Of a hundred thousand situations, the texts do not fit into memory.
  return hash("sha1", text);
}

const NAMES = /[0-9a-f]{8}-[0-9a-f-]{27}/g;

function isLater(time: unknown, now: number): boolean {
  return time instanceof Date && time.getTime() > now;
}

/** What does not decide what comes next. The policy is the same in all attempts of a search that compares situations. */
const IRRELEVANT = ["times", "placedAt", "id", "message", "policy"];

/** Counters, and times as before or after now. */
function detailsOf(id: string, { fieldsAt, now }: Surroundings): string {
  const documents = [relationPath(id), ...CREATING_STAGES.map((stage) => attemptPath(stage, id))].map(fieldsAt);
  return JSON.stringify(documents, (name, value) => {
    if (IRRELEVANT.includes(name)) return undefined;
    const time = typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : undefined;
    return time === undefined ? value : time > now;
  });
}
