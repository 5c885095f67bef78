/**
 * The two layers of tests, by place and name:
 *
 * - unit: `NAME.test.ts` beside the code that it tests. Stays in its process: `setup.ts` fails a unit test that starts a program.
 * - integration: `NAME.integration.test.ts` beside the code, and everything in `test/`. May start programs and the emulators.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../harness/root.js";

export type Layer = "unit" | "integration";

const ROOMS = [
  ...["functions/src", "services", "harness", "cli", "local", "deploy", "simulation", "chaos", "bench"],
  ...["operator-console", "test"],
];

/** How long each file took on this machine, in milliseconds; the reporter keeps it. */
export const DURATIONS = join(ROOT, ".local", "test-durations.json");

/** These take longest on a machine that has not run them yet, in this order. */
const LONGEST = [
  "test/durability.test.ts",
  "test/bench.test.ts",
  "test/start-stop.test.ts",
  "test/tutorial.test.ts",
  "test/browser/console-views.test.ts",
  "test/browser/console.test.ts",
  "test/programs.test.ts",
  "test/overload.test.ts",
  "test/silent-connection.test.ts",
  "chaos/chaos.integration.test.ts",
  "test/storm.test.ts",
  "test/system.test.ts",
  "services/users/chain.integration.test.ts",
  "deploy/manifest.integration.test.ts",
  "test/credentials.test.ts",
  "test/killed-workers.test.ts",
  "test/contract/server-certificates.test.ts",
  "services/users/faults.integration.test.ts",
  "test/google-api.test.ts",
  "test/many-instances.test.ts",
  "test/contract/food-service.test.ts",
  "simulation/simulation.integration.test.ts",
  "local/run.integration.test.ts",
  "test/interrupted.test.ts",
];

/** These take many minutes. CI runs them by name. */
const ONLY_BY_NAME = ["deploy/rehearsal/planted-defects.integration.test.ts"];

export function isTestFile(path: string): boolean {
  return path.endsWith(".test.ts");
}

export function layerOf(path: string): Layer {
  return path.startsWith("test/") || path.endsWith(".integration.test.ts") ? "integration" : "unit";
}

/**
 * The test files of these layers, of all if none is named. Those that take longest come first: then nothing long is left for one process
 * at the end.
 */
export function filesOf(layers: Layer[]): string[] {
  const all = ROOMS.flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" })
      .filter((name) => isTestFile(name) && !name.includes("node_modules"))
      .map((name) => `${room}/${name}`),
  );
  const known = recordedDurations();
  const durationOf = (file: string) => known[file] ?? (LONGEST.includes(file) ? 1e6 - LONGEST.indexOf(file) : 0);
  return all
    .filter((file) => !ONLY_BY_NAME.includes(file))
    .filter((file) => layers.length === 0 || layers.includes(layerOf(file)))
    .sort((one, other) => durationOf(other) - durationOf(one) || one.localeCompare(other));
}

function recordedDurations(): Record<string, number> {
  try {
    return JSON.parse(readFileSync(DURATIONS, "utf8")) as Record<string, number>;
  } catch {
    return {};
  }
}
