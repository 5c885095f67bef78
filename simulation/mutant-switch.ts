/**
 * Switches mutants on and off while a program runs: the text that `withSwitches` makes asks at each of them. It must be imported before the
 * mutated files. Which mutants were asked about is noted: what does not reach a mutant can't tell it from the code as it is.
 */

/** The number that switches no mutant on. */
export const NO_MUTANT = -1;

/** More than there are in one program. */
const MAX_MUTANTS = 10_000;

let current = NO_MUTANT;
const reached = new Uint8Array(MAX_MUTANTS);

(globalThis as { __mutant?: (index: number) => boolean }).__mutant = (index) => {
  reached[index] = 1;
  return index === current;
};

export function switchOn(mutant: number): void {
  current = mutant;
}

/** The mutants that were reached since the last call. */
export function takeReached(): Set<number> {
  const indexes = new Set<number>();
  for (let index = reached.indexOf(1); index !== -1; index = reached.indexOf(1, index + 1)) indexes.add(index);
  reached.fill(0);
  return indexes;
}
