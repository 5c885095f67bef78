/** `npm run chaos`: the built functions as real processes, killed, stopped, disconnected and redeployed while orders are in progress. */
import { Command } from "commander";
import { stopOnSignals } from "../harness/process/shutdown-signals.js";
import { Progress } from "../harness/progress.js";
import { numberFrom } from "../services/cli-options.js";
import { StartError } from "../services/server.js";
import { runChaos } from "./run.js";

/** A run with fewer kills than this need not inject every kind of fault. */
const ENOUGH_KILLS = 100;

const whole = (most: number) => numberFrom(1, most, { whole: true });
const { orders, kills, policy, seed } = new Command("npm run chaos --")
  .description("Runs the built functions as real processes under faults and checks that nothing is lost or duplicated.")
  .helpOption("--help", "show this help")
  .option("--orders <number>", "how many orders", whole(5_000), 500)
  .option("--kills <number>", "how often a process is killed", whole(2_000), 200)
  .option("--policy <policy>", "CREATE_POLICY: park or idempotency-key", "idempotency-key")
  .option("--seed <number>", "random seed of the faults", whole(1_000_000), 1)
  .addHelpText(
    "after",
    "\nAnother program also ends a tenth of the orders, and reads of the food service meet an empty replica for a few seconds.",
  )
  .parse()
  .opts<{ orders: number; kills: number; policy: string; seed: number }>();
if (policy !== "park" && policy !== "idempotency-key") {
  console.error("--policy must be park or idempotency-key.");
  process.exit(1);
}

const began = Date.now();
const signal = stopOnSignals(() => process.exit(130));
const elapsed = () => Math.round((Date.now() - began) / 1000);
let status = 1;
const progress = new Progress({ unit: "kills", total: kills });
try {
  const onProgress = (message: string) => progress.news(`${String(elapsed()).padStart(4)} s  ${message}`);
  const { problems, faults, directory, ...outcome } = await runChaos({
    orders,
    kills,
    policy,
    seed,
    onProgress,
    onKills: (done) => progress.to(done),
    signal,
  });
  progress.end();
  const missing = kills >= ENOUGH_KILLS ? faults.missing.map((kind) => `the fault "${kind}" never struck`) : [];
  for (const problem of [...problems, ...missing]) console.log(`VIOLATED ${problem}`);
  if (missing.length === 0 && faults.missing.length > 0) console.log(`NOT TESTED ${faults.missing.join(", ")}`);
  if (problems.length > 0) console.log(`The log and the records are in ${directory}`);
  console.log(JSON.stringify({ orders, policy, seed, ...outcome, faults: faults.byKind, seconds: elapsed() }));
  status = problems.length + missing.length > 0 ? 1 : 0;
} catch (error) {
  status = signal.aborted ? 130 : 1;
  if (!signal.aborted) console.error(error instanceof StartError ? error.message : error);
}
process.exit(status);
