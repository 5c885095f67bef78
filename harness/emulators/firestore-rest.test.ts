import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { readCollection } from "./firestore-rest.js";

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
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    firestore = `127.0.0.1:${(server.address() as AddressInfo).port}`;
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
