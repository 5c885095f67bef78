/** What every store promises, checked on the one in memory, on the one in a file and on the official Firestore emulator. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { FirestoreStore, openFirestore } from "../../functions/src/adapters/firebase/firestore-store.js";
import { GrpcStore } from "../../functions/src/adapters/firebase/grpc-store.js";
import { MemoryStore } from "../../functions/src/adapters/memory/store.js";
import { attemptPath } from "../../functions/src/attempts/attempt.js";
import { ConflictError, ValidationError } from "../../functions/src/domain/errors.js";
import { orderId } from "../../functions/src/domain/resource-names.js";
import type { Field, Fields, Snapshot, Store, Write } from "../../functions/src/ports.js";
import { relationPath } from "../../functions/src/relations/relation.js";
import { readCollection } from "../../harness/emulators/firestore-rest.js";
import { withEnvironment } from "../../harness/env.js";
import { FirestoreJournal } from "../../local/firestore-journal.js";
import { SqliteStore } from "../../local/sqlite-store.js";
import { EMULATOR_START_TIMEOUT_MS, emulators } from "../emulators.js";

/** Nine levels. */
const deepMap: Field = { a: { a: { a: { a: { a: { a: { a: { a: { a: 1 } } } } } } } } };

/** A store, and what closes it. Its documents are its own. */
type Opened = { store: Store; close(): Promise<void> };

async function openFirestoreStore(project?: string): Promise<Opened> {
  const { firestore: host } = await emulators();
  const environment = { FIRESTORE_EMULATOR_HOST: host, GCLOUD_PROJECT: "demo-contract" };
  const firestore = withEnvironment(environment, () => openFirestore(project));
  return { store: new FirestoreStore(firestore), close: () => firestore.terminate() };
}

async function openGrpcStore(): Promise<Opened> {
  const { firestore: host } = await emulators();
  const store = withEnvironment({ FIRESTORE_EMULATOR_HOST: host }, () => new GrpcStore({ project: "demo-grpc" }));
  return { store, close: async () => store.close() };
}

/** Closing it checks that the file has just what the emulator has. */
async function openJournaledStore(): Promise<Opened> {
  const { firestore: host } = await emulators();
  const project = "demo-journal";
  const folder = mkdtempSync(join(tmpdir(), "diet-journal-"));
  const recorded = new SqliteStore(join(folder, "documents.db"));
  const journal = await FirestoreJournal.start({ firestore: host, project, store: recorded });
  const environment = { FIRESTORE_EMULATOR_HOST: journal.address, GCLOUD_PROJECT: project };
  const firestore = withEnvironment(environment, () => openFirestore(project));
  const close = async () => {
    await firestore.terminate();
    journal.stop();
    const things = (documents: { path: string; fields: Fields }[]) =>
      new Map(documents.map(({ path, fields }) => [path, fields]));
    assert.deepEqual(things(recorded.all("things")), things(await readCollection(host, project, "things")));
    recorded.close();
    rmSync(folder, { recursive: true });
  };
  return { store: new FirestoreStore(firestore), close };
}

async function openSqliteStore(): Promise<Opened> {
  const folder = mkdtempSync(join(tmpdir(), "diet-store-"));
  const store = new SqliteStore(join(folder, "documents.db"));
  const close = async () => {
    store.close();
    rmSync(folder, { recursive: true });
  };
  return { store, close };
}

const STORES: Record<string, () => Promise<Opened>> = {
  "in memory": async () => ({ store: new MemoryStore(), close: async () => {} }),
  "in a file": openSqliteStore,
  "on Firestore": () => openFirestoreStore(),
  "on Firestore over gRPC alone": openGrpcStore,
  "on Firestore's emulator with a journal": openJournaledStore,
};

/** Documents of exactly 1 MiB if an empty map or list takes no room, and of one byte less. */
const emptyAtTheLimit: Fields[] = [1_048_465, 1_048_464].flatMap((length) => [
  { number: 0, a: "x".repeat(length), b: {} },
  { number: 0, a: "x".repeat(length), b: [] },
]);

