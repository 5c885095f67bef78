/** Holds the metrics, alerts and the dashboard against what the code really logs: a field that is renamed breaks a test. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { CREATING_STAGES } from "../functions/src/domain/order-lifecycle.js";
import { FAILED_POLLS_MS, THRESHOLDS } from "../operator-console/src/thresholds.js";
import { delivery, FAILURE_SCENARIOS } from "../test/scenarios.js";
import { namesIn } from "./gcloud-steps.js";
import { extract, type LogEntry, matches } from "./log-filter.js";

interface Metric {
  description: string;
  filter: string;
  metricDescriptor: { valueType: string; labels?: { key: string }[] };
  labelExtractors?: Record<string, string>;
  valueExtractor?: string;
}

interface Alert {
  displayName: string;
  userLabels: { alert: string };
  documentation: { content: string };
  conditions: {
    conditionThreshold?: {
      filter: string;
      thresholdValue?: number;
      aggregations?: { alignmentPeriod: string }[];
    };
    conditionAbsent?: { filter: string; duration?: string };
  }[];
}

const read = (file: string) => JSON.parse(readFileSync(`deploy/monitoring/${file}.json`, "utf8")) as unknown;
const METRICS = Object.fromEntries(namesIn("metrics").map((name) => [name, read(`metrics/${name}`) as Metric]));
const ALERTS = Object.fromEntries(namesIn("alerts").map((name) => [name, read(`alerts/${name}`) as Alert]));

/** What a delivery without any trouble is counted by. */
const OF_EVERY_DAY = ["moves", "oldest_order_seconds", "orders_published", "polls", "report_lag_ms"];

/** The metrics that each trouble must be seen by. */
const SEEN_BY: Record<keyof typeof FAILURE_SCENARIOS, string[]> = {
  "a create whose outcome is unknown": ["create_failures", "orders_waiting"],
  "a create that is refused": ["create_failures"],
  "an order that another client sent to the kitchen": ["create_failures", "orders_waiting"],
  "a link that can't be saved": ["not_linked"],
  "a food service that is away": ["poll_failures"],
  "a call that fails": ["retries"],
  "a document of a newer schema": ["dropped"],
  "a large share of the orders that is missing": ["orders_missing"],
  "an order that is missing until its attempt is closed": ["create_failures"],
  "a kitchen order that is lost": ["orders_waiting"],
  "a report that is rejected": ["orders_waiting"],
};

function countedBy(entries: LogEntry[]): string[] {
  const counting = Object.entries(METRICS).filter(([, { filter }]) => entries.some((entry) => matches(filter, entry)));
  return counting.map(([name]) => name);
}

/** What each threshold of the console's status strip is in the alert of the same meaning. Times are in milliseconds. */
const CONSOLE_ALERTS: Record<keyof typeof THRESHOLDS, () => number> = {
  pollAgeMs: () => 1_000 * Number.parseInt(ALERTS["poll-late"]?.conditions[0]?.conditionAbsent?.duration ?? "", 10),
  failedPolls: () => ALERTS["poll-failing"]?.conditions[0]?.conditionThreshold?.thresholdValue ?? Number.NaN,
  oldestOrderMs: () =>
    1_000 * (ALERTS["oldest-order"]?.conditions[0]?.conditionThreshold?.thresholdValue ?? Number.NaN),
  reportLagMs: () => ALERTS["report-lag"]?.conditions[0]?.conditionThreshold?.thresholdValue ?? Number.NaN,
};

describe("the console's status strip", () => {
  for (const name of Object.keys(THRESHOLDS) as (keyof typeof THRESHOLDS)[]) {
    it(`turns red at the threshold of the alert: ${name}`, () =>
      assert.equal(THRESHOLDS[name].red, CONSOLE_ALERTS[name]()));
  }

  it("counts failed polls in the same period as the alert", () => {
    const [aggregation] = ALERTS["poll-failing"]?.conditions[0]?.conditionThreshold?.aggregations ?? [];
    assert.equal(aggregation?.alignmentPeriod, `${FAILED_POLLS_MS / 1_000}s`);
  });
});

