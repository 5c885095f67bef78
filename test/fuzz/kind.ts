/** A kind of input: how it is made, and what must hold for every input. */
import fc from "fast-check";
import type { Api } from "../../functions/src/operator-api/api.js";
import { continuePoll, handleOrderMessage, runReaction, SCHEDULED } from "../../functions/src/pipeline/handlers.js";
import type { Write } from "../../functions/src/ports.js";
import type { TestBed } from "../../functions/src/testing/test-bed.js";
import type { StrictStore } from "./strict-store.js";

/** What is fuzzed: the handlers behind every way in. A test puts broken ones in their place. */
export const HANDLERS = {
  answer: (api: Api, request: Parameters<Api["answer"]>[0]) => api.answer(request),
  handleOrderMessage,
  continuePoll,
  runReaction,
  ...SCHEDULED,
};
export type Handlers = typeof HANDLERS;

/** How often inputs got how far: a fuzz that is refused at the door each time shows nothing. */
export type Reached = Map<string, number>;

/** An input for which something did not hold. */
export interface Failure {
  seed: number;
  /** Where it is among the inputs of this seed. */
  path: string;
  /** What did not hold, and for which input. */
  report: string;
}

interface Search {
  inputs: number;
  seed: number;
  /** Replays the input at this path. */
  path?: string;
  /** Is called after each input. */
  onInput?: () => void;
}

export interface Kind {
  /** How many of a hundred inputs are of this kind. */
  share: number;
  /** Tries inputs until one fails or all have held. */
  search(search: Search, handlers: Handlers, reached: Reached): Promise<Failure | undefined>;
}

/** A kind with this share, each of whose inputs must hold: `hold` rejects if one does not. */
export function kind<I>(
  share: number,
  input: fc.Arbitrary<I>,
  hold: (given: I, handlers: Handlers, reached: Reached) => Promise<void>,
): Kind {
  return {
    share,
    async search({ inputs, seed, path, onInput = () => {} }, handlers, reached) {
      const property = fc.asyncProperty(input, (given) => hold(given, handlers, reached).finally(onInput));
      const found = await fc.check(property, { numRuns: inputs, seed, ...(path !== undefined && { path }) });
      if (!found.failed) return undefined;
      const cause = found.errorInstance;
      const why = cause instanceof Violation ? cause.message : ((cause as Error | null)?.stack ?? String(cause));
      return {
        seed,
        path: found.counterexamplePath ?? "",
        report: `${why}\n${fc.stringify(found.counterexample).slice(0, 4_000)}`,
      };
    },
  };
}

export function count(reached: Reached, what: string): void {
  reached.set(what, (reached.get(what) ?? 0) + 1);
}

export class Violation extends Error {
  override readonly name = "Violation";
}

export function expect(holds: boolean, otherwise: () => string): asserts holds {
  if (!holds) throw new Violation(otherwise());
}

/** Text of bounded length, for messages about what may be a megabyte. */
export function brief(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : (fc.stringify(value) ?? "");
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** A line must fit into Cloud Logging, which takes 256 KiB. */
const LONGEST_LINE = 100_000;

/** What holds after every input: nothing was stored that Firestore would reject, nothing crashed, no object was changed. */
export function expectSound(bed: TestBed, store: StrictStore): void {
  expect(store.complaints.length === 0, () => String(store.complaints[0]));
  for (const line of bed.lines) {
    const { outcome, reason } = line.fields as { outcome?: string; reason?: { code?: string } | string };
    const code = typeof reason === "object" ? reason.code : undefined;
    // gRPC's codes are in capitals; what is left is the name of an unexpected error.
    const foreseen = code === undefined || /^[A-Z_]+$/.test(code) || FORESEEN.includes(code);
    expect(foreseen, () => `${outcome}: ${brief(line)}`);
    expect(
      JSON.stringify(line).length <= LONGEST_LINE,
      () => `a log line of ${JSON.stringify(line).length} characters`,
    );
  }
  expect(Object.keys(Object.prototype).length === 0, () => "every object has a new property");
}

const FORESEEN = ["ValidationError", "ConflictError", "AlreadyLinkedError", "StoreError"];

/** Nothing but these documents, and history and audit entries of this order, may have been written. */
export function expectOnly(writes: readonly Write[], paths: readonly string[], order: string): void {
  for (const write of writes) {
    const isEntry = /^(history|audit)\//.test(write.path) && write.kind === "create" && write.fields.order === order;
    expect(isEntry || paths.includes(write.path), () => `a stray write: ${brief(write)}`);
  }
}
