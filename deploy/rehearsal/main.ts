/** `npm run rehearse`: rehearses a first deploy and later changes on this machine; ends with one line of JSON. */
import { Command } from "commander";
import { stopOnSignals } from "../../harness/process/shutdown-signals.js";
import { Progress } from "../../harness/progress.js";
import { auditFunctions } from "./audit.js";
import { Rehearsal, RehearsalError } from "./rehearsal.js";

const { gcloud, audit } = new Command("npm run rehearse")
  .description(
    "Follows the deployment guide against a stand-in for Google's APIs, runs the uploaded functions, and redeploys them.",
  )
  .helpOption("--help", "show this help")
  .option("--no-gcloud", "skip gcloud, which takes most of the time")
  .option("--audit", "also check the uploaded packages for advisories; fails if the registry can't be reached")
  .parse()
  .opts<{ gcloud: boolean; audit?: true }>();

const began = Date.now();
const progress = new Progress({ unit: "steps", out: process.stdout });
const rehearsal = new Rehearsal({
  onProgress(what, steps) {
    progress.news(`${Math.round((Date.now() - began) / 1000)} s  ${what}`);
    progress.to(steps);
  },
  withGcloud: gcloud,
});
stopOnSignals(() => process.exit(130)).addEventListener(
  "abort",
  () => void rehearsal.close().then(() => process.exit(130)),
);
let failure: unknown;
try {
  if (audit) {
    const { result, vulnerabilities } = auditFunctions();
    if (result !== "clean") throw new RehearsalError(`the packages are ${result}: ${vulnerabilities.join(", ")}`);
  }
  await rehearsal.open();
  await rehearsal.all();
} catch (error) {
  failure = error;
  console.error(error instanceof Error ? error.stack : error);
}
const report = rehearsal.report(began, failure);
await rehearsal.close();
progress.end();
console.log(JSON.stringify(report));
process.exit(report.ok ? 0 : 1);
