/** How sides are compared: several runs of each in turn, a warm-up before, and never a figure from a run that failed. */

/** The middle of several runs, and how far they lie apart. */
export interface Summary {
  median: number;
  min: number;
  max: number;
}

/** What was seen is not what should have happened, so no figure of it means anything. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}

/**
 * Measures each side this many times. The sides take turns going first. The first round is a warm-up and does not count; a smoke test has
 * none.
 */
export async function alternate<S extends string, R>(
  sides: readonly S[],
  { runs, smoke }: { runs: number; smoke: boolean },
  measure: (side: S) => Promise<R>,
): Promise<Record<S, R[]>> {
  const results = Object.fromEntries(sides.map((side) => [side, [] as R[]])) as Record<S, R[]>;
  for (let run = smoke ? 1 : 0; run <= runs; run++) {
    for (const side of run % 2 === 0 ? sides : sides.toReversed()) {
      const result = await measure(side);
      if (run > 0) results[side].push(result);
    }
  }
  return results;
}

/** To four digits: more of them would be noise. */
export function summary(values: number[]): Summary {
  if (values.length === 0 || !values.every(Number.isFinite)) throw new BenchError(`No measurement: ${values}`);
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] as number;
  const middle = (at((sorted.length - 1) >> 1) + at(sorted.length >> 1)) / 2;
  return { median: rounded(middle), min: rounded(at(0)), max: rounded(at(sorted.length - 1)) };
}

/** One side over the other, run by run: what disturbs the machine for a while disturbs both. */
export function ratio(above: number[], below: number[]): Summary {
  return summary(above.map((value, run) => value / (below[run] ?? Number.NaN)));
}

/** One side less the other, run by run. */
export function difference(more: number[], less: number[]): Summary {
  return summary(more.map((value, run) => value - (less[run] ?? Number.NaN)));
}

/** This part of every run. */
export function column<R>(runs: R[], part: keyof R): number[] {
  return runs.map((run) => run[part] as number);
}

/** The ratio of this part of the runs of two sides. */
export function ratioOf<R>(part: keyof R, above: R[], below: R[]): Summary {
  return ratio(column(above, part), column(below, part));
}

/**
 * The summary of several parts of the runs of a side.
 * @param parts the part behind each name; a figure is called by the prefix and the name
 */
export function figuresOf<R>(prefix: string, runs: R[], parts: Record<string, keyof R>): Record<string, Summary> {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [prefix + name, summary(column(runs, part))]));
}

/** The medians of some figures, such as "tickPerSecond 12, tickCpuMs 3". */
export function medians(figures: Record<string, Summary>, ...names: string[]): string {
  return names.map((name) => `${name} ${figures[name]?.median}`).join(", ");
}

/** The value below which this share of the values lies. */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

export function expectEqual(is: unknown, shouldBe: unknown, what: string): void {
  if (is !== shouldBe) throw new BenchError(`${what}: ${is} instead of ${shouldBe}`);
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
