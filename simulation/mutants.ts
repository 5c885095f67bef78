/** `npm run simulate:mutants`: plants each mistake, one at a time, and shows that the simulation finds it. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import type { Plugin } from "esbuild";
import { Progress } from "../harness/progress.js";
import { bundle, FROM_STDIN } from "./bundle.js";
import { INVARIANTS } from "./checker.js";
import { MUTATIONS, type Mutation } from "./mutations.js";

const FUNCTIONS = fileURLToPath(new URL("../functions/src", import.meta.url));

/** What the hunt for one mutant found. */
interface Caught {
  invariants: string[];
  schedules: number;
}

/** Builds the simulation with one mistake in it. An edit that fits nowhere, or more than once, is an error. */
async function plant({ name, edits }: Mutation): Promise<string> {
  const left = new Set(edits);
  const mistake: Plugin = {
    name: "mistake",
    setup(planting) {
      planting.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const here = edits.filter(({ file }) => resolve(FUNCTIONS, file) === path);
        let contents = readFileSync(path, "utf8");
        for (const edit of here) {
          const times = contents.split(edit.from).length - 1;
          if (times !== 1)
            throw new Error(`"${name}": ${JSON.stringify(edit.from)} stands ${times} times in ${edit.file}`);
          contents = contents.replace(edit.from, () => edit.to);
          left.delete(edit);
        }
        return here.length > 0 ? { contents, loader: "ts" } : undefined;
      });
    },
  };
  const program = await bundle("mutant-search.ts", [mistake]);
  for (const { file } of left) throw new Error(`"${name}": ${file} is not part of the simulation`);
  return program;
}

async function hunt(mutation: Mutation): Promise<Caught> {
  const program = await plant(mutation);
  const child = spawn(process.execPath, FROM_STDIN, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(program);
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(output) as Caught);
      else reject(new Error(`the hunt for "${mutation.name}" ended with status ${code}`));
    });
  });
}

const command = new Command("simulate:mutants")
  .description("Plants mistakes in the protocol, one at a time, and shows that the simulation finds each.")
  .option("--sample <count>", "plant only so many of them, spread over the list", Number)
  .option("--name <text>", "plant only those with this text in their names", "");

async function main(): Promise<void> {
  const options = command.parse().opts<{ sample?: number; name: string }>();
  const named = MUTATIONS.filter(({ name }) => name.includes(options.name));
  const step = named.length / (options.sample ?? named.length);
  const planted = named.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
  const waiting = [...planted];
  const caughtBy = new Map<string, number>(INVARIANTS.map((invariant) => [invariant, 0]));
  let missed = 0;
  const progress = new Progress({ unit: "mutants", total: planted.length });
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { invariants, schedules } = await hunt(next);
      for (const invariant of invariants) caughtBy.set(invariant, (caughtBy.get(invariant) ?? 0) + 1);
      if (invariants.length === 0) missed++;
      const verdict = invariants.length > 0 ? `after ${schedules} schedules: ${invariants.join(", ")}` : "NOT CAUGHT";
      // On a terminal the verdict goes above the line of progress.
      if (process.stderr.isTTY && process.stdout.isTTY) progress.news(`${next.name.padEnd(38)} ${verdict}`);
      else console.log(`${next.name.padEnd(38)} ${verdict}`);
      if (invariants.length === 0) progress.found(`${next.name} is not caught`);
      progress.advance();
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  progress.end();
  const idle = [...caughtBy].filter(([, caught]) => caught === 0).map(([invariant]) => invariant);
  console.log(`\n${"invariant".padEnd(45)} mutants caught`);
  for (const [invariant, caught] of caughtBy) console.log(`${invariant.padEnd(45)} ${caught}`);
  const caught = planted.length - missed;
  console.log(JSON.stringify({ mutants: planted.length, caught, invariants: INVARIANTS.length, idleInvariants: idle }));
  // A sample need not reach every invariant.
  process.exitCode = missed > 0 || (planted.length === MUTATIONS.length && idle.length > 0) ? 1 : 0;
}

await main();
