/** `npm run verify:deploy`: all that can be shown about a deploy without the cloud, ended by one line of JSON. */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Command } from "commander";
import type { Manifest } from "./cli-manifest.js";

const TESTS = [
  "deploy/manifest.integration.test.ts",
  "deploy/iam.integration.test.ts",
  "deploy/indexes.test.ts",
  "test/builds.test.ts",
];

/** What the registry knows against the packages that are uploaded. It is "unreachable" where there is no answer, which is no pass. */
type Audit = "clean" | "vulnerable" | "unreachable";

const { audit: insisting } = new Command("npm run verify:deploy --")
  .description("Shows all that can be shown about a deploy without the cloud.")
  .helpOption("--help", "show this")
  .option("--audit", "fail where the registry can't be asked about vulnerabilities")
  .parse()
  .opts<{ audit?: true }>();

const began = Date.now();
const tests = await runTests();
const { audit, vulnerabilities } = askRegistry();
const { endpoints } = JSON.parse(readFileSync("deploy/manifest.json", "utf8")) as Manifest;
const isGood = tests.failed === 0 && tests.passed > 0 && audit !== "vulnerable" && (audit === "clean" || !insisting);
console.log(
  JSON.stringify({
    ok: isGood,
    ...tests,
    functions: Object.keys(endpoints).length,
    audit,
    ...(vulnerabilities && { vulnerabilities }),
    seconds: Math.round((Date.now() - began) / 1000),
  }),
);
process.exitCode = isGood ? 0 : 1;

/** Runs the tests and reads the last line of their report. */
async function runTests(): Promise<{ passed: number; failed: number }> {
  const child = spawn(process.execPath, ["--import", "tsx", "test/run.ts", ...TESTS], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  let said = "";
  for await (const chunk of child.stdout) {
    process.stdout.write(chunk);
    said += chunk;
  }
  const [, passed = "0", failed = "1"] = /(\d+) passed, (\d+) failed\s*$/.exec(said) ?? [];
  return { passed: Number(passed), failed: Number(failed) };
}

/** Asks about what is deployed: the functions' own packages, without those that only build and test them. */
function askRegistry(): { audit: Audit; vulnerabilities?: string[] } {
  const { stdout } = spawnSync("npm", ["audit", "--omit=dev", "--json"], { cwd: "functions", encoding: "utf8" });
  const report = parsed(stdout);
  if (!report?.vulnerabilities) return { audit: "unreachable" };
  const serious = Object.entries(report.vulnerabilities).filter(([, { severity }]) =>
    /^(high|critical)$/.test(severity),
  );
  if (serious.length === 0) return { audit: "clean" };
  return { audit: "vulnerable", vulnerabilities: serious.map(([name]) => name) };
}

function parsed(text: string): { vulnerabilities?: Record<string, { severity: string }> } | undefined {
  try {
    return JSON.parse(text) as ReturnType<typeof parsed>;
  } catch {
    return undefined;
  }
}
