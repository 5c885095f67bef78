import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { provideConsole } from "./built-console.js";

describe("the console for a run", () => {
  let root: string;
  let builds: number;

  const write = (path: string, content: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "built-console-"));
    builds = 0;
    write("operator-console/src/views/orders.ts", "orders");
    write("functions/src/ports.ts", "ports");
    for (const file of ["operator-console/build.ts", "operator-console/no-pipelines.ts", "package-lock.json"])
      write(file, "");
  });

  afterEach(() => rmSync(root, { recursive: true }));

  const build = async (dist: string) => {
    builds++;
    mkdirSync(join(dist, "assets"), { recursive: true });
    writeFileSync(join(dist, "assets", "page.html"), `build ${builds}`);
  };

  /** Provides the console in a folder of this name, and returns its page. */
  const provide = async (name: string): Promise<string> => {
    await provideConsole(join(root, name, "dist"), { root, build });
    return readFileSync(join(root, name, "dist", "assets", "page.html"), "utf8");
  };

  it("is built once while no source changes", async () => {
    assert.equal(await provide("first"), "build 1");
    assert.equal(await provide("second"), "build 1");
  });

  it("is built again after a source has changed, or a new one was added", async () => {
    await provide("first");
    write("operator-console/src/views/orders.ts", "other orders");
    assert.equal(await provide("second"), "build 2");
    write("functions/src/new.ts", "");
    assert.equal(await provide("third"), "build 3");
    write("operator-console/src/views/orders.ts", "orders");
    rmSync(join(root, "functions/src/new.ts"));
    assert.equal(await provide("fourth"), "build 1");
  });

  it("can be provided for two runs at the same time", async () => {
    const pages = await Promise.all([provide("one"), provide("other")]);
    assert.equal(pages[0], pages[1]);
    assert.equal(readdirSync(join(root, ".local", "console-builds")).length, 1);
  });

  it("is not provided if it can't be built, and is built the next time", async () => {
    const fail = async () => assert.fail("a source has an error");
    await assert.rejects(provideConsole(join(root, "dist"), { root, build: fail }), /has an error/);
    assert.equal(await provide("second"), "build 1");
  });

  it("deletes builds of earlier days", async () => {
    await provide("first");
    const folder = join(root, ".local", "console-builds");
    const [first = ""] = readdirSync(folder);
    utimesSync(join(folder, first), new Date(0), new Date(0));
    write("functions/src/ports.ts", "other ports");
    await provide("second");
    assert.equal(readdirSync(folder).includes(first), false);
  });
});
