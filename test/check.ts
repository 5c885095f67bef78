/** `npm run check`: contracts, generated code, format, lint, unused exports and types; then the tests, unless `--static`. */
import { spawnSync } from "node:child_process";

const STEPS: [title: string, command: string, ...args: string[]][] = [
  ["contracts", "buf", "lint", "proto"],
  ["generated code", "node", "local/run.mjs", "proto/generate.ts", "--check"],
  ["format, lint", "biome", "ci", "--error-on-warnings", "."],
  ["boundaries", "npm", "run", "--silent", "boundaries"],
  ["unused code", "knip"],
  ["types", "tsc", "-p", "."],
  ["types of the console", "tsc", "-p", "operator-console"],
];

const steps = process.argv.includes("--static")
  ? STEPS
  : [...STEPS, ["tests", "npm", "test"] as (typeof STEPS)[number]];
const env = { ...process.env, PATH: `node_modules/.bin:${process.env.PATH ?? ""}` };
for (const [title, command, ...args] of steps) {
  console.log(`\n${title}: ${[command, ...args].join(" ")}`);
  const { status } = spawnSync(command, args, { stdio: "inherit", env });
  if (status === 0) continue;
  console.error(`\n${title}: failed`);
  process.exit(1);
}
