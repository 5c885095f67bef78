/**
 * Rehearses a first deploy: follows the deployment guide's steps as printed, with the real Firebase CLI and the real gcloud,
 * against a stand-in for Google's APIs, and runs the uploaded functions. Then rehearses later changes: another deploy, a changed
 * param, a rollback, a rotated certificate.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../harness/root.js";
import type { Manifest } from "../cli-manifest.js";
import { SECRETS } from "../iam.js";
import { Cloud } from "./cloud.js";
import { checkSent } from "./compare.js";
import type { FunctionResource, Project } from "./google/project.js";
import { Google, type Recorded } from "./google/stand-in.js";
import { chapterOf, commandsOf, type PrintedStep, stepsOf } from "./guide-steps.js";
import { letEventsIn, prepare } from "./prepared.js";
import { type Answers, type Ran, type RunOptions, Workspace } from "./workspace.js";

export const PROJECT = "your-project";

/** The page whose steps are rehearsed. */
const GUIDE = "docs/deployment.md";

const FIRST_STEP = 4;
const LAST_STEP = 12;
const DEPLOY_STEP = 8;

/** The questions of a deploy at a terminal, and what the guide says to answer. */
const DEPLOY_ANSWERS: Answers = [
  [/Would you like to proceed with deployment\?/, "y\n"],
  [/How many days do you want to keep container images/, "\n"],
];

/** The output of each step according to the guide. */
const SHOWN: Record<number, RegExp> = {
  4: /^operators-api may read FOOD_SERVICE_CA: (created|already exists)$/m,
  5: /Created a new secret version/,
  6: /^(Installing .*\nInstalled .*)?$/,
  7: /The params for your-project are right\./,
  8: /Deploy complete!/,
  9: /^(.+ may call .+: created\n){7}.+ may call .+: created$/m,
  10: /Poll completed/,
  11: /creates or updates the dashboard: created/,
  12: /ana@example\.com is operator now/,
};

/** The commands that need gcloud, with their replacement if it is not installed. */
const NEEDS_GCLOUD = /\bgcloud\b|npm run cloud -- (?:prepare|invokers|monitoring)/;

/** It asks for the code that a browser shows. */
const SIGNS_IN = /gcloud auth application-default login/;

export interface Report {
  ok: boolean;
  functions: number;
  jobs: number;
  booted: number;
  handled: number;
  steps: number;
  seconds: number;
  /** What was left out, and why. */
  leftOut?: string[];
  /** The first thing that went wrong. */
  failed?: string;
}

export interface RehearsalOptions {
  /** Called with what begins or is left out, and with how many steps have begun. */
  onProgress?(what: string, steps: number): void;
  withGcloud?: boolean;
}

export class RehearsalError extends Error {
  override readonly name = "RehearsalError";
}

export class Rehearsal {
  readonly google = new Google();
  steps = 0;
  booted = 0;
  readonly leftOut: string[] = [];
  /** How many requests there were before the last command. */
  private commandBegan = 0;
  private readonly onProgress: (what: string, steps: number) => void;
  private cloudStarted: Cloud | undefined;
  private workspaceMade: Workspace | undefined;
  readonly hasGcloud: boolean;
  private readonly printed = stepsOf(readFileSync(join(ROOT, GUIDE), "utf8"), "## Deploy");
  private readonly operations = readFileSync(join(ROOT, "docs/operations.md"), "utf8");

  constructor({ onProgress = () => {}, withGcloud = true }: RehearsalOptions = {}) {
    this.onProgress = onProgress;
    this.hasGcloud = withGcloud && spawnSync("gcloud", ["--version"], { stdio: "ignore" }).status === 0;
    if (!this.hasGcloud)
      this.leaveOut(
        `gcloud ${withGcloud ? "is not installed" : "is not wanted"}: its changes are made on the stand-in's data`,
      );
  }

  /** Starts the stand-in and the services behind the functions, and makes a fresh copy of the project. */
  async open({ withCloud = true } = {}): Promise<void> {
    await this.google.listen();
    this.google.addProject(PROJECT).users["ana@example.com"] = { localId: "ana" };
    this.workspaceMade = new Workspace(this.google, PROJECT);
    writeFileSync(this.workspace.path("food-service-ca.pem"), this.google.certificate);
    if (withCloud) this.cloudStarted = await Cloud.start(this.google, join(this.workspace.home, "cloud"));
  }

