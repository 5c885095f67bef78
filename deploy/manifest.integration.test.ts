/** What is uploaded runs, and asks the cloud for what was reviewed: deploy/manifest.json. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { FUNCTION_OPTIONS } from "../functions/src/adapters/firebase/function-options.js";
import { pollOrders } from "../functions/src/pipeline/poll-orders.js";
import { testBed } from "../functions/src/testing/test-bed.js";
import { copyUpload, discover, functionsConfiguration, type Manifest } from "./cli-manifest.js";
import { paramsFile } from "./params.js";

const SNAPSHOT = "deploy/manifest.json";
const PROJECT = "demo-manifest";

/** How long an installation and a discovery may take, in milliseconds; the registry may be slow. */
const PATIENCE = 300_000;

describe("what is deployed", () => {
  let folder: string;
  let uploaded: string[];
  let manifest: Manifest;

  before(async function () {
    this.timeout(PATIENCE);
    folder = mkdtempSync(join(tmpdir(), "diet-upload-"));
    uploaded = await copyUpload(folder);
    // Like the cloud's build: by the functions' own lock file, without development packages.
    const install = ["ci", "--omit=dev", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
    const env = { ...process.env, NODE_ENV: "production" };
    await promisify(execFile)("npm", install, { cwd: folder, env });
    manifest = await discover(folder, PROJECT, paramsFile());
  });

  after(function () {
    this.timeout(PATIENCE);
    rmSync(folder, { recursive: true, force: true });
  });

  it("contains the build and its package files, but no sources and no local settings", () => {
    // A deployment's params go with it.
    const wanted = /^(lib\/[\w.-]+\.c?js|package\.json|package-lock\.json|\.npmrc|\.env(\.[\w-]+)?)$/;
    assert.deepEqual(
      uploaded.filter((name) => !wanted.test(name)),
      [],
    );
    assert.ok(
      uploaded.includes("lib/index.cjs") && uploaded.includes("lib/index.js") && uploaded.includes("package-lock.json"),
    );
    assert.ok(!uploaded.some((name) => name.includes("local")), "no file of one person's machine");
  });

  it("matches the reviewed deploy/manifest.json (UPDATE_MANIFEST=1 rewrites it)", () => {
    if (process.env.UPDATE_MANIFEST === "1") writeFileSync(SNAPSHOT, `${JSON.stringify(manifest, null, 2)}\n`);
    assert.deepEqual(JSON.parse(JSON.stringify(manifest)), JSON.parse(readFileSync(SNAPSHOT, "utf8")));
  });

  /** What each function is deployed with under these params, which must be the same for all. */
  async function under(params: Record<string, string>): Promise<{ secrets: string[]; vpc: unknown }> {
    const lines = Object.entries(params).map(([name, value]) => `${name}="${value}"`);
    const { endpoints } = await discover(folder, PROJECT, [paramsFile(), ...lines].join("\n"));
    const [first, ...others] = Object.values(endpoints).map(({ secretEnvironmentVariables = [], vpc }) => {
      return { secrets: secretEnvironmentVariables.map(({ key }) => key), vpc };
    });
    assert.ok(first);
    for (const other of others) assert.deepEqual(other, first);
    return first;
  }

  it("binds only the secrets that the params require", async function () {
    this.timeout(PATIENCE);
    assert.deepEqual((await under({})).secrets, ["FOOD_SERVICE_CA"]);
    assert.deepEqual((await under({ FOOD_SERVICE_AUTH: "google-id-token" })).secrets, ["FOOD_SERVICE_CA"]);
    const both = { FOOD_SERVICE_AUTH: "bearer-token", FOOD_SERVICE_CLIENT_AUTH: "certificate" };
    const all = ["FOOD_SERVICE_CA", "FOOD_SERVICE_TOKEN", "FOOD_SERVICE_CLIENT_CERTIFICATE", "FOOD_SERVICE_CLIENT_KEY"];
    assert.deepEqual((await under(both)).secrets, all);
  });

  it("uses a VPC through a connector or directly if the params say so, and leaves it if they don't", async function () {
    this.timeout(PATIENCE);
    assert.equal((await under({})).vpc, null);
    assert.deepEqual((await under({ VPC_CONNECTOR: "food", VPC_EGRESS: "all-traffic" })).vpc, {
      connector: `projects/${PROJECT}/locations/us-central1/connectors/food`,
      egressSettings: "ALL_TRAFFIC",
    });
    assert.deepEqual((await under({ VPC_NETWORK: "default", VPC_SUBNETWORK: "food" })).vpc, {
      egressSettings: "PRIVATE_RANGES_ONLY",
      networkInterfaces: [{ network: "default", subnetwork: "food" }],
    });
    await assert.rejects(under({ VPC_CONNECTOR: "food", VPC_NETWORK: "default" }), /could not be analyzed/);
  });

  it("gives each function its own account and the options of the table", () => {
    assert.deepEqual(Object.keys(manifest.endpoints).sort(), Object.keys(FUNCTION_OPTIONS).sort());
    for (const [name, wanted] of Object.entries(FUNCTION_OPTIONS)) {
      const { serviceAccount, availableMemoryMb, cpu, concurrency, minInstances, maxInstances, timeoutSeconds } =
        manifest.endpoints[name] ?? {};
      const memory = { "256MiB": 256, "512MiB": 512, "1GiB": 1024 }[wanted.memory];
      const asked = {
        account: serviceAccount?.replace(`@${PROJECT}.iam.gserviceaccount.com`, ""),
        memory: availableMemoryMb,
        cpu,
        concurrency,
        minInstances,
        maxInstances,
        timeoutSeconds,
      };
      assert.deepEqual(asked, { ...wanted, memory }, name);
    }
    const accounts = Object.values(manifest.endpoints).map(({ serviceAccount }) => serviceAccount);
    assert.equal(new Set(accounts).size, accounts.length, "no two functions share an account");
  });

  it("runs on the runtime that firebase.json names", () => {
    const { runtime } = functionsConfiguration();
    for (const [name, endpoint] of Object.entries(manifest.endpoints)) assert.equal(endpoint.runtime, runtime, name);
  });

  it("has a Hosting rewrite to the API's function, in the default region", () => {
    const { hosting } = JSON.parse(readFileSync("firebase.json", "utf8")) as {
      hosting: { rewrites: { function?: { functionId: string; region: string } }[] };
    };
    const targets = hosting.rewrites.flatMap(({ function: to }) => (to ? [to] : []));
    assert.equal(targets.length, 1);
    for (const to of targets) {
      assert.equal(manifest.endpoints[to.functionId]?.region, to.region);
      assert.ok(manifest.endpoints[to.functionId]?.httpsTrigger, "and that function takes requests");
    }
  });

  it("gives the poll a longer timeout than its lease, under all settings", async () => {
    const bed = testBed({ POLL_PASSES: 12, CALL_DEADLINE_SECONDS: 60, CREATE_LEASE_SECONDS: 120 });
    const began = bed.clock.now();
    let until: unknown;
    bed.food.hooks.once("listOrders", "before", async () => {
      until = await bed.store.field("leases/poll", "until");
    });
    await pollOrders(bed.ports);
    assert.ok(until instanceof Date);
    const seconds = (until.getTime() - began) / 1000;
    assert.ok(seconds < FUNCTION_OPTIONS.pollOrders.timeoutSeconds, `a lease of ${seconds} s`);
  });
});