/** Documents about what Firestore still accepts: texts, times, names, depths and sizes on both sides of its limits. */
const edgeDocument: fc.Arbitrary<Fields> = (() => {
  const around = (limit: number) => fc.integer({ min: limit - 200, max: limit + 200 });
  const long = fc.oneof(around(1_500), around(1_048_300), fc.constantFrom(400_000, 524_000)).map((n) => "x".repeat(n));
  const units = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 6 });
  const text = fc.oneof(units, fc.string({ unit: "binary", maxLength: 20 }), fc.string({ unit: "grapheme" }));
  const time = fc.oneof(
    fc.date(),
    fc
      .constantFrom(-62_135_596_800_000, 253_402_300_799_999)
      .chain((edge) => fc.integer({ min: -2_000, max: 2_000 }).map((offset) => new Date(edge + offset))),
  );
  const number = fc.oneof(fc.double(), fc.maxSafeInteger(), fc.integer());
  const leaf = fc.oneof(
    { weight: 3, arbitrary: text },
    { weight: 1, arbitrary: time },
    { weight: 2, arbitrary: number },
    { weight: 1, arbitrary: fc.constantFrom<Field[]>(null, true, [], {}) },
  );
  const key = fc.oneof(
    { weight: 8, arbitrary: fc.stringMatching(/^[a-z]{1,4}$/) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "",
        "__x__",
        "__",
        "a.b",
        "a/b",
        "*",
        "`",
        "\\",
        "k".repeat(700),
        " ",
        "ü",
        "constructor",
        "valueOf",
      ),
    },
    { weight: 1, arbitrary: text },
  );
  const { value } = fc.letrec<{ value: Field }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      leaf,
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(key, tie("value"), { maxKeys: 3, noNullPrototype: true }),
    ),
  }));
  const field = fc.oneof({ weight: 12, arbitrary: value }, { weight: 1, arbitrary: long });
  return fc.dictionary(key, field, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
})();