  get workspace(): Workspace {
    return this.workspaceMade ?? assert.fail("the rehearsal is not open");
  }

  get cloud(): Cloud {
    return this.cloudStarted ?? assert.fail("the rehearsal has no cloud");
  }

  get project(): Project {
    return this.google.find(PROJECT);
  }

  async close(): Promise<void> {
    await this.cloudStarted?.stop();
    await this.google.stop();
    this.workspaceMade?.remove();
  }

  /** Runs everything, in order. */
  async all(): Promise<void> {
    this.tagRelease("v1.2.3");
    for (const step of this.printed.filter(({ number }) => number >= FIRST_STEP && number <= LAST_STEP)) {
      if (step.number === DEPLOY_STEP) await this.rehearseUnattended(step);
      await this.guideStep(step);
    }
    await this.deployAgain();
    await this.changeParam();
    await this.rollBack();
    await this.rotateCertificate();
  }

  /** One step of the guide by its number. */
  printedStep(number: number): Promise<void> {
    return this.guideStep(this.printed.find((step) => step.number === number) ?? assert.fail(`no step ${number}`));
  }

  /** One step of the guide, as it is printed. */
  private async guideStep(step: PrintedStep): Promise<void> {
    if (step.number === 10) await this.runInCloud();
    let output = "";
    for (const command of step.commands)
      output += (await this.command(`deployment guide, step ${step.number}`, command)).output;
    const shown = SHOWN[step.number] ?? assert.fail(`step ${step.number} is new`);
    if (this.hasGcloud || !step.commands.some((command) => NEEDS_GCLOUD.test(command))) {
      const text = output.replace(/[\u2800-\u28ff]/g, "").trim();
      if (!shown.test(text))
        throw new RehearsalError(`step ${step.number} does not show ${shown}:\n${text.slice(-3_000)}`);
    }
    if (step.number === DEPLOY_STEP) this.checkDeployed();
  }

  /** Runs one block of a page. */
  async command(where: string, block: string, options: RunOptions = {}): Promise<Ran> {
    this.steps++;
    this.commandBegan = this.google.requests.length;
    if (!this.hasGcloud && NEEDS_GCLOUD.test(block)) return this.withoutGcloud(where, block);
    this.onProgress(`${where}: ${block.split("\n").join("\n    ")}`, this.steps);
    // gcloud refuses to sign in while it is given a token.
    const env = SIGNS_IN.test(block) ? { CLOUDSDK_AUTH_ACCESS_TOKEN_FILE: undefined } : {};
    const ran = await this.workspace.run(block, { answers: this.answersTo(block), env, ...options });
    if (ran.status !== 0) {
      throw new RehearsalError(
        `${where} failed with status ${ran.status}:\n${block}\n${ran.output.slice(-6_000)}\n${this.refusals()}`,
      );
    }
    return ran;
  }

  private answersTo(block: string): Answers {
    if (block.includes("secrets:set")) return [[/Do you want to re-deploy the functions/, "n\n"]];
    if (SIGNS_IN.test(block)) return [[/enter the verification code/i, "code\n"]];
    return DEPLOY_ANSWERS;
  }

  /** What the stand-in refused last: it says more than the clients do. */
  private refusals(): string {
    const refused = this.requests().filter(({ status }) => status >= 400 && status !== 404);
    return refused.map(({ status, method, host, path }) => `  ${status} ${method} ${host}${path}`).join("\n");
  }

  private async withoutGcloud(where: string, block: string): Promise<Ran> {
    if (block.includes("-- prepare")) prepare(this.project);
    if (block.includes("-- invokers")) letEventsIn(this.project);
    if (SIGNS_IN.test(block)) this.signInForApplications();
    const rest = block.split("\n").filter((line) => !NEEDS_GCLOUD.test(line));
    if (rest.length > 0) return this.command(where, rest.join("\n"));
    return { status: 0, output: "" };
  }

