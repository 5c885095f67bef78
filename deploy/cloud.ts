/** `npm run cloud`: gets a project ready with gcloud, or shows every command that would. Each part can be run again. */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Command } from "commander";
import { deployerSteps, invokerSteps, monitoringSteps, type Place, prepareSteps, type Step } from "./gcloud-steps.js";
import { accessTable } from "./iam.js";
import { paramsFile } from "./params.js";

/** A new account is not known everywhere at once: its first roles are tried so often, so many milliseconds apart. */
const TRIES = 10;
const WAIT = 3_000;

class GcloudError extends Error {
  override readonly name = "GcloudError";
}

/** What gcloud prints. It asks nothing: what can't be done without an answer fails. */
async function gcloud(args: string[]): Promise<string> {
  try {
    return (await promisify(execFile)("gcloud", [...args, "--quiet"])).stdout.trim();
  } catch (error) {
    const { code, stderr = "" } = error as { code?: unknown; stderr?: string };
    if (code === "ENOENT")
      throw new GcloudError("gcloud is not installed: see https://cloud.google.com/sdk/docs/install");
    throw new GcloudError(stderr.trim(), { cause: error });
  }
}

async function carryOut({ find, run, renew }: Step): Promise<"done" | "renewed" | "there already"> {
  const [found] = find ? (await gcloud(find).catch(() => "")).split("\n") : [];
  if (found && !renew) return "there already";
  const args = found && renew ? renew(found) : run;
  for (let tries = 1; ; tries++) {
    try {
      await gcloud(args);
      return found ? "renewed" : "done";
    } catch (error) {
      if (tries === TRIES || !/does not exist/.test(String(error))) throw error;
      await sleep(WAIT);
    }
  }
}

/** A command line that a shell takes as it stands. */
function shown(args: string[]): string {
  const quoted = ["gcloud", ...args].map((arg) =>
    /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`,
  );
  return quoted.join(" ");
}

function show({ does, find, run, renew }: Step): void {
  console.log(`\n# ${does}`);
  console.log(find ? `${shown(find)} | grep . ||\n  ${shown(run)}` : shown(run));
  if (renew) console.log(`# where it is there: ${shown(renew("NAME"))}`);
}

interface Options {
  project: string;
  region: string;
  deployer?: string;
  channel: string[];
  dryRun?: true;
}

async function main(steps: (place: Place, options: Options) => Step[], options: Options): Promise<void> {
  const { project, region, dryRun } = options;
  const asked = ["projects", "describe", project, "--format=value(projectNumber)"];
  if (dryRun) {
    console.log(`# PROJECT_NUMBER is what this prints:\n${shown(asked)}`);
    for (const step of steps({ project, region, number: "PROJECT_NUMBER" }, options)) show(step);
    return;
  }
  const place = { project, region, number: await gcloud(asked) };
  for (const step of steps(place, options)) {
    process.stdout.write(`${step.does}: `);
    console.log(await carryOut(step));
  }
}

const program = new Command("npm run cloud --").description("Gets a Google Cloud project ready.").helpOption("--help");

function add(name: string, description: string, steps: (place: Place, options: Options) => Step[]): Command {
  return program
    .command(name)
    .description(description)
    .requiredOption("--project <id>", "the project")
    .option("--region <region>", "where the functions run", "us-central1")
    .option("--dry-run", "show every command and run none")
    .action((options: Options) => main(steps, { ...options, channel: options.channel ?? [] }));
}

add(
  "prepare",
  "before the first deploy: APIs, database, topics, secret, accounts and their roles",
  (place, { deployer }) => [...prepareSteps(place), ...(deployer === undefined ? [] : deployerSteps(deployer, place))],
).option("--deployer <member>", "who deploys, such as user:ana@example.com; owners need not be named");
add("invokers", "after the first deploy: each function's account may call that function", invokerSteps);
add("monitoring", "metrics, alerts and dashboard; again after each change of deploy/monitoring", (place, { channel }) =>
  monitoringSteps(place, channel),
).option("--channel <name...>", "who is told, as projects/…/notificationChannels/…");

program
  .command("table")
  .description("the table of accounts, as it stands in docs/operations.md")
  .action(() => console.log(accessTable()));

program
  .command("params")
  .description("every param with its default, for functions/.env.YOUR-PROJECT")
  .action(() => console.log(paramsFile()));

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof GcloudError)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
