import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { listenLocally } from "../listen.js";
import { readCollection, writeDocuments } from "./firestore-rest.js";

const ROOT = "projects/demo-x/databases/(default)/documents";

describe("reading a collection", () => {
  let server: Server;
  let firestore: string;
  let pages: Record<string, object>;
  let asked: URL[];
  let authorization: string | undefined;

  beforeEach(async () => {
    asked = [];
    server = createServer((request, response) => {
      const url = new URL(request.url ?? "", "http://firestore");
      asked.push(url);
      authorization = request.headers.authorization;
      const page = pages[url.searchParams.get("pageToken") ?? ""];
      response.writeHead(page ? 200 : 500).end(JSON.stringify(page ?? {}));
    });
    firestore = `127.0.0.1:${await listenLocally(server)}`;
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it("reads every page, without applying security rules", async () => {
    pages = {
      "": { documents: [{ name: `${ROOT}/relations/a` }], nextPageToken: "next" },
      next: { documents: [{ name: `${ROOT}/relations/b` }] },
    };
    const found = await readCollection(firestore, "demo-x", "relations");
    assert.deepEqual(
      found.map(({ path }) => path),
      ["relations/a", "relations/b"],
    );
    assert.equal(asked[0]?.pathname, `/v1/${ROOT}/relations`);
    assert.equal(authorization, "Bearer owner");
  });

  it("reads a collection without documents", async () => {
    pages = { "": {} };
    assert.deepEqual(await readCollection(firestore, "demo-x", "relations"), []);
  });

  it("converts each kind of value as the functions do", async () => {
    const fields = {
      text: { stringValue: "x" },
      whole: { integerValue: "42" },
      share: { doubleValue: 0.5 },
      yes: { booleanValue: true },
      nothing: { nullValue: null },
      at: { timestampValue: "2026-03-02T10:30:15.123456Z" },
      map: { mapValue: { fields: { deep: { arrayValue: { values: [{ integerValue: "1" }, { stringValue: "" }] } } } } },
      emptyMap: { mapValue: {} },
      emptyList: { arrayValue: {} },
    };
    pages = { "": { documents: [{ name: `${ROOT}/relations/a`, fields }] } };
    const [document] = await readCollection(firestore, "demo-x", "relations");
    assert.deepEqual(document?.fields, {
      text: "x",
      whole: 42,
      share: 0.5,
      yes: true,
      nothing: null,
      at: new Date("2026-03-02T10:30:15.123Z"),
      map: { deep: [1, ""] },
      emptyMap: {},
      emptyList: [],
    });
  });

  it("fails instead of returning an empty collection when the request fails", async () => {
    pages = { "": { documents: [{ name: `${ROOT}/relations/a` }], nextPageToken: "broken" } };
    await assert.rejects(readCollection(firestore, "demo-x", "relations"), /answered 500 when relations was read/);
  });
});

describe("writing documents", () => {
  const DOCUMENTS = ["a", "b"].map((id) => ({ path: `relations/${id}`, fields: { kitchen: `kitchenorders/${id}` } }));
  let server: Server;
  let firestore: string;
  /** The codes with which the next requests are answered, one for each write. */
  let codes: number[][];
  let written: string[][];

  beforeEach(async () => {
    written = [];
    server = createServer(async (request, response) => {
      const { writes } = JSON.parse(await text(request)) as { writes: { update: { name: string } }[] };
      written.push(writes.map(({ update }) => update.name.split("/").at(-1) ?? ""));
      response.end(JSON.stringify({ status: (codes.shift() ?? []).map((code) => ({ code, message: "why" })) }));
    });
    firestore = `127.0.0.1:${await listenLocally(server)}`;
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it("repeats those that a busy emulator aborts, until it takes them", async () => {
    codes = [[0, 10], [14], [10], [0]];
    await writeDocuments(firestore, "demo-x", DOCUMENTS);
    assert.deepEqual(written, [["a", "b"], ["b"], ["b"], ["b"]]);
  });

  it("fails when the emulator rejects one, and says why", async () => {
    codes = [[0, 3]];
    await assert.rejects(writeDocuments(firestore, "demo-x", DOCUMENTS), /did not write relations\/b: why \(code 3\)/);
  });
});
