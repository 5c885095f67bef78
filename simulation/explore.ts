/** Ways to look for a schedule of faults that breaks something, and to make the one found as short as it can be. */
import { createHash } from "node:crypto";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import type { Randomness } from "../functions/src/ports.js";
import { Coverage } from "./coverage.js";
import { FAULTS, type Fault, type Operation, type Schedule, strikesAlone } from "./faults.js";
import { branch, type Outcome, replay, type Scenario, search } from "./schedule.js";
import type { Entry } from "./world.js";

/** What a search has seen: how much of what, and what broke. */
export interface Findings {
  schedules: number;
  effects: number;
  faults: Record<string, number>;
  operations: Record<string, number>;
  /** The protocol's states, transitions and pairs of transitions that were met. */
  coverage: Coverage;
  /** Runs that found an order waiting by a link that their instance remembered: they read no document. */
  remembered: number;
  failures: Failure[];
}

interface Failure {
  scenario: Scenario;
  /** The shortest schedule found that still breaks it. */
  schedule: [number, Fault][];
  violations: string[];
  history: string[];
}

/** A search stops at so many failures: the first ones tell. */
const MOST_FAILURES = 3;

/** Called after each schedule with what the search has found so far. */
type OnSchedule = (findings: Findings) => void;

export function noFindings(): Findings {
  return {
    schedules: 0,
    effects: 0,
    faults: {},
    operations: {},
    coverage: new Coverage(),
    remembered: 0,
    failures: [],
  };
}

/** Which part of a search a process does, counted from 0, and how many parts there are. */
export interface Share {
  part: number;
  parts: number;
  /** What ran the same under both create policies: what one policy has tried, the other skips. */
  policyFree?: PolicyFree;
}

/** The schedules for which the create policy does not matter. */
export class PolicyFree {
  /** Single faults, by effect and fault. */
  readonly singles = new Set<string>();
  /** Situations of second faults. */
  readonly pairs = new Set<string>();
  /** The pairs that follow such single faults and depend on the policy themselves, by situation. */
  readonly dependent = new Map<string, Schedule>();
}

/**
 * One order: every fault at every effect of its life, and each fault again in every situation to which a first one leads. Two effects in
 * the same situation are one: what a fault does there is the same but for its times. Every part finds the situations itself.
 */
export async function exhaustive(
  base: Scenario,
  { part, parts, policyFree = new PolicyFree() }: Share,
  withPairs: boolean,
  onSchedule: OnSchedule = () => {},
  choosePoints = pointsOf,
): Promise<Findings & { points: number; singles: number; pairs: number }> {
  const findings = { ...noFindings(), points: 0, singles: 0, pairs: 0 };
  const { coverage } = findings;
  const calm = await replay(base, new Map(), { coverage });
  await note(findings, base, calm);
  const points = choosePoints(calm.history);
  findings.points = new Set(points.map(([effect]) => effect)).size;
  const pairs = new Map(policyFree.dependent);
  for (const [index, point] of points.entries()) {
    const isOurs = index % parts === part;
    if ((!isOurs && !withPairs) || policyFree.singles.has(point.join())) continue;
    const single = await replay(base, new Map([point]), {
      coverage,
      situationsAfter: withPairs ? point[0] : undefined,
    });
    if (single.isPolicyFree) policyFree.singles.add(point.join());
    if (withPairs) addPairs(point, single.history, pairs);
    if (!isOurs) continue;
    findings.singles++;
    await note(findings, base, single);
    onSchedule(findings);
  }
  for (const [situation, schedule] of pairs) {
    if (numberOf(situation) % parts !== part || policyFree.pairs.has(situation)) continue;
    const outcome = await replay(base, schedule, { coverage });
    const [first] = schedule;
    if (outcome.isPolicyFree) policyFree.pairs.add(situation);
    else if (first && policyFree.singles.has(first.join())) policyFree.dependent.set(situation, schedule);
    findings.pairs++;
    await note(findings, base, outcome);
    onSchedule(findings);
    if (findings.failures.length >= MOST_FAILURES) break;
  }
  return findings;
}

