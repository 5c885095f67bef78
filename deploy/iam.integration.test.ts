/** Holds the accounts, the commands that make them, the docs and the manifest against each other. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { programArgs } from "../services/program-args.js";
import type { Manifest } from "./cli-manifest.js";
import { APIS, deployerSteps, invokerSteps, monitoringSteps, namesIn, prepareSteps } from "./gcloud-steps.js";
import { ACCESS, accessTable, accountAddress, accountOf, FUNCTION_NAMES, SECRETS } from "./iam.js";

const manifest = JSON.parse(readFileSync("deploy/manifest.json", "utf8")) as Manifest;
const PLACE = { project: "demo-access", number: "123", region: "europe-west1" };

/** A gcloud that records its calls, and finds what an earlier call created. */
const FAKE_GCLOUD = `#!/bin/sh
line="$*"
found() {
  echo "$3" | sed 's/@.*//; s/^--filter=.*="//; s/"$//; s/^diet-orchestrator$/dashboard/' > "$FAKE_LOG.name"
  grep -q "^$1 create .*$(cat "$FAKE_LOG.name")" "$FAKE_LOG" && echo "projects/demo/$(cat "$FAKE_LOG.name")"
}
case "$line" in
  "projects describe "*) echo 123 ;;
  *" describe "*) rest="\${line#* describe }"; found "\${line%% describe *}" describe "\${rest%% *}" ;;
  *" list "*) rest="\${line#* list }"; found "\${line%% list *}" list "\${rest%% *}" ;;
esac
status=$?
echo "$line" >> "$FAKE_LOG"
exit $status
`;

describe("the accounts", () => {
  it("are the functions' service accounts", () => {
    const asked = Object.entries(manifest.endpoints).map(([name, { serviceAccount }]) => [name, serviceAccount]);
    assert.deepEqual(asked.sort(), FUNCTION_NAMES.map((name) => [name, accountAddress(name, "demo-manifest")]).sort());
  });

  it("have names that Google Cloud accepts", () => {
    for (const name of FUNCTION_NAMES) assert.match(accountOf(name), /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/);
  });

  it("may receive their function's events, and read its secrets", () => {
    for (const [name, endpoint] of Object.entries(manifest.endpoints)) {
      const { calledBy } = ACCESS[name as keyof typeof ACCESS];
      const trigger = endpoint.eventTrigger ? "events" : endpoint.scheduleTrigger ? "schedule" : "people";
      assert.equal(calledBy, trigger, name);
      assert.deepEqual(
        endpoint.secretEnvironmentVariables?.map(({ key }) => key),
        SECRETS,
        name,
      );
    }
  });

  it("may publish to the stages' topics only if they are the poll's", () => {
    const taken = Object.values(manifest.endpoints).flatMap(
      ({ eventTrigger }) => eventTrigger?.eventFilters?.topic ?? [],
    );
    const topics = taken.map((topic) => topic.split("/").at(-1)).sort();
    for (const name of FUNCTION_NAMES) {
      const isPoll = name === "pollOrders" || name === "continuePoll";
      assert.deepEqual([...ACCESS[name].publishes].sort(), isPoll ? topics : [], name);
    }
  });

  it("match the table in docs/operations.md (npm run cloud -- table prints it)", () => {
    const page = readFileSync("docs/operations.md", "utf8");
    assert.equal(page.split("<!-- access -->")[1]?.split("<!-- /access -->")[0]?.trim(), accessTable());
  });

  it("get no role with broad permissions", () => {
    const granted = prepareSteps(PLACE).flatMap(({ create }) => create.filter((arg) => arg.startsWith("roles/")));
    const broad = granted.filter((role) => /^roles\/(owner|editor|viewer)$|[aA]dmin$/.test(role));
    assert.deepEqual(broad, []);
  });

  it("may call their own function if it has events, and no other function", () => {
    const steps = invokerSteps(PLACE);
    const calls = steps.map(({ create }) => [create[3], create.find((arg) => arg.startsWith("serviceAccount:"))]);
    const wanted = Object.entries(manifest.endpoints)
      .filter(([, { httpsTrigger }]) => !httpsTrigger)
      .map(([name, { serviceAccount }]) => [
        name.toLowerCase(),
        `serviceAccount:${serviceAccount.replace("@demo-manifest.", `@${PLACE.project}.`)}`,
      ]);
    assert.deepEqual(calls.sort(), wanted.sort());
  });

  it("include every API that the Firebase CLI requires", () => {
    assert.deepEqual(
      manifest.apis.filter((api) => !APIS.includes(api)),
      [],
    );
  });
});

