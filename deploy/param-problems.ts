/** Finds invalid params of a deployment, which it reads as the Firebase CLI does. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ALL_PARAMS, deploymentProblems } from "../functions/src/config.js";
import { scheduleProblem } from "./cloud-schedule.js";

/** The part of the CLI's untyped module that is used here. */
interface CliEnv {
  loadUserEnvs(options: {
    functionsSource: string;
    projectId: string;
    projectAlias: string | undefined;
    projectDir: string;
  }): Record<string, string>;
}

const cli = createRequire(import.meta.url)("firebase-tools/lib/functions/env") as CliEnv;

interface FirebaseJson {
  functions: { source: string; runtime: string }[];
  hosting: { rewrites: { function?: { functionId: string; region?: string } }[] };
}

/** The source of params: the folder with firebase.json, and the deployed project. */
export interface Deployment {
  directory: string;
  project: string;
}

const SCHEDULES = ["POLL_SCHEDULE", "SWEEP_SCHEDULE"];
const ADDRESSES = ["FOOD_SERVICE_ADDRESS", "USERS_ADDRESS"];

/** This machine, by any of its names, which an instance in the cloud can't reach. */
const THIS_MACHINE = /^(localhost|.*\.localhost|127(\.\d+){3}|0\.0\.0\.0|\[(0*:)*(0*1|0*)\]):\d+$/i;

/**
 * The problems, one sentence per param; empty if the params can be deployed.
 * @throws Error when firebase.json or package.json can't be read
 */
export function deploymentParamProblems({ directory, project }: Deployment): string[] {
  const firebaseJson = readJson(join(directory, "firebase.json")) as FirebaseJson;
  const [codebase] = firebaseJson.functions;
  if (!codebase) throw new Error("firebase.json names no functions");
  const functionsSource = join(directory, codebase.source);
  const problems = runtimeProblems(codebase.runtime, functionsSource);
  for (const projectAlias of aliasesThatCount(directory, functionsSource, project)) {
    let given: Record<string, string>;
    try {
      given = cli.loadUserEnvs({ functionsSource, projectId: project, projectDir: directory, projectAlias });
    } catch (error) {
      problems.push(...spelledOut(error));
      continue;
    }
    const where = `${codebase.source}/.env.${projectAlias ?? project}`;
    problems.push(...valueProblems(given, where), ...regionProblems(given, firebaseJson));
  }
  return [...new Set(problems)];
}

/**
 * The aliases that the project may be deployed under, undefined for its own name. The CLI does not say which one it was given.
 * An alias matters only if it has its own file; the CLI prefers the project's own file.
 */
function aliasesThatCount(directory: string, functionsSource: string, project: string): (string | undefined)[] {
  const file = join(directory, ".firebaserc");
  const { projects = {} } = (existsSync(file) ? readJson(file) : {}) as { projects?: Record<string, string> };
  const hasFile = (name: string) => existsSync(join(functionsSource, `.env.${name}`));
  const aliases = Object.keys(projects).filter((alias) => projects[alias] === project && hasFile(alias));
  return aliases.length === 0 || hasFile(project) ? [undefined] : aliases;
}

/** The params in a project's files. */
export function givenParams({ directory, project }: Deployment): Record<string, string> {
  const [codebase] = (readJson(join(directory, "firebase.json")) as FirebaseJson).functions;
  const functionsSource = join(directory, codebase?.source ?? "functions");
  const [projectAlias] = aliasesThatCount(directory, functionsSource, project);
  return cli.loadUserEnvs({ functionsSource, projectId: project, projectDir: directory, projectAlias });
}

function valueProblems(given: Record<string, string>, where: string): string[] {
  const params = ALL_PARAMS.filter(({ options }) => "default" in options);
  const missing = params.filter(({ name }) => given[name] === undefined);
  const [one] = missing;
  const notThere = one
    ? [
        `${missing.map(({ name }) => name).join(", ")} ${missing.length === 1 ? "is" : "are"} not set: add to ${where} what \`npm run --silent cloud -- params\` shows`,
      ]
    : [];
  const schedules = SCHEDULES.flatMap((name) => {
    const value = given[name];
    const problem = value === undefined ? undefined : scheduleProblem(value);
    return problem === undefined ? [] : [`${name} is ${JSON.stringify(value)}: ${problem}`];
  });
  const local = ADDRESSES.filter((name) => THIS_MACHINE.test(given[name] ?? "")).map(
    (name) => `${name} is ${JSON.stringify(given[name])}: must be an address that the cloud can reach, as host:port`,
  );
  return [...notThere, ...schedules, ...local, ...deploymentProblems(given)];
}

/** Hosting forwards requests to the region in firebase.json, so the API must run there. */
function regionProblems({ REGION }: Record<string, string>, { hosting }: FirebaseJson): string[] {
  if (REGION === undefined) return [];
  if (!/^[a-z]+-[a-z]+\d+$/.test(REGION)) {
    return [`REGION is ${JSON.stringify(REGION)}: must be a region of Google Cloud, such as us-central1`];
  }
  return hosting.rewrites.flatMap(({ function: to }) =>
    to && (to.region ?? "us-central1") !== REGION
      ? [
          `REGION is ${JSON.stringify(REGION)}: the rewrite to ${to.functionId} in firebase.json names ${JSON.stringify(to.region ?? "us-central1")}, and both must be the same`,
        ]
      : [],
  );
}

/** The CLI skips functions whose folder did not change, so the runtime must also be in the folder, or its change is not deployed. */
function runtimeProblems(runtime: string, functionsSource: string): string[] {
  const { engines } = readJson(join(functionsSource, "package.json")) as { engines?: { node?: string } };
  if (runtime === `nodejs${engines?.node}`) return [];
  return [
    `the runtime is ${JSON.stringify(runtime)} in firebase.json and ${JSON.stringify(engines?.node)} under engines.node in functions/package.json: both must name the same version, such as nodejs24 and 24`,
  ];
}

/** The CLI's errors have the details in their children. */
function spelledOut(error: unknown): string[] {
  const { message, children = [] } = error as { message: string; children?: unknown[] };
  const below = children.flatMap(spelledOut);
  return below.length === 0 ? [message] : below.map((text) => `${message} ${text}`);
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}
