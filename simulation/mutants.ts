/** `npm run simulate:mutants`: plants each mistake, one at a time, and shows that the simulation finds it. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import type { Plugin } from "esbuild";
import { bundle } from "./bundle.js";
import { INVARIANTS } from "./checker.js";
import { MUTATIONS, type Mutation } from "./mutations.js";

const FUNCTIONS = fileURLToPath(new URL("../functions/src", import.meta.url));

/** What the hunt for one mutant found. */
interface Caught {
  invariants: string[];
  schedules: number;
}

/** Builds the simulation with one mistake in it. An edit that fits nowhere, or more than once, is an error. */
async function plant({ name, edits }: Mutation, outfile: string): Promise<void> {
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
  await bundle("hunt.ts", outfile, [mistake]);
  for (const { file } of left) throw new Error(`"${name}": ${file} is not part of the simulation`);
}

async function hunt(mutation: Mutation, number: number, built: string): Promise<Caught> {
  const outfile = join(built, `${number}.mjs`);
  await plant(mutation, outfile);
  const child = spawn(process.execPath, [outfile], { stdio: ["ignore", "pipe", "inherit"] });
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
  .option("--sample <count>", "plant only so many of them, spread over the list", Number);

async function main(): Promise<void> {
  const { sample = MUTATIONS.length } = command.parse().opts<{ sample?: number }>();
  const step = MUTATIONS.length / sample;
  const planted = MUTATIONS.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
  const built = mkdtempSync(join(tmpdir(), "mutants-"));
  process.once("exit", () => rmSync(built, { recursive: true, force: true }));
  const waiting = [...planted.entries()];
  const caughtBy = new Map<string, number>(INVARIANTS.map((invariant) => [invariant, 0]));
  let missed = 0;
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [number, mutation] = next;
      const { invariants, schedules } = await hunt(mutation, number, built);
      for (const invariant of invariants) caughtBy.set(invariant, (caughtBy.get(invariant) ?? 0) + 1);
      if (invariants.length === 0) missed++;
      const verdict = invariants.length > 0 ? `after ${schedules} schedules: ${invariants.join(", ")}` : "NOT CAUGHT";
      console.log(`${mutation.name.padEnd(38)} ${verdict}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  const idle = [...caughtBy].filter(([, caught]) => caught === 0).map(([invariant]) => invariant);
  console.log(`\n${"invariant".padEnd(45)} mutants caught`);
  for (const [invariant, caught] of caughtBy) console.log(`${invariant.padEnd(45)} ${caught}`);
  const caught = planted.length - missed;
  console.log(JSON.stringify({ mutants: planted.length, caught, invariants: INVARIANTS.length, idleInvariants: idle }));
  // A sample need not reach every invariant.
  process.exitCode = missed > 0 || (planted.length === MUTATIONS.length && idle.length > 0) ? 1 : 0;
}

await main();
