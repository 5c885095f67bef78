/** The mutants of the protocol, and samples of them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import type { Equivalent } from "./equivalent-mutants.js";
import { FUNCTIONS } from "./judge.js";
import { type GeneratedMutant, mutantsOf } from "./mutation-operators.js";

/** The files that make up the protocol, relative to `functions/src`. */
const PROTOCOL = [
  /^(attempts|relations|pipeline|domain)\/[^/]+(?<!\.test)\.ts$/,
  /^(commit-if-unchanged|lease|list-orders)\.ts$/,
  /^adapters\/firebase\/verified-replies\.ts$/,
];

/** Every mutant of the protocol, in the order of the files and their texts. */
export function allMutants(): GeneratedMutant[] {
  const files = readdirSync(FUNCTIONS, { recursive: true, encoding: "utf8" })
    .filter((file) => PROTOCOL.some((pattern) => pattern.test(file)))
    .sort();
  return files.flatMap((file) => mutantsOf(file, readFileSync(join(FUNCTIONS, file), "utf8")));
}

/** This many of the mutants, chosen by the seed. */
export function sample(mutants: GeneratedMutant[], count: number, seed: number): GeneratedMutant[] {
  const random = seededRandomness(seed);
  const ranked = mutants.map((mutant) => ({ mutant, rank: random.fraction() }));
  return ranked
    .sort((one, other) => one.rank - other.rank)
    .slice(0, count)
    .map(({ mutant }) => mutant);
}

/** Whether a mutant is the one that is listed as equivalent. */
export function isListed(mutant: GeneratedMutant, known: Equivalent): boolean {
  const isSame = known.file === mutant.file && known.operator === mutant.operator && known.from === mutant.from;
  return isSame && (known.line ?? mutant.text) === mutant.text;
}