/** Adds the fault with each second one that may strike after it, by the situation of the second, unless that situation is known. */
function addPairs(first: [number, Fault], history: readonly Entry[], pairs: Map<string, Schedule>): void {
  if (strikesAlone(first[1])) return;
  for (const second of pointsOf(history)) {
    const [effect, fault] = second;
    if (strikesAlone(fault)) continue;
    const situation = `${fault} ${history[effect]?.situation}`;
    if (effect > first[0] && !pairs.has(situation)) pairs.set(situation, new Map([first, second]));
  }
}

/** The same number for the same situation in every part of a search. */
function numberOf(situation: string): number {
  return Number.parseInt(situation.slice(-6), 16);
}

/** Where the order's life ends: the last effect that is about it, and not merely the next empty tick. */
function lifeOf(history: readonly Entry[]): number {
  const idle = new Set<Operation>(["tick", "start", "read", "commit", "listOrders", "query"]);
  const last = history.findLast(({ operation }) => !idle.has(operation));
  return last ? last.effect : history.length;
}

/** Every fault at every effect of the order's life. */
export function pointsOf(history: readonly Entry[]): [number, Fault][] {
  const until = lifeOf(history);
  return history
    .filter(({ effect }) => effect <= until)
    .flatMap(({ effect, operation }) => FAULTS[operation].map((fault): [number, Fault] => [effect, fault]));
}

/** A sample of these points, the same for the same seed: every operation is struck once by each fault that can strike it. */
export function samplePoints(history: readonly Entry[], seed: number): [number, Fault][] {
  const random = seededRandomness(seed);
  const groups = new Map<string, [number, Fault][]>();
  for (const point of pointsOf(history)) {
    const [effect, fault] = point;
    const group = `${history[effect]?.operation} ${fault}`;
    groups.set(group, [...(groups.get(group) ?? []), point]);
  }
  return [...groups.values()].map((points) => oneOf(points, random)).filter((point) => point !== undefined);
}

/** How many of the schedules grow from an earlier one that met something new. */
const BRANCHES_SHARE = 0.5;

/**
 * Many orders, faults at random: one run for each seed. A schedule that brings an order into a new state, or there by a new way, is
 * promising: later seeds follow one of those up to one of its faults, and choose at random from there on. So rare situations are sought,
 * not waited for.
 */
export async function* guided(
  seeds: Iterable<number>,
  orders: number,
  coverage: Coverage,
): AsyncGenerator<{ scenario: Scenario; outcome: Outcome }> {
  const promising: { scenario: Scenario; struck: Schedule }[] = [];
  for (const seed of seeds) {
    const seeded = seededRandomness(seed ^ 0x2545f491);
    const parent = seeded.fraction() < BRANCHES_SHARE ? oneOf(promising, seeded) : undefined;
    const scenario = parent?.scenario ?? scenarioOf(seed, orders);
    const before = coverage.size;
    const from = parent && oneOf([...parent.struck.keys()], seeded);
    const outcome =
      parent && from !== undefined
        ? await branch(scenario, from + 1, parent.struck, seeded, { coverage })
        : await search(scenario, { coverage });
    if (coverage.size > before && outcome.struck.size > 0) promising.push({ scenario, struck: outcome.struck });
    yield { scenario, outcome };
  }
}

/** The same, as findings. */
export async function random(
  seeds: Iterable<number>,
  orders: number,
  onSchedule: OnSchedule = () => {},
): Promise<Findings> {
  const findings = noFindings();
  for await (const { scenario, outcome } of guided(seeds, orders, findings.coverage)) {
    await note(findings, scenario, outcome);
    onSchedule(findings);
    if (findings.failures.length >= MOST_FAILURES) break;
  }
  return findings;
}

function oneOf<T>(things: readonly T[], random: Randomness): T | undefined {
  return things[Math.floor(random.fraction() * things.length)];
}

/** The life of a single order, for the exhaustive search. */
export function singleOrder(policy: Scenario["policy"], seed = 1, waits = false): Scenario {
  return { seed, orders: 1, policy, inherited: false, operator: true, passes: 1, pageSize: 7, redeploys: false, waits };
}

const OPERATORS: Scenario["operator"][] = [false, true, "eager", false, true, true];

