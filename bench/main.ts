/** `npm run bench`: asks one question, or all, and answers with one JSON line each. */
import { Command } from "commander";
import { stopOnSignals } from "../harness/process/shutdown-signals.js";
import { Progress } from "../harness/progress.js";
import { numberFrom } from "../services/cli-options.js";
import { StartError } from "../services/server.js";
import { type Bench, run } from "./bench.js";
import { coldStart } from "./cold-start.js";
import { consoleBench } from "./console.js";
import { growth } from "./growth.js";
import { largePoll } from "./large-poll.js";
import { BenchError } from "./measure.js";
import { pipeline } from "./pipeline.js";
import { poll } from "./poll.js";
import { stage } from "./stage.js";
import { writeTable } from "./table.js";
import { users } from "./users.js";
import { inWorld } from "./world.js";

const BENCHES: Bench[] = [coldStart, stage, poll, largePoll, pipeline, growth, users, consoleBench];

/** Fewer runs than this say nothing. */
const FEWEST = 5;

const program = new Command("npm run bench --")
  .description("Measures one question against its baseline and prints the result as one line of JSON.")
  .helpOption("--help", "show this help")
  .argument("<names...>", "which benches, or all, or table to write the stored results into docs/performance.md")
  .option(
    "--runs <number>",
    `measured runs of each side, at least ${FEWEST}`,
    numberFrom(1, 100, { whole: true }),
    FEWEST,
  )
  .option("--smoke", "do as little as possible, to show that it works; saves no result", false)
  .option("--no-peers", "skip peers that need their own packages or PostgreSQL; saves no result")
  .option("--node <program>", "the Node.js that the functions run on", process.execPath)
  .option("--profile", "each instance writes a CPU profile to the run's folder; saves no result", false)
  .addHelpText(
    "after",
    `\nQuestions:\n${BENCHES.map(({ name, question }) => `  ${name.padEnd(12)}${question}`).join("\n")}`,
  )
  .parse();
const { runs, smoke, peers, node, profile } = program.opts<{
  runs: number;
  smoke: boolean;
  peers: boolean;
  node: string;
  profile: boolean;
}>();
const names = program.args;
if (names[0] === "table") {
  writeTable();
  process.exit();
}
const unknown = names.filter((name) => name !== "all" && !BENCHES.some((bench) => name === bench.name));
if (unknown.length > 0) program.error(`There is no bench named ${unknown.join(", ")}; --help lists all benches.`);
const chosen = BENCHES.filter(({ name }) => names.includes("all") || names.includes(name));
if (runs < FEWEST && !smoke) program.error(`--runs must be at least ${FEWEST}.`);

// The clients that benches use themselves: nothing here runs in Google's cloud.
process.env.METADATA_SERVER_DETECTION = "none";
const signal = stopOnSignals(() => process.exit(130));
const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
const save = !smoke && !profile && peers;
let status = 0;
const progress = new Progress({ unit: "benches", total: chosen.length });
progress.to(0);
try {
  await inWorld({ signal, node, profile }, async (world) => {
    for (const bench of chosen) {
      signal.throwIfAborted();
      const say = (line: string) => progress.news(`${bench.name}: ${line}`);
      if (world.profiles) say(`profiles in ${world.profiles}`);
      const result = await Promise.race([run(bench, { world, runs, smoke, peers, say }, save), aborted]);
      if (!result.met) progress.found(`${bench.name} misses a target`);
      progress.advance();
      // On a terminal the result goes above the line of progress.
      if (process.stderr.isTTY && process.stdout.isTTY) progress.news(JSON.stringify(result));
      else console.log(JSON.stringify(result));
    }
  });
} catch (error) {
  status = signal.aborted ? 130 : 1;
  const expected = error instanceof StartError || error instanceof BenchError;
  if (!signal.aborted) console.error(expected ? error.message : error);
}
progress.end();
process.exit(status);