for (const [where, open] of Object.entries(STORES)) {
  describe(`the store ${where}`, () => {
    let opened: Opened;
    let store: Store;
    let path: string;

    before(async function () {
      this.timeout(EMULATOR_START_TIMEOUT_MS);
      opened = await open();
      store = opened.store;
    });
    after(() => opened?.close());
    beforeEach(() => {
      path = `things/${randomUUID()}`;
    });

    const create = async (at: string, fields: Fields): Promise<string> => {
      const [version] = await store.commit([{ kind: "create", path: at, fields }]);
      return version ?? assert.fail("no version");
    };
    const fieldsOf = async (at: string) => (await store.read(at))[0]?.fields;

    describe("read", () => {
      it("returns undefined when there is no document", async () =>
        assert.deepEqual(await store.read(path), [undefined]));

      it("returns several documents in the requested order, with gaps for missing ones", async () => {
        await create(path, { a: 1 });
        await create(`${path}x`, { a: 2 });
        const found = await store.read(`${path}x`, `${path}-none`, path);
        assert.deepEqual(
          found.map((each) => each?.fields.a),
          [2, undefined, 1],
        );
        assert.deepEqual(
          found.map((each) => each?.path),
          [`${path}x`, undefined, path],
        );
      });

      it("returns a nested document whose parent does not exist", async () => {
        await create(`${path}/history/NEW`, { a: 1 });
        assert.equal((await store.read(path))[0], undefined);
        assert.deepEqual(await fieldsOf(`${path}/history/NEW`), { a: 1 });
      });
    });

    describe("stored fields", () => {
      const values: Record<string, Field> = {
        text: "größe 😀 \u2028",
        "empty text": "",
        "text of 1,400 bytes": "x".repeat(1400),
        "a whole number": 7,
        "a large number": 2 ** 53 - 1,
        "a negative number": -7,
        "a fraction": 0.1,
        true: true,
        false: false,
        null: null,
        "a date": new Date("2026-01-01T00:00:00.123Z"),
        "the first date": new Date(0),
        "the first time that Firestore knows": new Date("0001-01-01T00:00:00Z"),
        "the last time that Firestore knows": new Date("9999-12-31T23:59:59.999Z"),
        "text of 600,000 bytes": "ü".repeat(150_000),
        "text with a NUL and a noncharacter": "a\0\uffff",
        "maps nested 20 levels deep": { a: { a: { a: { a: { a: { a: { a: { a: { a: { a: deepMap } } } } } } } } } },
        "not a number": Number.NaN,
        "an infinite number": Number.POSITIVE_INFINITY,
        "many numbers": Array.from({ length: 20_000 }, (_, index) => index),
        "a map": { a: { b: { c: [1, "x", null, { d: new Date(5) }] } } },
        "an empty map": {},
        "an empty list": [],
        "a map with keys that look like paths": { "a.b": 1, "c/d": 2, "`": 3 },
      };
      for (const [what, value] of Object.entries(values)) {
        it(`returns ${what} unchanged`, async () => {
          await create(path, { value });
          assert.deepEqual(await fieldsOf(path), { value });
          const [found] = await store.read(path);
          await store.commit([{ kind: "update", path, version: found?.version ?? "", fields: { value, more: value } }]);
          assert.deepEqual(await fieldsOf(path), { value, more: value });
        });
      }

      it("are a copy, unaffected when the caller changes the original", async () => {
        const fields: Fields = { map: { list: [1] }, at: new Date(5) };
        await create(path, fields);
        ((fields.map as Fields).list as number[]).push(2);
        (fields.at as Date).setTime(9);
        assert.deepEqual(await fieldsOf(path), { map: { list: [1] }, at: new Date(5) });
      });

      it("are unaffected when a reader changes what it read", async () => {
        await create(path, { map: { list: [1] } });
        const [found] = await store.read(path);
        try {
          const map = found?.fields.map as Fields;
          (map.list as number[]).push(2);
        } catch (error) {
          assert.ok(error instanceof TypeError, "frozen is as good as copied");
        }
        assert.deepEqual(await fieldsOf(path), { map: { list: [1] } });
      });
    });

    describe("create", () => {
      it("fails when the document exists, and leaves it unchanged", async () => {
        const version = await create(path, { a: 1 });
        await assert.rejects(create(path, { a: 2 }), ConflictError);
        assert.deepEqual(await store.read(path), [{ path, fields: { a: 1 }, version }]);
      });

      it("succeeds once when several run concurrently", async () => {
        const all = await Promise.allSettled([1, 2, 3, 4, 5].map((a) => create(path, { a })));
        assert.equal(all.filter(({ status }) => status === "fulfilled").length, 1);
        for (const each of all) if (each.status === "rejected") assert.ok(each.reason instanceof ConflictError);
      });

      it("succeeds after the document was deleted", async () => {
        const version = await create(path, { a: 1 });
        await store.commit([{ kind: "delete", path, version }]);
        await create(path, { b: 2 });
        assert.deepEqual(await fieldsOf(path), { b: 2 });
      });
    });

    describe("update", () => {
      it("merges top-level fields, and replaces a map whole", async () => {
        const version = await create(path, { a: 1, map: { x: 1, y: 2 }, list: [1, 2] });
        await store.commit([{ kind: "update", path, version, fields: { b: 2, map: { z: 3 }, list: [3] } }]);
        assert.deepEqual(await fieldsOf(path), { a: 1, b: 2, map: { z: 3 }, list: [3] });
      });

      it("fails when the version is stale", async () => {
        const first = await create(path, { a: 1 });
        const [second] = await store.commit([{ kind: "update", path, version: first, fields: { a: 2 } }]);
        assert.notEqual(second, first);
        const stale: Write = { kind: "update", path, version: first, fields: { a: 3 } };
        await assert.rejects(store.commit([stale]), ConflictError);
        assert.deepEqual(await store.read(path), [{ path, fields: { a: 2 }, version: second }]);
      });

      it("fails when the document was deleted or never existed", async () => {
        const version = await create(path, { a: 1 });
        await store.commit([{ kind: "delete", path, version }]);
        for (const at of [path, `${path}-none`]) {
          const update: Write = { kind: "update", path: at, version, fields: { a: 2 } };
          await assert.rejects(store.commit([update]), ConflictError);
          assert.equal(await fieldsOf(at), undefined);
        }
      });

      it("fails when the document was deleted and created again", async () => {
        const version = await create(path, { a: 1 });
        await store.commit([{ kind: "delete", path, version }]);
        await create(path, { a: 2 });
        await assert.rejects(store.commit([{ kind: "update", path, version, fields: { a: 3 } }]), ConflictError);
        assert.deepEqual(await fieldsOf(path), { a: 2 });
      });

      it("accepts the version that the previous commit returned, without a read in between", async () => {
        let version = await create(path, { a: 0 });
        for (let a = 1; a <= 3; a++) {
          [version = ""] = await store.commit([{ kind: "update", path, version, fields: { a } }]);
        }
        assert.deepEqual(await store.read(path), [{ path, fields: { a: 3 }, version }]);
      });

      it("returns the same version when nothing changes", async () => {
        const version = await create(path, { a: 1, map: { b: new Date(5) } });
        const fields = { a: 1, map: { b: new Date(5) } };
        const versions = await store.commit([{ kind: "update", path, version, fields }]);
        assert.deepEqual(versions, [version]);
        assert.equal((await store.read(path))[0]?.version, version);
      });

      it("succeeds once when several update the same version concurrently", async () => {
        const version = await create(path, { a: 0 });
        const all = await Promise.allSettled(
          [1, 2, 3, 4, 5].map((a) => store.commit([{ kind: "update", path, version, fields: { a } }])),
        );
        assert.equal(all.filter(({ status }) => status === "fulfilled").length, 1);
        for (const each of all) if (each.status === "rejected") assert.ok(each.reason instanceof ConflictError);
      });
    });

    describe("delete", () => {
      it("fails when the version is stale", async () => {
        const version = await create(path, { a: 1 });
        await store.commit([{ kind: "update", path, version, fields: { a: 2 } }]);
        await assert.rejects(store.commit([{ kind: "delete", path, version }]), ConflictError);
        assert.deepEqual(await fieldsOf(path), { a: 2 });
      });

      it("fails when the document does not exist", async () => {
        const version = await create(path, { a: 1 });
        await store.commit([{ kind: "delete", path, version }]);
        await assert.rejects(store.commit([{ kind: "delete", path, version }]), ConflictError);
      });
    });

    describe("commit", () => {
      it("returns a version for each of several writes", async () => {
        const updated = await create(`${path}b`, { a: 1 });
        const gone = await create(`${path}c`, { a: 1 });
        const versions = await store.commit([
          { kind: "create", path: `${path}a`, fields: { a: 1 } },
          { kind: "update", path: `${path}b`, version: updated, fields: { a: 2 } },
          { kind: "delete", path: `${path}c`, version: gone },
        ]);
        assert.equal(versions.length, 3);
        const found = await store.read(`${path}a`, `${path}b`, `${path}c`);
        assert.deepEqual(
          found.map((each) => each?.fields.a),
          [1, 2, undefined],
        );
        assert.deepEqual(
          found.slice(0, 2).map((each) => each?.version),
          versions.slice(0, 2),
        );
      });

      const failing: Record<string, (at: string, stale: string) => Write> = {
        "a create": (at) => ({ kind: "create", path: at, fields: { a: 9 } }),
        "an update": (at, stale) => ({ kind: "update", path: at, version: stale, fields: { a: 9 } }),
        "a delete": (at, stale) => ({ kind: "delete", path: at, version: stale }),
      };
      for (const [what, write] of Object.entries(failing)) {
        for (const place of ["first", "last"]) {
          it(`writes nothing when ${what}, the ${place} write, conflicts`, async () => {
            const stale = await create(path, { a: 1 });
            await store.commit([{ kind: "update", path, version: stale, fields: { a: 2 } }]);
            const good: Write = { kind: "create", path: `${path}x`, fields: { a: 1 } };
            const bad = write(path, stale);
            await assert.rejects(store.commit(place === "first" ? [bad, good] : [good, bad]), ConflictError);
            assert.equal(await fieldsOf(`${path}x`), undefined);
            assert.deepEqual(await fieldsOf(path), { a: 2 });
          });
        }
      }
    });

    describe("validation", () => {
      const nested = (levels: number): Field => (levels === 0 ? 1 : { a: nested(levels - 1) });
      const values: Record<string, Field> = {
        "a time in the year 0": new Date("0000-01-01T00:00:00Z"),
        "a time in the year 12345": new Date("12345"),
        "a time in the year 10000": new Date("+010000-01-01T00:00:00Z"),
        "a time before Christ": new Date("-000001-12-31T23:59:59Z"),
        "an invalid time": new Date(Number.NaN),
        "a lone high surrogate": "a\ud800b",
        "a lone low surrogate": "\udc00",
        "a lone surrogate in a map's key": { "\ud800": 1 },
        "text of more than a mebibyte": "x".repeat(1_048_577),
        "text of more bytes than a value may have": "ü".repeat(524_244),
        "a document of more than a mebibyte": ["x".repeat(600_000), "x".repeat(600_000)],
        "a list within a list": [[1]],
        "maps nested more than 20 levels deep": nested(21),
        "an empty key": { "": 1 },
        "a reserved key": { __a__: 1 },
        "a key with a carriage return": { "a\rb": 1 },
        "a key that every JavaScript object inherits": { toString: 1 },
        "a key that is too long": { ["k".repeat(1_501)]: 1 },
        "no value": undefined as unknown as Field,
      };
      for (const [what, value] of Object.entries(values)) {
        it(`rejects ${what}, in a create and in an update`, async () => {
          await assert.rejects(create(path, { value }), ValidationError);
          assert.equal(await fieldsOf(path), undefined);
          const version = await create(path, { a: 1 });
          const update: Write = { kind: "update", path, version, fields: { value } };
          await assert.rejects(store.commit([update]), ValidationError);
          assert.deepEqual(await store.read(path), [{ path, fields: { a: 1 }, version }]);
        });
      }

      it("rejects an update that makes the document too large", async () => {
        const version = await create(path, { a: "x".repeat(600_000) });
        const update: Write = { kind: "update", path, version, fields: { b: "x".repeat(600_000) } };
        await assert.rejects(store.commit([update]), ValidationError);
        assert.equal((await store.read(path))[0]?.version, version);
      });

      it("rejects an update without fields", async () => {
        const version = await create(path, { a: 1 });
        await assert.rejects(store.commit([{ kind: "update", path, version, fields: {} }]), ValidationError);
      });

      for (const id of ["", ".", "..", "__x__", "a\ud800", "x".repeat(1_501), "a/b"]) {
        it(`rejects the id ${JSON.stringify(id.slice(0, 10))} of ${id.length} characters`, async () => {
          await assert.rejects(create(`things/${id}`, { a: 1 }), ValidationError);
        });
      }

      it("rejects the whole commit when one write is invalid", async () => {
        const good: Write = { kind: "create", path, fields: { a: 1 } };
        const bad: Write = { kind: "create", path: `${path}x`, fields: { at: new Date(Number.NaN) } };
        await assert.rejects(store.commit([good, bad]), ValidationError);
        assert.deepEqual(await store.read(path, `${path}x`), [undefined, undefined]);
      });
    });

    it("commits one of several concurrent creates of the same document, with its other writes", async () => {
      const shared: Write = { kind: "create", path, fields: { a: 1 } };
      const own = ["1", "2", "3"].map((id) => `${path}-${id}`);
      const all = await Promise.allSettled(
        own.map((at) => store.commit([{ kind: "create", path: at, fields: { a: 2 } }, shared])),
      );
      const found = await store.read(...own);
      assert.equal(found.filter(Boolean).length, 1);
      assert.equal(all.filter(({ status }) => status === "fulfilled").length, 1);
    });

    describe("query", () => {
      let collection: string;
      beforeEach(() => {
        collection = `queried-${randomUUID()}`;
      });
      const put = (id: string, state: Field = "OPEN") => create(`${collection}/${id}`, { state });
      const ids = async (query: { oneOf?: string[]; limit?: number; after?: string } = {}) => {
        const { after, ...rest } = query;
        const at = after === undefined ? {} : { after: `${collection}/${after}` };
        const found = await store.query({ collection, field: "state", oneOf: ["OPEN"], limit: 100, ...rest, ...at });
        return found.map(({ path: at }) => at.slice(collection.length + 1));
      };

      it("returns nothing from an empty collection", async () => assert.deepEqual(await ids(), []));

      it("returns documents whose field is one of the values, with fields and version", async () => {
        const version = await put("1");
        await put("2", "CLOSED");
        await put("3", "HALF");
        await create(`${collection}/4`, { other: "OPEN" });
        await put("5", 7);
        await put("6", ["OPEN"]);
        assert.deepEqual(await ids(), ["1"]);
        assert.deepEqual(await ids({ oneOf: ["HALF", "OPEN"] }), ["1", "3"]);
        const [found] = await store.query({ collection, field: "state", oneOf: ["OPEN"], limit: 1 });
        assert.deepEqual(found, { path: `${collection}/1`, fields: { state: "OPEN" }, version });
      });

      it("returns no document of another collection or of a nested one", async () => {
        await put("1");
        await create(`${collection}x/2`, { state: "OPEN" });
        await create(`${collection}/1/history/NEW`, { state: "OPEN" });
        assert.deepEqual(await ids(), ["1"]);
      });

      it("sorts by path, whatever the order of creation", async () => {
        for (const id of ["b", "a", "10", "9", "B", "_", "ä", "aa"]) await put(id);
        assert.deepEqual(await ids(), ["10", "9", "B", "_", "a", "aa", "b", "ä"]);
      });

      it("sorts paths in the order of UTF-8, which differs from that of UTF-16", async () => {
        for (const id of ["😀", "\uff5e", "z"]) await put(id);
        assert.deepEqual(await ids(), ["z", "\uff5e", "😀"]);
        assert.deepEqual(await ids({ after: "\uff5e" }), ["😀"]);
      });

      it("returns each document once, page by page", async () => {
        const all = Array.from({ length: 7 }, (_, index) => `id-${index}`);
        for (const id of all) await put(id);
        const seen: string[] = [];
        for (let page = await ids({ limit: 3 }); page.length > 0; ) {
          seen.push(...page);
          page = await ids({ limit: 3, after: page.at(-1) ?? "" });
        }
        assert.deepEqual(seen, all);
      });

      it("continues after a document that was deleted", async () => {
        for (const id of ["1", "2", "3"]) await put(id);
        const [found] = await store.read(`${collection}/2`);
        await store.commit([{ kind: "delete", path: `${collection}/2`, version: found?.version ?? "" }]);
        assert.deepEqual(await ids({ after: "2" }), ["3"]);
      });

      describe("latest first", () => {
        const at = (second: number) => new Date(Date.UTC(2026, 10, 26, 12, 0, second));
        const latest = async (query: { limit?: number; after?: string; afterTime?: Date } = {}) => {
          const { after, ...rest } = query;
          const page = after === undefined ? rest : { ...rest, after: `${collection}/${after}` };
          const of = { collection, field: "state", oneOf: ["OPEN"], latestBy: "placedAt" };
          return store.query({ ...of, limit: 100, ...page });
        };
        const idsIn = (found: Snapshot[]) => found.map(({ path: one }) => one.slice(collection.length + 1));

        beforeEach(async () => {
          const placed = { b: at(2), c: at(1), a: at(3), d: at(2), ä: at(2) };
          for (const [id, placedAt] of Object.entries(placed))
            await create(`${collection}/${id}`, { state: "OPEN", placedAt });
          await create(`${collection}/closed`, { state: "CLOSED", placedAt: at(4) });
          await put("no-time");
        });

        it("sorts by the time, and those of the same time by path backwards", async () => {
          assert.deepEqual(idsIn(await latest()), ["a", "ä", "d", "b", "c"]);
        });

        it("returns each document once, page by page", async () => {
          const seen: string[] = [];
          for (let found = await latest({ limit: 2 }); found.length > 0; ) {
            seen.push(...idsIn(found));
            const afterTime = found.at(-1)?.fields.placedAt as Date;
            found = await latest({ limit: 2, after: seen.at(-1) ?? "", afterTime });
          }
          assert.deepEqual(seen, ["a", "ä", "d", "b", "c"]);
        });

        it("sorts documents with any of several values together", async () => {
          const of = { collection, field: "state", oneOf: ["CLOSED", "OPEN"], latestBy: "placedAt" };
          assert.deepEqual(idsIn(await store.query({ ...of, limit: 3 })), ["closed", "a", "ä"]);
          const page = { after: `${collection}/ä`, afterTime: at(2) };
          assert.deepEqual(idsIn(await store.query({ ...of, limit: 2, ...page })), ["d", "b"]);
        });

        it("counts the documents that have the time", async () => {
          const of = { collection, field: "state", oneOf: ["OPEN"] };
          assert.deepEqual([await store.count(of), await store.count({ ...of, latestBy: "placedAt" })], [6, 5]);
        });
      });

      it("sees the previous commit", async () => {
        const version = await put("1");
        assert.deepEqual(await ids(), ["1"]);
        await store.commit([{ kind: "update", path: `${collection}/1`, version, fields: { state: "CLOSED" } }]);
        assert.deepEqual(await ids(), []);
      });
    });

    it("accepts every id that an order's name can have", async function () {
      this.timeout(60_000);
      const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary", maxLength: 8 }));
      const special = [
        "__\u2028__",
        "____",
        ".x",
        "..x",
        "a b",
        "%2F",
        "*",
        "[`]",
        "~",
        "'\"\\",
        "x".repeat(1400),
        "ü".repeat(700),
      ];
      await fc.assert(
        fc.asyncProperty(fc.oneof(text, fc.constantFrom(...special)), async (candidate) => {
          const id = orderId(`orders/${candidate}`);
          if (id === undefined) return;
          const run = randomUUID().slice(0, 8);
          for (const at of [relationPath(id), attemptPath("shipment", id)]) {
            const where = at.replace("/", `-${run}/`);
            await create(where, { a: 1 });
            assert.equal((await store.read(where))[0]?.path, where);
          }
        }),
        { numRuns: 60, examples: special.map((each) => [each]) },
      );
    });
  });
}