describe("the metrics", () => {
  const entries: LogEntry[] = [];

  it("counts routine work and no failures in a delivery without failures", async () => {
    const { entries: lines, bed } = await delivery();
    assert.equal(bed.food.orders.get("orders/1")?.status, "DELIVERED");
    assert.deepEqual(countedBy(lines), OF_EVERY_DAY);
    entries.push(...lines);
  });

  for (const [name, run] of Object.entries(FAILURE_SCENARIOS)) {
    it(`counts ${name}`, async () => {
      const lines = (await run()).entries;
      const missing = SEEN_BY[name as keyof typeof FAILURE_SCENARIOS].filter(
        (metric) => !countedBy(lines).includes(metric),
      );
      assert.deepEqual(missing, []);
      entries.push(...lines);
    });
  }

  it("count at least one entry each, with every label and value that they extract", () => {
    for (const [name, { filter, labelExtractors = {}, valueExtractor, metricDescriptor }] of Object.entries(METRICS)) {
      const seen = entries.filter((entry) => matches(filter, entry));
      assert.notEqual(seen.length, 0, `nothing is counted by ${name}`);
      assert.deepEqual(
        Object.keys(labelExtractors),
        (metricDescriptor.labels ?? []).map(({ key }) => key),
        name,
      );
      for (const entry of seen) {
        for (const [label, extractor] of Object.entries(labelExtractors)) {
          assert.equal(
            typeof extract(extractor, entry),
            "string",
            `${name} has no ${label} in ${JSON.stringify(entry)}`,
          );
        }
        if (!valueExtractor) continue;
        assert.equal(metricDescriptor.valueType, "DISTRIBUTION", name);
        assert.ok(Number.isFinite(extract(valueExtractor, entry)), `${name} has no value in ${JSON.stringify(entry)}`);
      }
    }
  });

  it("count failures of every stage that creates something", () => {
    const { filter } = METRICS.create_failures ?? assert.fail("create_failures");
    for (const component of CREATING_STAGES) {
      assert.ok(
        matches(filter, { resource: { type: "cloud_run_revision" }, jsonPayload: { component, outcome: "blocked" } }),
        `create_failures does not count ${component}`,
      );
    }
  });

  it("measure the lag of a report and the age of the oldest order", async () => {
    const { entries: lines } = await delivery();
    const valuesOf = (name: string) => {
      const { filter, valueExtractor = "" } = METRICS[name] ?? assert.fail(name);
      return lines.filter((entry) => matches(filter, entry)).map((entry) => extract(valueExtractor, entry));
    };
    assert.deepEqual(valuesOf("report_lag_ms"), [150, 150, 150]);
    const [age] = valuesOf("oldest_order_seconds");
    assert.ok(Number(age) >= 120 && Number(age) < 125, `${age} s, two ticks after its first`);
  });
});

describe("every log line of INFO and above", () => {
  it("names its component and outcome, and the order if it is about one", async () => {
    const scenarios = [await delivery(), ...(await Promise.all(Object.values(FAILURE_SCENARIOS).map((run) => run())))];
    for (const { jsonPayload } of scenarios.flatMap(({ entries }) => entries)) {
      const { component, outcome, order, message } = jsonPayload as Record<string, unknown>;
      assert.ok(typeof component === "string" && typeof outcome === "string", JSON.stringify(jsonPayload));
      const isAboutAll = order === undefined && ["poll", "sweep"].includes(component);
      assert.ok(isAboutAll || order === "orders/1", `no order in: ${message}`);
    }
  });
});

describe("the alerts", () => {
  const operations = readFileSync("docs/operations.md", "utf8");

  for (const [name, alert] of Object.entries(ALERTS)) {
    it(`${name} uses an existing metric, and links to an existing section`, () => {
      assert.equal(alert.userLabels.alert, name, "its label is how it is found again");
      for (const { conditionThreshold, conditionAbsent } of alert.conditions) {
        const filter = (conditionThreshold ?? conditionAbsent)?.filter ?? "";
        const [, metric = ""] = /^metric\.type="logging\.googleapis\.com\/user\/(\w+)" AND /.exec(filter) ?? [];
        assert.ok(metric in METRICS, filter);
      }
      assert.ok(alert.documentation.content.includes(`"${alert.displayName}"`));
      assert.ok(operations.includes(`### ${alert.displayName}\n`), `docs/operations.md has no ${alert.displayName}`);
    });
  }

  it("cover every metric that an operator must act on", () => {
    const watched = Object.values(ALERTS).flatMap(
      ({ conditions }) => JSON.stringify(conditions).match(/user\/\w+/g) ?? [],
    );
    const wanted = [
      "orders_waiting",
      "polls",
      "poll_failures",
      "oldest_order_seconds",
      "create_failures",
      "report_lag_ms",
      "orders_missing",
    ];
    assert.deepEqual(
      wanted.filter((metric) => !watched.includes(`user/${metric}`)),
      [],
    );
  });
});

describe("the dashboard", () => {
  it("shows only existing metrics and labels", () => {
    const text = JSON.stringify(read("dashboard"));
    const { mosaicLayout } = read("dashboard") as { mosaicLayout: { tiles: object[] } };
    const shown = [...text.matchAll(/logging\.googleapis\.com\/user\/(\w+)/g)].map(([, name = ""]) => name);
    assert.equal(shown.length, mosaicLayout.tiles.length);
    for (const tile of mosaicLayout.tiles.map((one) => JSON.stringify(one))) {
      const metric = METRICS[/user\/(\w+)/.exec(tile)?.[1] ?? ""] ?? assert.fail(tile);
      const labels = [...tile.matchAll(/metric\.label\.(\w+)/g)].map(([, label = ""]) => label);
      assert.deepEqual(
        labels.filter((label) => !(label in (metric.labelExtractors ?? {}))),
        [],
      );
    }
  });
});