  /** What the last command asked the stand-in. */
  private requests(): Recorded[] {
    return this.google.requests.slice(this.commandBegan);
  }

  private leaveOut(what: string): void {
    this.leftOut.push(what);
    this.onProgress(`left out: ${what}`, this.steps);
  }

  /** A first deploy without a terminal to answer questions; it leaves the project unchanged. */
  private async rehearseUnattended({ commands }: PrintedStep): Promise<void> {
    const before = structuredClone(this.project);
    for (const command of commands) {
      const plain = await this.workspace.run(command, { isUnattended: true });
      if (plain.status === 0)
        throw new RehearsalError("a first deploy without --force asked nothing: the guide says that it does");
      await this.command("unattended", `${command} --non-interactive --force`, { isUnattended: true });
      this.checkDeployed();
    }
    this.google.projects.set(PROJECT, before);
  }

  /** Leaves the credentials that `gcloud auth application-default login` leaves, when gcloud does not. */
  signInForApplications(): void {
    const credentials = { type: "authorized_user", client_id: "gcloud", client_secret: "x", refresh_token: "refresh" };
    const file = join(this.workspace.home, ".config/gcloud/application_default_credentials.json");
    writeFileSync(file, JSON.stringify(credentials));
  }

  /** Everything that was sent is what was reviewed, and all of it is there. */
  checkDeployed(): void {
    const enabled = this.requests()
      .filter(({ path }) => path.endsWith(":enable"))
      .map(({ path }) => path.split(/[/:]/).at(-2));
    if (enabled.length > 0)
      throw new RehearsalError(
        `the deploy had to enable ${enabled.join(", ")}: add it to the APIs of deploy/gcloud-steps.ts`,
      );
    const manifest = JSON.parse(readFileSync(this.workspace.path("deploy/manifest.json"), "utf8")) as Manifest;
    const problems = checkSent(this.project, manifest);
    if (problems.length > 0)
      throw new RehearsalError(`what was deployed is not what was reviewed:\n  ${problems.join("\n  ")}`);
  }

  /** Starts what was uploaded, and lets each function handle an event. */
  async runInCloud(timeoutMs?: number): Promise<void> {
    this.steps++;
    this.onProgress("the functions that were uploaded start and handle an event each", this.steps);
    this.booted = await this.cloud.boot(this.project);
    await this.cloud.handle(this.project, timeoutMs);
  }

  /** A second deploy without changes does nothing. */
  private async deployAgain(): Promise<void> {
    const { output } = await this.command("deploy again", `npx firebase deploy --project $PROJECT`);
    const skipped = output.match(/Skipped \(No changes detected\)/g)?.length ?? 0;
    const written = this.functionsWritten();
    const wanted = Object.keys(this.project.functions).length;
    if (skipped !== wanted || written.length > 0) {
      throw new RehearsalError(
        `a deploy without a change skipped ${skipped} of ${wanted} functions and wrote ${written.join(", ") || "none"}`,
      );
    }
  }

  private functionsWritten(): string[] {
    const written = this.requests().filter(
      ({ method, host, path }) =>
        host === "cloudfunctions.googleapis.com" &&
        (method === "PATCH" || (method === "POST" && path.endsWith("/functions"))),
    );
    return written.map(({ body }) => String(body?.name).split("/").at(-1) ?? "");
  }

  /** A param that changes reaches every function, and nothing else does. */
  private async changeParam(): Promise<void> {
    appendFileSync(
      this.workspace.path(`functions/.env.${PROJECT}`),
      'POLL_PAGE_SIZE="400"\nSWEEP_SCHEDULE="every 15 minutes"\n',
    );
    await this.command("change a param", "npx firebase deploy --only functions --project $PROJECT");
    for (const { name, serviceConfig } of this.functions()) {
      assert.equal(serviceConfig.environmentVariables?.POLL_PAGE_SIZE, "400", name);
    }
    const schedules = Object.values(this.project.jobs).map(({ schedule }) => schedule);
    assert.deepEqual(schedules.sort(), ["* * * * *", "every 15 minutes"]);
  }

  private functions(): FunctionResource[] {
    return Object.values(this.project.functions);
  }