for (const [how, open] of [
  ["through its client library", () => openFirestoreStore("demo-edges")],
  ["over gRPC alone", openGrpcStore],
] as const) {
  describe(`Firestore ${how}`, () => {
    let opened: Opened;
    before(async function () {
      this.timeout(EMULATOR_START_TIMEOUT_MS);
      opened = await open();
    });
    after(() => opened?.close());

    it("accepts everything that the in-memory store accepts", async function () {
      this.timeout(120_000);
      const memory = new MemoryStore();
      const accepted = new Map<string, number>();
      await fc.assert(
        fc.asyncProperty(edgeDocument, fc.boolean(), async (fields, asUpdate) => {
          const path = `edges/${randomUUID()}`;
          const writeTo = async (store: Store) => {
            if (!asUpdate) return store.commit([{ kind: "create", path, fields }]);
            const [version = ""] = await store.commit([{ kind: "create", path, fields: { first: 1 } }]);
            return store.commit([{ kind: "update", path, version, fields }]);
          };
          const error: unknown = await writeTo(memory).then(
            () => undefined,
            (reason: unknown) => reason,
          );
          const outcome = error === undefined ? "accepted" : "rejected";
          accepted.set(outcome, (accepted.get(outcome) ?? 0) + 1);
          if (error !== undefined) return void assert.ok(error instanceof ValidationError, String(error));
          await writeTo(opened.store);
          assert.deepEqual((await opened.store.read(path))[0]?.fields, memory.peek(path)?.fields);
        }),
        { numRuns: 150, examples: emptyAtTheLimit.map((fields) => [fields, false]) },
      );
      for (const outcome of ["accepted", "rejected"]) assert.ok((accepted.get(outcome) ?? 0) > 15, outcome);
    });
  });
}
