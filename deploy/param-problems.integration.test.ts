/** What the predeploy step refuses, and what it lets through. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { programArgs } from "../services/program-args.js";
import { deploymentParamProblems } from "./param-problems.js";
import { paramsFile } from "./params.js";

const PROJECT = "demo-params";

/** Values with which the generated file can be deployed. */
const GOOD = ["FOOD_SERVICE_ADDRESS=food.example.com:443", "USERS_ADDRESS=users.example.com:443", "USERS_SECURITY=tls"];

describe("the params of a deployment", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "diet-params-"));
    mkdirSync(join(directory, "functions"));
    for (const file of ["firebase.json", "functions/package.json"]) cpSync(file, join(directory, file));
    give(".env.demo-params");
  });

  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** Writes a params file that can be deployed, but for these values. */
  function give(file: string, ...changes: string[]): void {
    writeFileSync(join(directory, "functions", file), paramsFile([...GOOD, ...changes]));
  }

  const problems = () => deploymentParamProblems({ directory, project: PROJECT });

  it("are accepted if all are valid", () => assert.deepEqual(problems(), []));

  it("are accepted with secrets, which are not checked", () => {
    give(
      ".env.demo-params",
      "FOOD_SERVICE_AUTH=bearer-token",
      "FOOD_SERVICE_CLIENT_AUTH=certificate",
      "VPC_NETWORK=food",
    );
    assert.deepEqual(problems(), []);
  });

  for (const [change, refusal] of [
    ["CREATE_POLICY=foo", /^CREATE_POLICY is "foo": .*"park".*"idempotency-key"/],
    ["CALL_DEADLINE_SECONDS=abc", /^CALL_DEADLINE_SECONDS is "abc": must be a whole number from 1 to 60$/],
    ["CALL_DEADLINE_SECONDS=", /^CALL_DEADLINE_SECONDS is "": must be a whole number from 1 to 60$/],
    ["POLL_PAGE_SIZE=10s", /^POLL_PAGE_SIZE is "10s": must be a whole number from 1 to 10000$/],
    ["STAGE_MAX_INSTANCES=0", /^STAGE_MAX_INSTANCES is 0: must be a whole number from 1 to 1000$/],
    ["STAGE_CONCURRENCY=many", /^STAGE_CONCURRENCY is "many": must be a whole number from 1 to 1000$/],
    ["CREATE_LEASE_SECONDS=15", /^CREATE_LEASE_SECONDS is 15: must be at least twice CALL_DEADLINE_SECONDS/],
    ["POLL_SCHEDULE=nonsense", /^POLL_SCHEDULE is "nonsense": must be cron with five fields/],
    ["POLL_SCHEDULE=every 1 minute", /^POLL_SCHEDULE is "every 1 minute": .*write "every 1 minutes"$/],
    ["SWEEP_SCHEDULE=*/10 * * * * *", /^SWEEP_SCHEDULE is .*: must be cron with five fields/],
    ["SWEEP_SCHEDULE=", /^SWEEP_SCHEDULE is "": must be cron with five fields/],
    ["REGION=europe-west1", /^REGION is "europe-west1": the rewrite to api in firebase.json names "us-central1"/],
    ["REGION=us-central", /^REGION is "us-central": must be a region of Google Cloud/],
    ["FOOD_SERVICE_SECURITY=plaintext", /^FOOD_SERVICE_SECURITY is plaintext: only tls/],
    ["USERS_SECURITY=plaintext", /^USERS_SECURITY is plaintext: only tls/],
    ["USERS_ADDRESS=localhost:9000", /^USERS_ADDRESS is "localhost:9000": must be an address that the cloud can reach/],
    ["FOOD_SERVICE_ADDRESS=127.0.0.1:443", /^FOOD_SERVICE_ADDRESS is "127.0.0.1:443": must be an address/],
    ["FOOD_SERVICE_ADDRESS=[::1]:443", /^FOOD_SERVICE_ADDRESS is "\[::1\]:443": must be an address/],
    ["FOOD_SERVICE_ADDRESS=https://food.example.com", /^FOOD_SERVICE_ADDRESS is .*: must be host:port/],
    ["FOOD_SERVICE_AUTH=token", /^FOOD_SERVICE_AUTH is "token": .*"bearer-token"/],
    ["FOOD_SERVICE_AUTH=google-id-token", /^FOOD_SERVICE_AUDIENCE is "none": .*the audience that the food service/],
    ["FOOD_SERVICE_CLIENT_AUTH=mtls", /^FOOD_SERVICE_CLIENT_AUTH is "mtls": .*"certificate"/],
    ["VPC_CONNECTOR=", /^VPC_CONNECTOR is "": it must be the name of one, or none$/],
    ["VPC_EGRESS=all", /^VPC_EGRESS is "all": it must be private-ranges-only or all-traffic$/],
  ] as const) {
    it(`are rejected for ${change}, with the allowed values`, () => {
      give(".env.demo-params", change);
      const [problem = "", ...more] = problems();
      assert.match(problem, refusal);
      assert.deepEqual(more, []);
    });
  }

  it("are rejected as generated, with every value that must change", () => {
    writeFileSync(join(directory, "functions/.env.demo-params"), paramsFile());
    const named = problems().map((problem) => problem.split(" ")[0]);
    assert.deepEqual(named.sort(), ["FOOD_SERVICE_ADDRESS", "USERS_ADDRESS", "USERS_SECURITY"]);
  });

  it("are rejected if one is missing, since the CLI would ask for it after this check", () => {
    const file = join(directory, "functions/.env.demo-params");
    writeFileSync(file, readFileSync(file, "utf8").replace(/^CREATE_POLICY=.*$/m, ""));
    assert.match(problems().join("\n"), /^CREATE_POLICY is not set: add to functions\/\.env\.demo-params/);
  });

  it("are also read from .env, which the project's own file overrides", () => {
    writeFileSync(join(directory, "functions/.env"), "CREATE_POLICY=foo\n");
    assert.deepEqual(problems(), []);
    const file = join(directory, "functions/.env.demo-params");
    writeFileSync(file, readFileSync(file, "utf8").replace(/^CREATE_POLICY=.*$/m, ""));
    assert.match(problems().join("\n"), /^CREATE_POLICY is "foo"/);
  });

  it("are read from the file of an alias of the project", () => {
    writeFileSync(join(directory, ".firebaserc"), JSON.stringify({ projects: { production: PROJECT, other: "x" } }));
    rmSync(join(directory, "functions/.env.demo-params"));
    give(".env.other", "CREATE_POLICY=bar");
    give(".env.production", "CREATE_POLICY=foo");
    const [problem = "", ...more] = problems();
    assert.match(problem, /^CREATE_POLICY is "foo"/);
    assert.deepEqual(more, []);
  });

  it("are rejected if the CLI can't parse the file", () => {
    writeFileSync(
      join(directory, "functions/.env.demo-params"),
      `${paramsFile(GOOD)}\nno assignment\nGCLOUD_PROJECT=x\n`,
    );
    assert.match(problems().join("\n"), /error on lines: no assignment/);
  });

  it("are rejected if a change of the runtime would not be deployed", () => {
    const text = readFileSync("firebase.json", "utf8").replace(/nodejs\d+/, "nodejs22");
    writeFileSync(join(directory, "firebase.json"), text);
    assert.match(problems().join("\n"), /^the runtime is "nodejs22" in firebase.json and "24" under engines.node/);
  });

  it("are checked by npm run check:params, which fails with every problem in its output", async function () {
    this.timeout(60_000);
    const check = () =>
      promisify(execFile)(process.execPath, programArgs("deploy/check-params.ts"), {
        env: { ...process.env, GCLOUD_PROJECT: PROJECT, PROJECT_DIR: directory },
      });
    assert.match((await check()).stdout, /The params for demo-params are right\.\n$/);
    give(".env.demo-params", "CREATE_POLICY=foo", "POLL_SCHEDULE=often");
    await assert.rejects(check(), ({ code, stderr }: { code: number; stderr: string }) => {
      assert.equal(code, 1);
      for (const name of ["CREATE_POLICY", "POLL_SCHEDULE"]) assert.match(stderr, new RegExp(`^ {2}${name} is `, "m"));
      return true;
    });
  });

  it("are checked by firebase deploy before anything is built", () => {
    const { functions } = JSON.parse(readFileSync("firebase.json", "utf8")) as { functions: { predeploy: string[] }[] };
    const steps = functions.flatMap(({ predeploy }) => predeploy);
    const check = steps.findIndex((step) => step.endsWith("check:params"));
    assert.ok(check >= 0 && check < steps.findIndex((step) => step.endsWith("run build")));
  });
});