describe("npm run cloud", function () {
  this.timeout(60_000);

  let directory: string;
  let log: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "diet-cloud-"));
    log = join(directory, "log");
    writeFileSync(log, "");
    writeFileSync(join(directory, "gcloud"), FAKE_GCLOUD, { mode: 0o755 });
  });

  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** Runs it with a gcloud of our own; what it printed, and what gcloud was asked. */
  async function cloud(args: string[]): Promise<{ stdout: string; asked: string[] }> {
    const before = askedSoFar().length;
    const path = [directory, process.env.PATH].join(delimiter);
    const { stdout } = await promisify(execFile)(process.execPath, [...programArgs("deploy/cloud.ts"), ...args], {
      env: { ...process.env, PATH: path, FAKE_LOG: log },
    });
    return { stdout, asked: askedSoFar().slice(before) };
  }

  const askedSoFar = () => readFileSync(log, "utf8").split("\n").filter(Boolean);
  const makes = (line: string) => line.includes(" create ") && !line.includes(" identity ");

  for (const [part, steps] of [
    ["prepare", [...prepareSteps(PLACE), ...deployerSteps("user:ana@example.com", PLACE)]],
    ["invokers", invokerSteps(PLACE)],
    ["monitoring", monitoringSteps(PLACE, ["projects/demo-access/notificationChannels/1"])],
  ] as const) {
    const own = {
      prepare: ["--deployer", "user:ana@example.com"],
      invokers: [],
      monitoring: ["--channel", "projects/demo-access/notificationChannels/1"],
    };
    const args = [part, "--project", PLACE.project, "--region", PLACE.region, ...own[part]];

    it(`${part} --dry-run shows every command and runs none`, async () => {
      const { stdout, asked } = await cloud([...args, "--dry-run"]);
      assert.deepEqual(asked, []);
      for (const { description, create } of steps) {
        assert.ok(stdout.includes(`# ${description.replaceAll("123", "PROJECT_NUMBER")}\n`), description);
        for (const arg of create) assert.ok(stdout.includes(arg.replaceAll("123", "PROJECT_NUMBER")), arg);
      }
    });

    it(`${part} runs every command, and creates nothing that exists the second time`, async () => {
      const { asked: first } = await cloud(args);
      for (const { create } of steps) assert.ok(first.includes([...create, "--quiet"].join(" ")), create.join(" "));
      const { asked: second } = await cloud(args);
      assert.deepEqual(second.filter(makes), []);
      if (part === "monitoring") assert.equal(second.filter((line) => line.includes(" update ")).length, steps.length);
    });
  }

  it("shows gcloud's error, and stops", async () => {
    writeFileSync(join(directory, "gcloud"), "#!/bin/sh\necho 'ERROR: not signed in' >&2\nexit 1\n", { mode: 0o755 });
    await assert.rejects(cloud(["prepare", "--project", "demo-access"]), (error: { code: number; stderr: string }) => {
      assert.deepEqual([error.code, error.stderr.trim()], [1, "ERROR: not signed in"]);
      return true;
    });
  });

  it("rejects a database in another region, which can't be moved", async () => {
    const fake =
      "#!/bin/sh\ncase \"$*\" in *'databases describe'*) echo eur3;; *'projects describe'*) echo 123;; esac\n";
    writeFileSync(join(directory, "gcloud"), fake, { mode: 0o755 });
    await assert.rejects(cloud(["prepare", "--project", "demo-access"]), ({ stderr }: { stderr: string }) => {
      assert.match(stderr, /The database \(default\) is in eur3.*europe-west1 or europe-west4/);
      return true;
    });
    await cloud(["prepare", "--project", "demo-access", "--region", "europe-west4"]);
  });

  it("waits for a metric that alerts can't use yet, and says so", async () => {
    const fake = `#!/bin/sh
case "$*" in
  *"policies create"*)
    echo x >> "$FAKE_LOG"
    if [ "$(wc -l < "$FAKE_LOG")" -lt 2 ]; then
      echo 'ERROR: NOT_FOUND: Cannot find metric(s) that match type = "x". It could take up to 10 minutes.' >&2
      exit 1
    fi ;;
  *"projects describe"*) echo 123 ;;
esac
`;
    writeFileSync(join(directory, "gcloud"), fake, { mode: 0o755 });
    const { stdout } = await cloud(["monitoring", "--project", "demo-access"]);
    assert.match(stdout, /waiting until the new metrics can be used/);
    assert.match(stdout, /creates or updates the dashboard: created/);
  });

  it("creates a metric or alert for every file", () => {
    const steps = monitoringSteps(PLACE, []).length;
    assert.equal(steps, namesIn("metrics").length + namesIn("alerts").length + 1);
  });
});
