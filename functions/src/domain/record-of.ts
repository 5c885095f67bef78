/** A record with a value for each of these names. */
export function recordOf<const N extends string, T>(names: readonly N[], makeValue: (name: N) => T): Record<N, T> {
  return Object.fromEntries(names.map((name) => [name, makeValue(name)])) as Record<N, T>;
}