/** The scenario of a seed: half of them run under each policy, and in two of seven the orders wait. */
export function scenarioOf(seed: number, orders: number): Scenario {
  const policy = seed % 2 === 0 ? "park" : "idempotency-key";
  return {
    seed,
    orders,
    policy,
    inherited: true,
    operator: OPERATORS[seed % OPERATORS.length] ?? false,
    passes: seed % 11 < 3 ? 2 : 1,
    pageSize: seed % 7 === 3 || seed % 7 === 5 ? 2 : 7,
    redeploys: seed % 5 < 2,
    waits: seed % 7 < 2,
  };
}

async function note(findings: Findings, scenario: Scenario, { history, violations, struck }: Outcome): Promise<void> {
  findings.schedules++;
  findings.effects += history.length;
  for (const fault of struck.values()) findings.faults[fault] = (findings.faults[fault] ?? 0) + 1;
  for (const { operation } of history) findings.operations[operation] = (findings.operations[operation] ?? 0) + 1;
  findings.remembered += rememberedIn(history);
  if (violations.length > 0) findings.failures.push(await shortest(scenario, struck));
}

function rememberedIn(history: readonly Entry[]): number {
  const read = new Set(history.filter(({ operation }) => operation === "read").map(({ run }) => run));
  const looked = history.filter(({ operation }) => operation === "getKitchenOrder" || operation === "getShipment");
  return new Set(looked.map(({ run }) => run).filter((run) => !read.has(run))).size;
}

/** Leaves out one fault after the other for as long as something still breaks. */
async function shortest(scenario: Scenario, struck: Schedule): Promise<Failure> {
  let schedule = new Map(struck);
  let outcome = await replay(scenario, schedule);
  for (let size = Math.ceil(schedule.size / 2); size >= 1; ) {
    const fewer = await firstThatBreaks(scenario, schedule, size);
    if (fewer) {
      schedule = fewer.schedule;
      outcome = fewer.outcome;
      size = Math.min(size, schedule.size);
    } else if (size === 1) break;
    else size = Math.ceil(size / 2);
    if (schedule.size === 0) break;
  }
  return {
    scenario,
    schedule: [...schedule],
    violations: outcome.violations.map(({ invariant, message }) => `${invariant}: ${message}`),
    history: outcome.history.map(lineOf),
  };
}

async function firstThatBreaks(scenario: Scenario, schedule: Schedule, leaveOut: number) {
  const faults = [...schedule];
  for (let from = 0; from < faults.length; from += leaveOut) {
    const fewer = new Map([...faults.slice(0, from), ...faults.slice(from + leaveOut)]);
    const outcome = await replay(scenario, fewer);
    if (outcome.violations.length > 0) return { schedule: fewer, outcome };
  }
  return undefined;
}

/** One effect as a line: when, in which process and run, what, and what came of it. */
export function lineOf({ effect, at, process, run, operation, about, fault, result, applied }: Entry): string {
  const seconds = ((at - Date.UTC(2026, 0, 1)) / 1000).toFixed(3);
  const came = `${result ?? "no answer"}${applied || result === "ok" ? "" : ", not applied"}`;
  return `${effect} ${seconds}s p${process} r${run} ${operation} ${about}${fault ? ` [${fault}]` : ""}: ${came}`;
}

/** A fingerprint of everything that happened. */
export function hashOf(history: readonly Entry[]): string {
  const hash = createHash("sha256");
  for (const entry of history) hash.update(`${lineOf(entry)}\n`);
  return hash.digest("hex");
}

/** Adds the numbers of one share to the others'; the points of an order's life are the same for all of them. */
export function add(totals: Findings & { points?: number }, share: Findings & { points?: number }): void {
  for (const [name, value] of Object.entries(share)) {
    const known = totals as unknown as Record<string, unknown>;
    if (name === "points") known[name] = Math.max(Number(known[name] ?? 0), value as number);
    else if (typeof value === "number") known[name] = Number(known[name] ?? 0) + value;
  }
  for (const count of ["faults", "operations"] as const) {
    for (const [kind, number] of Object.entries(share[count]))
      totals[count][kind] = (totals[count][kind] ?? 0) + number;
  }
  totals.coverage.add(share.coverage);
  totals.failures.push(...share.failures);
}
