import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { ConflictError } from "../functions/src/domain/errors.js";
import { fieldsFromJson, fieldsToJson } from "./field-json.js";
import { type Change, SqliteStore } from "./sqlite-store.js";

describe("the SQLite store", () => {
  let folder: string;
  let file: string;
  let stores: SqliteStore[];
  const open = (deliver?: (change: Change) => Promise<void>) => {
    const store = new SqliteStore(file, deliver && { deliver });
    stores.push(store);
    return store;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "diet-sqlite-"));
    file = join(folder, "documents.db");
    stores = [];
  });
  afterEach(() => {
    for (const store of stores) store.close();
    rmSync(folder, { recursive: true });
  });

  const create = (store: SqliteStore, path: string, fields = {}) => store.commit([{ kind: "create", path, fields }]);

  it("preserves every acknowledged commit of a killed process", async () => {
    const program = `
      const { SqliteStore } = await import(${JSON.stringify(join(import.meta.dirname, "sqlite-store.ts"))});
      const store = new SqliteStore(${JSON.stringify(file)});
      for (let number = 0; number < 50; number++) {
        await store.commit([{ kind: "create", path: "things/" + number, fields: { at: new Date(number) } }]);
        process.stdout.write(number + "\\n");
      }
      process.kill(process.pid, "SIGKILL");`;
    let output = "";
    try {
      execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", program], {
        encoding: "utf8",
      });
    } catch (error) {
      output = (error as { stdout: string }).stdout;
    }
    const acknowledged = output.trim().split("\n");
    assert.equal(acknowledged.length, 50);
    const found = await open().read(...acknowledged.map((number) => `things/${number}`));
    assert.deepEqual(
      found.map((snapshot) => snapshot?.fields),
      acknowledged.map((number) => ({ at: new Date(Number(number)) })),
    );
  });

  it("never assigns a version twice, even in another run", async () => {
    const first = open();
    const [version = ""] = await create(first, "things/1");
    await first.commit([{ kind: "delete", path: "things/1", version }]);
    first.close();
    const second = open();
    await create(second, "things/1", { a: 1 });
    const stale = second.commit([{ kind: "update", path: "things/1", version, fields: { a: 2 } }]);
    await assert.rejects(stale, ConflictError);
  });

  it("redelivers a change in the next run until its delivery is done", async () => {
    const first = open(() => new Promise(() => {}));
    await create(first, "relations/1", { state: "PREPARATION", at: new Date(5) });
    first.close();

    const delivered: Change[] = [];
    const second = open(async (change) => void delivered.push(change));
    second.startDelivery();
    assert.equal(delivered.length, 1);
    assert.equal(delivered[0]?.before, undefined);
    assert.deepEqual(delivered[0]?.after?.fields, { state: "PREPARATION", at: new Date(5) });
    await sleep(0);
    second.close();

    const third = open(async (change) => void delivered.push(change));
    third.startDelivery();
    assert.equal(delivered.length, 1);
  });

  it("delivers the changes of another process", async () => {
    let deliver: (change: Change) => void = () => {};
    const delivered = new Promise<Change>((resolve) => (deliver = resolve));
    open(async (change) => deliver(change)).startDelivery();
    await create(open(), "relations/1", { a: 1 });
    assert.deepEqual((await delivered).after?.fields, { a: 1 });
  });

  it("delivers no change of a conflicting commit, even if other commits of its transaction succeeded", async () => {
    const delivered: string[] = [];
    const store = open(async ({ after }) => void delivered.push(after?.path ?? ""));
    await create(store, "things/1");
    const all = await Promise.allSettled([
      create(store, "relations/1"),
      store.commit([
        { kind: "create", path: "relations/2", fields: {} },
        { kind: "create", path: "things/1", fields: {} },
      ]),
      create(store, "relations/3"),
    ]);
    assert.deepEqual(
      all.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.deepEqual(delivered, ["relations/1", "relations/3"]);
  });

  it("leaves only the database file when it is closed", async () => {
    const store = open();
    await create(store, "things/1");
    store.close();
    assert.deepEqual(readdirSync(folder), ["documents.db"]);
  });

  it("rejects a file with a newer layout", () => {
    const database = new DatabaseSync(file);
    database.exec("PRAGMA user_version = 99");
    database.close();
    assert.throws(() => new SqliteStore(file), /newer version/);
  });
});

describe("fields as JSON", () => {
  it("are restored with their types", () => {
    const fields = {
      at: new Date(5),
      numbers: [1, -0, Number.NaN, Number.POSITIVE_INFINITY, 0.1],
      nested: { $: ["date", 5], deep: [{ $: { at: new Date(7) } }] },
      text: "\u0000\ud800",
      nothing: null,
    };
    assert.deepStrictEqual(fieldsFromJson(fieldsToJson(fields)), fields);
  });
});
