/**
 * Plants one defect at a time and sees the rehearsal fail: a check that can't fail proves nothing. It takes minutes:
 * `npm test -- deploy/rehearsal/planted-defects.integration.test.ts` runs it, and CI does.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import type { Project } from "./google/project.js";
import { prepare } from "./prepared.js";
import { PROJECT, Rehearsal } from "./rehearsal.js";

/** A deploy takes half a minute on an idle machine. */
const TIMEOUT_MS = 900_000;

const DEPLOY = "npx firebase deploy --project $PROJECT --non-interactive --force";

describe("the rehearsal", function () {
  this.timeout(TIMEOUT_MS);

  const rehearsal = new Rehearsal();
  let prepared: Project;

  before(async () => {
    await rehearsal.open();
    prepare(rehearsal.project);
    rehearsal.tagRelease("clean");
    for (const number of [5, 6]) await rehearsal.printedStep(number);
    prepared = structuredClone(rehearsal.project);
  });

  after(() => rehearsal.close());

  beforeEach(() => {
    execFileSync("git", ["checkout", "-q", "--force", "clean"], { cwd: rehearsal.workspace.directory });
    rehearsal.google.projects.set(PROJECT, structuredClone(prepared));
    rehearsal.google.whims = { metricMisses: 0 };
    params = readFileSync(rehearsal.workspace.path(`functions/.env.${PROJECT}`), "utf8");
  });

  afterEach(() => writeFileSync(rehearsal.workspace.path(`functions/.env.${PROJECT}`), params));

  let params = "";

  /** Changes a file of the copy. The text must be there. */
  function edit(file: string, text: string | RegExp, by: string): void {
    const path = rehearsal.workspace.path(file);
    const before = readFileSync(path, "utf8");
    const after = before.replace(text, by);
    assert.notEqual(after, before, `${file} has no ${text}`);
    writeFileSync(path, after);
  }

  const setParam = (name: string, value: string) =>
    edit(`functions/.env.${PROJECT}`, new RegExp(`^${name}=.*$`, "m"), `${name}="${value}"`);

  /** Takes the check of params out of the deploy: what it finds is found by Google too. */
  const withoutCheck = () => edit("firebase.json", /\s*"npm run --silent check:params",/, "");

  async function deploy(): Promise<void> {
    await rehearsal.command("deploy", DEPLOY, { isUnattended: true });
    rehearsal.checkDeployed();
  }

  const fails = (why: RegExp, work: () => Promise<unknown> = deploy) =>
    assert.rejects(work, (error: Error) => {
      assert.match(error.message, why);
      return true;
    });

  it("succeeds if nothing is wrong", deploy);

  it("fails for accounts without their domain", async () => {
    edit(
      "functions/src/adapters/firebase/function-options.ts",
      /expr`\$\{account\}@\$\{projectID\}\.iam\.gserviceaccount\.com`/,
      "expr`$" + "{account}@`",
    );
    await fails(/Invalid service account \([a-z-]+@\)/);
  });

  it("fails for an account that does not exist", async () => {
    const { accounts, policies } = rehearsal.project;
    const address = accounts.find((account) => account.startsWith("sweep-orders@")) ?? assert.fail();
    accounts.splice(accounts.indexOf(address), 1);
    for (const { bindings = [] } of Object.values(policies)) {
      for (const binding of bindings) binding.members = binding.members.filter((member) => !member.endsWith(address));
    }
    await fails(/Service account sweep-orders@your-project\.iam\.gserviceaccount\.com does not exist/);
  });

  it("fails for an account that may not receive events", async () => {
    const bindings = rehearsal.project.policies[`projects/${PROJECT}`]?.bindings ?? [];
    for (const binding of bindings.filter(({ role }) => role === "roles/eventarc.eventReceiver")) {
      binding.members = binding.members.filter((member) => !member.includes("on-relation-written@"));
    }
    await fails(/on-relation-written@.* lacks IAM permission "eventarc\.events\.receiveEvent"/);
  });

  it("fails for an account that may not use documents", async () => {
    await deploy();
    const bindings = rehearsal.project.policies[`projects/${PROJECT}`]?.bindings ?? [];
    for (const binding of bindings.filter(({ role }) => role === "roles/datastore.user")) {
      binding.members = binding.members.filter((member) => !member.includes("complete-order@"));
    }
    await fails(/complete-order@.* has not the role roles\/datastore\.user/, () => rehearsal.runInCloud());
  });

  it("fails for a secret without a value", async () => {
    for (const secret of Object.values(rehearsal.project.secrets)) secret.versions = [];
    await fails(/no latest version of the secret/);
  });

  it("fails for a missing topic", async function () {
    if (!rehearsal.hasGcloud) this.skip();
    rehearsal.google.projects.delete(PROJECT);
    rehearsal.google.addProject(PROJECT);
    edit("deploy/gcloud-steps.ts", "...TOPICS.map((topic)", "...[].map((topic)");
    await fails(/Resource not found \(resource=orders-new\)/, () => rehearsal.printedStep(4));
  });

  it("fails for a param with an invalid value", async () => {
    setParam("CREATE_POLICY", "foo");
    setParam("CALL_DEADLINE_SECONDS", "abc");
    await fails(/CREATE_POLICY is "foo"/);
    await fails(/CALL_DEADLINE_SECONDS is "abc"/);
  });

  it("fails for params as they are generated", async () => {
    await rehearsal.command("params", "npm run --silent cloud -- params > functions/.env.$PROJECT", {
      isUnattended: true,
    });
    await fails(/USERS_SECURITY is plaintext/);
  });

  it("fails for a region that differs from the rewrite's", async () => {
    setParam("REGION", "europe-west1");
    await fails(/REGION is "europe-west1": the rewrite to api/);
  });

  it("fails for a schedule that Cloud Scheduler rejects, even without our own check", async () => {
    withoutCheck();
    setParam("POLL_SCHEDULE", "every 1 minute");
    await fails(/Schedule or time zone is invalid/);
  });

  it("fails for a database in another region", async () => {
    const [database] = Object.values(rehearsal.project.databases);
    if (database) database.locationId = "europe-west1";
    await fails(/must be in the location of the database, europe-west1/);
  });

  it("fails for an API that is not enabled", async () => {
    const { apis } = rehearsal.project;
    apis.splice(apis.indexOf("cloudscheduler.googleapis.com"), 1);
    await fails(/had to enable cloudscheduler|cloudscheduler\.googleapis\.com API has not been used/);
  });

  it("fails for a project without a Hosting site", async () => {
    rehearsal.project.sites = {};
    await fails(/no Hosting site/);
  });

  it("fails for a runtime that is changed in firebase.json alone", async () => {
    edit("firebase.json", /"runtime": "nodejs\d+"/, '"runtime": "nodejs22"');
    await fails(/the runtime is "nodejs22" in firebase\.json/);
  });

  it("fails for more memory than was reviewed", async () => {
    edit("functions/src/adapters/firebase/function-options.ts", 'memory: "1GiB"', 'memory: "512MiB"');
    await fails(/sweep: memory is 512, and was reviewed as 1024/);
  });

  it("fails for a rewrite that stays on one revision", async () => {
    edit("firebase.json", '"functionId": "api",', '"functionId": "api", "pinTag": true,');
    await deploy();
    assert.throws(() => rehearsal.checkPages(), /the rewrite leads to the newest revision/);
  });

  it("fails for alerts that don't wait for new metrics", async function () {
    if (!rehearsal.hasGcloud) this.skip();
    rehearsal.google.whims = { metricMisses: 2 };
    edit("deploy/cloud.ts", "Cannot find metric", "something else");
    await fails(/Cannot find metric\(s\)/, () => rehearsal.printedStep(11));
  });

  it("fails for roles that are granted without a quota project", async () => {
    edit("cli/roles.ts", /process\.env\.GOOGLE_CLOUD_QUOTA_PROJECT \?\?= project;/, "");
    rehearsal.signInForApplications();
    const grant = "npm run roles -- --project $PROJECT grant ana@example.com operator";
    await fails(/requires a quota project/, () => rehearsal.command("roles", grant, { isUnattended: true }));
  });

  it("fails for functions without invoker permissions", async () => {
    await deploy();
    await fails(/send-to-kitchen@.* may not call sendToKitchen/, () => rehearsal.runInCloud(20_000));
  });

  it("fails for an upload that lacks a package", async () => {
    edit("functions/build.mjs", 'external: ["supports-color"]', 'external: ["supports-color", "valibot"]');
    await deploy();
    await fails(/does not start.*valibot/s, () => rehearsal.runInCloud());
  });
});