  tagRelease(tag: string): void {
    const git = (...args: string[]) =>
      execFileSync("git", ["-c", "user.name=r", "-c", "user.email=r@example.com", ...args], {
        cwd: this.workspace.directory,
        stdio: "pipe",
      });
    git("init", "-q");
    // As in a repository that keeps the params of its projects elsewhere: they stay when a release is checked out.
    writeFileSync(this.workspace.path(".git/info/exclude"), "/functions/.env.*\n/*.pem\n");
    git("add", "-A");
    git("commit", "-qm", tag);
    git("tag", tag);
  }

  /** A bad release, and the way back that docs/operations.md prints. */
  private async rollBack(): Promise<void> {
    const good = this.fingerprint();
    appendFileSync(this.workspace.path("functions/src/index.ts"), '\nconsole.log("a bad release");\n');
    this.tagRelease("v1.2.4");
    await this.command("a bad release", "npx firebase deploy --project $PROJECT");
    assert.notEqual(this.fingerprint(), good, "the bad release was deployed");
    for (const block of commandsOf(chapterOf(this.operations, "## Roll back"))) await this.command("roll back", block);
    assert.equal(this.fingerprint(), good, "the older release is deployed again");
    this.checkPages();
  }

  /** What the functions' sources consist of: an archive also holds times. */
  private fingerprint(): string {
    const sources = new Set(this.functions().map(({ buildConfig }) => buildConfig.source.storageSource.object));
    assert.equal(sources.size, 1, "all functions are of one source");
    return this.google.contentOf([...sources][0] ?? "");
  }

  /** Hosting sends requests for the API to the newest revision. */
  checkPages(): void {
    const { liveVersion = "" } = this.project.sites[PROJECT] ?? {};
    const { rewrites = [] } = (this.project.versions[liveVersion]?.config ?? {}) as {
      rewrites?: { run?: { serviceId: string; tag?: string } }[];
    };
    const [{ run } = {}] = rewrites;
    assert.deepEqual([run?.serviceId, run?.tag], ["api", undefined], "the rewrite leads to the newest revision of api");
  }

  /** As docs/operations.md prints it, with a food service that changes its certificate in between. */
  private async rotateCertificate(): Promise<void> {
    const blocks = commandsOf(chapterOf(this.operations, "## Rotate the food service's certificate"));
    const [setAndDeploy = "", disable = ""] = blocks;
    const next = await this.cloud.nextCertificate();
    writeFileSync(this.workspace.path("both.pem"), this.google.certificate + next);
    await this.command("rotate the certificate", setAndDeploy);
    this.checkSecretVersion("2");
    await this.runInCloud();
    this.cloud.changeCertificate();
    await this.cloud.handle(this.project);
    writeFileSync(this.workspace.path("new.pem"), next);
    await this.command("rotate the certificate", setAndDeploy.replace("both.pem", "new.pem"), {
      answers: [[/Do you want to re-deploy the functions/, "y\n"]],
    });
    this.checkSecretVersion("3");
    await this.command("rotate the certificate", disable);
    await this.runInCloud();
  }

  private checkSecretVersion(wanted: string): void {
    const [first = ""] = SECRETS;
    for (const { name, serviceConfig } of this.functions()) {
      const found = serviceConfig.secretEnvironmentVariables?.find(({ secret }) => secret === first);
      assert.equal(found?.version, wanted, `${name} has the newest version of ${first}`);
    }
  }

  report(began: number, error?: unknown): Report {
    const functions = this.functions();
    const handled = Object.keys(this.cloudStarted?.handled ?? {}).length;
    const jobs = Object.keys(this.project.jobs).length;
    const isGood = error === undefined && functions.length === this.booted && functions.length === handled;
    return {
      ok: isGood,
      functions: functions.length,
      jobs,
      booted: this.booted,
      handled,
      steps: this.steps,
      seconds: Math.round((Date.now() - began) / 1000),
      ...(this.leftOut.length > 0 && { leftOut: this.leftOut }),
      ...(error !== undefined && { failed: (error as Error).message.split("\n")[0] ?? "" }),
    };
  }
}
