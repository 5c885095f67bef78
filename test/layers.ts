/**
 * The two layers of tests, by place and name:
 *
 * - unit: `NAME.test.ts` beside the code that it tests. Stays in its process: `setup.ts` fails a unit test that starts a program.
 * - integration: `NAME.integration.test.ts` beside the code, and everything in `test/`. May start programs and the emulators.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../harness/root.js";

export type Layer = "unit" | "integration";

const ROOMS = [
  ...["functions/src", "services", "harness", "cli", "local", "deploy", "simulation", "chaos", "bench"],
  ...["operator-console", "test"],
];

/** These take longest, so they start first: then nothing long is left for one process at the end. */
const LONGEST_FIRST = [
  "test/browser/console.test.ts",
  "test/system.test.ts",
  "chaos/chaos.integration.test.ts",
  "test/programs.test.ts",
  "simulation/simulation.integration.test.ts",
  "services/users/faults.integration.test.ts",
  "test/bench.test.ts",
];

/** These take many minutes. CI runs them by name. */
const ONLY_BY_NAME = ["deploy/rehearsal/planted-defects.integration.test.ts"];

export function isTestFile(path: string): boolean {
  return path.endsWith(".test.ts");
}

export function layerOf(path: string): Layer {
  return path.startsWith("test/") || path.endsWith(".integration.test.ts") ? "integration" : "unit";
}

/** The test files of these layers, of all if none is named, in the order in which to run them. */
export function filesOf(layers: Layer[]): string[] {
  const all = ROOMS.flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" })
      .filter((name) => isTestFile(name) && !name.includes("node_modules"))
      .map((name) => `${room}/${name}`),
  );
  const rank = (file: string) =>
    (LONGEST_FIRST.indexOf(file) + 1 || all.length) - (layerOf(file) === "integration" ? 0.5 : 0);
  return all
    .filter((file) => !ONLY_BY_NAME.includes(file))
    .filter((file) => layers.length === 0 || layers.includes(layerOf(file)))
    .sort((one, other) => rank(one) - rank(other) || one.localeCompare(other));
}
