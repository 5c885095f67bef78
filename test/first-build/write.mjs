/**
 * Writes documents.json: what is in the database after orders of every kind went through commit 3bc4941, the first build whose documents
 * must stay readable. That commit's own handlers run here, on its own in-memory store: `node test/first-build/write.mjs`, in a clone
 * with history. The result is checked in, and is the same each time.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { register } from "tsx/esm/api";

const COMMIT = "3bc4941cdf3fb17df49ac3bd7f51b992a2a8de88";
const root = fileURLToPath(new URL("../..", import.meta.url));

const checkout = mkdtempSync(join(tmpdir(), "first-build-"));
process.once("exit", () => rmSync(checkout, { recursive: true, force: true }));
const archive = execFileSync("git", ["archive", COMMIT, "functions/src", "functions/package.json"], {
  cwd: root,
  maxBuffer: 64 * 1024 * 1024,
});
execFileSync("tar", ["-x", "-C", checkout], { input: archive });
symlinkSync(join(root, "functions", "node_modules"), join(checkout, "functions", "node_modules"), "dir");

register();
const load = (file) => import(pathToFileURL(join(checkout, "functions", "src", file)).href);
const { testBed } = await load("memory/test-bed.ts");
const { SCHEDULED, reactionsTo, reactTo, take } = await load("handlers.ts");
const { resolve } = await load("relations/resolve.ts");
const { CallError } = await load("errors.ts");

const MINUTE_MS = 60_000;
const TAKES = { kitchen: "NEW", shipment: "PREPARATION", completion: "IN_FLIGHT" };

const bed = testBed();
const { clock, food, ports, store } = bed;
const paths = new Set();

/** Places an order, with this status in the food service. */
function place(id, status = "NEW") {
  food.orders.set(`orders/${id}`, { name: `orders/${id}`, customerId: `customer of ${id}`, status });
}

/** Delivers a message of a stage, and then the events of all relations that changed. */
async function advance(id, stage) {
  await take(stage, { order: `orders/${id}`, status: TAKES[stage] }, ports).catch(() => {});
  await react();
}

async function react() {
  for (let change = store.changes.shift(); change; change = store.changes.shift()) {
    const { path } = change.after ?? change.before;
    paths.add(path);
    const [collection, changed, below] = path.split("/");
    if (collection !== "relations" || below !== undefined) continue;
    for (const name of reactionsTo(change)) await reactTo(name, changed, change, ports);
  }
  clock.advance(1_000);
}

/** Lets the next creates of this kind fail, before or after the food service applied them. */
function failing(operation, when, code, times = 1) {
  const fail = () => {
    throw new CallError(code, `the create failed with ${code}`, true);
  };
  for (let time = 0; time < times; time++) food.hooks.once(operation, when, fail);
}

const linkOf = async (id, stage) => (await store.fields(`relations/${id}`))[stage];
const packaged = async (id) => {
  const name = await linkOf(id, "kitchen");
  food.kitchenOrders.set(name, { name, status: "PACKAGED" });
};
const delivered = async (id) => {
  const name = await linkOf(id, "shipment");
  food.shipments.set(name, { name, status: "DELIVERED" });
};

place("prepared");
await advance("prepared", "kitchen");

place("flying");
await advance("flying", "kitchen");
await packaged("flying");
await advance("flying", "shipment");

place("delivered");
await advance("delivered", "kitchen");
await packaged("delivered");
await advance("delivered", "shipment");
await delivered("delivered");
await advance("delivered", "completion");

place("cancelled");
await advance("cancelled", "kitchen");
await packaged("cancelled");
food.orders.get("orders/cancelled").status = "CANCELLED";
await advance("cancelled", "shipment");

place("rejected-once");
failing("createKitchenOrder", "before", "INVALID_ARGUMENT");
await advance("rejected-once", "kitchen");

place("parked");
for (let time = 0; time < ports.settings.CREATE_TRIES; time++) {
  failing("createKitchenOrder", "before", "INVALID_ARGUMENT");
  await advance("parked", "kitchen");
  clock.advance(60 * MINUTE_MS);
}

place("uncertain");
failing("createKitchenOrder", "after", "UNAVAILABLE");
await advance("uncertain", "kitchen");

place("uncertain-shipment");
await advance("uncertain-shipment", "kitchen");
await packaged("uncertain-shipment");
failing("createShipment", "after", "DEADLINE_EXCEEDED");
await advance("uncertain-shipment", "shipment");

// Another program sent it to the kitchen, and wrote no relation.
place("stranded", "PREPARATION");
await advance("stranded", "shipment");

// Another program sent it to the kitchen, and wrote its link alone.
place("adopted", "PREPARATION");
food.kitchenOrders.set("kitchenorders/of-another-program", { name: "kitchenorders/of-another-program", status: "NEW" });
await store.set("relations/adopted", { kitchen: "kitchenorders/of-another-program" });
await react();

const operator = { stage: "kitchen", by: "ana", reason: "asked the kitchen" };
for (const id of ["linked-by-operator", "retried-by-operator"]) {
  place(id);
  failing("createKitchenOrder", "after", "UNAVAILABLE");
  await advance(id, "kitchen");
}
const lost = [...food.kitchenOrders.keys()].at(-2);
await resolve({ ...operator, order: "orders/linked-by-operator", link: lost, key: "a" }, ports);
await react();
await resolve({ ...operator, order: "orders/retried-by-operator", key: "b" }, ports);
await react();

await SCHEDULED.sweep(ports);
await SCHEDULED.pollOrders(ports);
await react();

// The process ended after its claim, before it sent: the last thing that this build did.
place("claimed");
food.hooks.once("createKitchenOrder", "before", () => new Promise(() => {}));
void take("kitchen", { order: "orders/claimed", status: "NEW" }, ports);
while (!(await store.fields("attempts/kitchen:claimed"))) await new Promise(setImmediate);
await react();

function plain(field) {
  if (field instanceof Date) return { $time: field.toISOString() };
  if (Array.isArray(field)) return field.map(plain);
  if (typeof field !== "object" || field === null) return field;
  return Object.fromEntries(Object.entries(field).map(([name, value]) => [name, plain(value)]));
}

const documents = {};
for (const path of [...paths].sort()) {
  const fields = await store.fields(path);
  if (fields) documents[path] = plain(fields);
}
const result = {
  commit: COMMIT,
  now: new Date(clock.now()).toISOString(),
  orders: [...food.orders.values()],
  kitchenOrders: [...food.kitchenOrders.values()],
  shipments: [...food.shipments.values()],
  documents,
};
writeFileSync(new URL("documents.json", import.meta.url), `${JSON.stringify(result, undefined, 2)}\n`);
console.log(`${Object.keys(documents).length} documents, written by ${COMMIT}`);
process.exit();
