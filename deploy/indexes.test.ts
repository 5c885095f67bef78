/** Holds firestore.indexes.json against the queries and the documents of the code. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import type { Query } from "../functions/src/ports.js";
import { delivery, FAILURE_SCENARIOS, type Scenario } from "../test/scenarios.js";

interface Indexes {
  indexes: { collectionGroup: string; queryScope: string; fields: { fieldPath: string; order: string }[] }[];
  fieldOverrides: { collectionGroup: string; fieldPath: string; ttl?: boolean; indexes: object[] }[];
}

const { indexes, fieldOverrides } = JSON.parse(readFileSync("firestore.indexes.json", "utf8")) as Indexes;

const exempt = new Set(fieldOverrides.map(({ collectionGroup, fieldPath }) => `${collectionGroup}.${fieldPath}`));

/** What the operators ask, and decide. */
async function operators(): Promise<Scenario> {
  const scenario = await FAILURE_SCENARIOS["a create whose outcome is unknown"]();
  await scenario.ask("/api/relations?state=IN_FLIGHT&state=PREPARATION&pageSize=1");
  const { attempts } = await scenario.ask("/api/relations/1");
  const [{ version = "" } = {}] = attempts as { version?: string }[];
  const decision = { reason: "the kitchen has nothing", version };
  await scenario.ask("/api/relations/1/kitchen/retry", decision);
  await scenario.ask("/api/orders?q=krithik");
  await scenario.ask("/api/orders?day=2026-01-01");
  await scenario.ask("/api/statistics");
  return scenario;
}

/** A create that is refused, for an order that is cancelled before it is tried again. */
async function cancellation(): Promise<Scenario> {
  const scenario = await FAILURE_SCENARIOS["a create that is refused"]();
  return scenario.order("CANCELLED").tick("sweep");
}

const fieldsOf = (queries: Query[]) =>
  [...new Set(queries.map(({ collection, field }) => `${collection}.${field}`))].sort();

describe("the indexes", () => {
  let queried: string[];
  let sorted: string[];
  let written: string[];
  let timestamps: string[];

  before(async () => {
    const scenarios = [await delivery(), await operators(), await cancellation()];
    for (const run of Object.values(FAILURE_SCENARIOS)) scenarios.push(await run());
    const queries = scenarios.flatMap((scenario) => scenario.queries);
    queried = fieldsOf(queries);
    sorted = [...new Set(queries.flatMap(sortingOf))].sort();
    const documents = scenarios.flatMap((scenario) => scenario.documents);
    const all = documents.flatMap(({ path, fields }) =>
      Object.entries(fields).map(([name, value]) => ({ field: `${path.split("/")[0]}.${name}`, value })),
    );
    written = [...new Set(all.map(({ field }) => field))].sort();
    timestamps = [...new Set(all.flatMap(({ field, value }) => (holdsTime(value) ? [field] : [])))].sort();
  });

  it("exist for every queried field, including the console's queries", () => {
    assert.deepEqual(queried, [
      "attempts.state",
      "audit.order",
      "history.hour",
      "history.order",
      "relations.customerId",
      "relations.state",
    ]);
    assert.deepEqual(
      [...queried, ...queriesOfThePage()].filter((field) => exempt.has(field)),
      [],
    );
  });

  it("exist for each query that sorts by a time, and for no other query", () => {
    assert.deepEqual(
      indexes.map(({ collectionGroup, queryScope, fields }) => {
        assert.equal(queryScope, "COLLECTION");
        return [collectionGroup, ...fields.map(({ fieldPath, order }) => `${fieldPath} ${order}`)].join(", ");
      }),
      sorted,
    );
    assert.deepEqual(sorted, [
      "history, hour ASCENDING, at DESCENDING",
      "relations, customerId ASCENDING, placedAt DESCENDING",
    ]);
  });

  it("exist for no other field", () => {
    assert.deepEqual(
      written.filter((field) => !exempt.has(field)),
      queried,
      "firestore.indexes.json has a field that no query uses",
    );
  });

  it("contain no timestamp", () => {
    assert.ok(timestamps.length >= 8, `${timestamps}`);
    assert.deepEqual(
      timestamps.filter((field) => !exempt.has(field)),
      [],
    );
  });

  it("expire attempts and audit entries, and nothing else", () => {
    const ending = fieldOverrides.filter(({ ttl }) => ttl).map((one) => `${one.collectionGroup}.${one.fieldPath}`);
    assert.deepEqual(ending.sort(), ["attempts.expireAt", "audit.expireAt"]);
    assert.deepEqual(
      ending.filter((field) => !timestamps.includes(field)),
      [],
      "the code sets them",
    );
  });
});

describe("document ids", () => {
  it("are spread if we choose them, whatever the order's name", async () => {
    const { documents } = await delivery();
    const ids = documents.filter(({ path }) => path.startsWith("history/")).map(({ path }) => path.slice(8));
    assert.equal(ids.length, 3);
    for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe("every permanent document", () => {
  it("has a schema version, so an older build can ignore a newer document", async () => {
    const { documents } = await operators();
    const lasting = [...documents, ...(await delivery()).documents].filter(({ path }) => !path.startsWith("leases/"));
    for (const { path, fields } of lasting) assert.equal(fields.schema, 1, path);
    assert.deepEqual([...new Set(lasting.map(({ path }) => path.split("/")[0]))].sort(), [
      "attempts",
      "audit",
      "history",
      "relations",
      "statistics",
    ]);
  });
});

/** The index that a query needs if it sorts by a time. The rising times are spread by the field before them. */
function sortingOf({ collection, field, latestBy }: Query): string[] {
  return latestBy === undefined ? [] : [`${collection}, ${field} ASCENDING, ${latestBy} DESCENDING`];
}

function holdsTime(value: unknown): boolean {
  if (value instanceof Date) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(holdsTime);
}

/** The fields that the operators' console itself queries in Firestore. */
function queriesOfThePage(): string[] {
  const files = readdirSync("operator-console", { recursive: true, encoding: "utf8" }).filter((file) =>
    /^src\/.*\.tsx?$/.test(file),
  );
  const text = files.map((file) => readFileSync(`operator-console/${file}`, "utf8")).join("\n");
  const asked = text.matchAll(/collection\(\w+, "(\w+)"\), where\("(\w+)"/g);
  return [...asked].map(([, collection, field]) => `${collection}.${field}`);
}
