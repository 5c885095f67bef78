/** Tries hostile inputs of every kind, and returns what did not hold. */
import { documents } from "./documents.js";
import { type Failure, HANDLERS, type Handlers, type Kind, type Reached } from "./kind.js";
import { messages } from "./messages.js";
import { requests } from "./requests.js";
import { wire } from "./wire.js";

const KINDS = { requests, wire, messages, documents } as const satisfies Record<string, Kind>;
export type KindName = keyof typeof KINDS;
export const KIND_NAMES = Object.keys(KINDS) as KindName[];

export interface FuzzOptions {
  inputs: number;
  seed: number;
  /** Only this kind. */
  only?: KindName | undefined;
  /** Replays the input at this path of that kind. */
  path?: string | undefined;
  handlers?: Handlers;
  /** Is called after each input. */
  onInput?: () => void;
}

export interface Findings {
  inputs: number;
  byKind: Partial<Record<KindName, number>>;
  failures: (Failure & { kind: KindName })[];
  reached: Reached;
}

/** Tries every kind to its share, or to its first failure. */
export async function fuzz({ inputs, seed, only, path, handlers = HANDLERS, onInput }: FuzzOptions): Promise<Findings> {
  const findings: Findings = { inputs: 0, byKind: {}, failures: [], reached: new Map() };
  const names = only ? [only] : KIND_NAMES;
  let rest = names.reduce((sum, name) => sum + KINDS[name].share, 0);
  for (const name of names) {
    const { share, search } = KINDS[name];
    const count = Math.round(((inputs - findings.inputs) * share) / rest);
    rest -= share;
    if (count === 0) continue;
    const failure = await search(
      { inputs: count, seed, ...(path !== undefined && { path }), ...(onInput && { onInput }) },
      handlers,
      findings.reached,
    );
    findings.inputs += count;
    findings.byKind[name] = count;
    if (failure) findings.failures.push({ ...failure, kind: name });
  }
  return findings;
}
