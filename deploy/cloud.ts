/** `npm run cloud`: prepares a project with gcloud, or shows the commands. Each part is idempotent. */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Command } from "commander";
import { quoteForShell } from "../harness/process/shell.js";
import {
  deployerSteps,
  invokerSteps,
  monitoringSteps,
  type Place,
  prepareSteps,
  type Step,
  wantedUnder,
} from "./gcloud-steps.js";
import { accessTable } from "./iam.js";
import { givenParams } from "./param-problems.js";
import { paramsFile } from "./params.js";

/**
 * Changes that propagate with a delay. The failing command is retried for at most this many milliseconds.
 * According to Google, it can take ten minutes until an alert can refer to a new metric.
 */
const PROPAGATIONS = [
  { failure: /does not exist/, what: "the new account has propagated", limitMs: 120_000 },
  {
    failure: /Cannot find metric/,
    what: "the new metrics can be used, which can take ten minutes",
    limitMs: 1_200_000,
  },
  { failure: /has not been used in project|SERVICE_DISABLED/, what: "the API is enabled", limitMs: 300_000 },
  { failure: /concurrent policy changes/i, what: "a concurrent change of the policy is done", limitMs: 60_000 },
];

const FIRST_PAUSE_MS = 3_000;
const LONGEST_PAUSE_MS = 20_000;

class GcloudError extends Error {
  override readonly name = "GcloudError";
}

/** gcloud's output. It is not interactive: a command that needs an answer fails. */
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

async function apply({ find, create, update, problem }: Step): Promise<"created" | "updated" | "already exists"> {
  const [found] = find ? (await gcloud(find).catch(() => "")).split("\n") : [];
  const wrong = found === undefined || found === "" ? undefined : problem?.(found);
  if (wrong !== undefined) throw new GcloudError(wrong);
  if (found && !update) return "already exists";
  await untilPropagated(found && update ? update(found) : create);
  return found ? "updated" : "created";
}

/** Runs a command, and retries it while it fails because a change has not propagated. Shows what it waits for. */
async function untilPropagated(args: string[]): Promise<void> {
  const beganMs = Date.now();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(1.5 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      await gcloud(args);
      return;
    } catch (error) {
      const wait = PROPAGATIONS.find(({ failure }) => failure.test(String(error)));
      const waitedMs = Date.now() - beganMs;
      if (!wait || waitedMs + pauseMs > wait.limitMs) throw error;
      console.log(`\n  waiting until ${wait.what} (${Math.round(waitedMs / 1000)} s so far)`);
      await sleep(pauseMs);
    }
  }
}

/** A command line for a shell. */
function shown(args: string[]): string {
  return ["gcloud", ...args].map(quoteForShell).join(" ");
}

function show({ description, find, create, update }: Step): void {
  console.log(`\n# ${description}`);
  console.log(find ? `${shown(find)} | grep . ||\n  ${shown(create)}` : shown(create));
  if (update) console.log(`# if it exists: ${shown(update("NAME"))}`);
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
    console.log(`# PROJECT_NUMBER is the output of this command:\n${shown(asked)}`);
    for (const step of steps({ project, region, number: "PROJECT_NUMBER" }, options)) show(step);
    return;
  }
  const place = { project, region, number: await gcloud(asked) };
  for (const step of steps(place, options)) {
    process.stdout.write(`${step.description}: `);
    console.log(await apply(step));
  }
}

const program = new Command("npm run cloud --").description("Prepares a Google Cloud project.").helpOption("--help");

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
  (place, { deployer }) => [
    ...prepareSteps(place, wantedUnder(givenParams({ directory: ".", project: place.project }))),
    ...(deployer === undefined ? [] : deployerSteps(deployer, place)),
  ],
).option("--deployer <member>", "who deploys, such as user:ana@example.com; owners need not be named");
add("invokers", "after the first deploy: each function's account may call that function", invokerSteps);
add(
  "monitoring",
  "metrics, alerts and dashboard; run it again after each change of deploy/monitoring",
  (place, { channel }) => monitoringSteps(place, channel),
).option("--channel <name...>", "who is notified, as projects/…/notificationChannels/…");

program
  .command("table")
  .description("the table of accounts in docs/operations.md")
  .action(() => console.log(accessTable()));

program
  .command("params")
  .description("every param with its default, for functions/.env.YOUR-PROJECT")
  .option("--set <NAME=VALUE...>", "another value than the default")
  .action(({ set = [] }: { set?: string[] }) => console.log(paramsFile(set)));

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof GcloudError || error instanceof RangeError)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
