import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRunDirectory } from "./run-directory.js";

/** No process has a number as large as this. */
const GONE = 2 ** 30;

describe("the folder of a run", () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "runs-"));
  });

  afterEach(() => rmSync(root, { recursive: true }));

  const runs = () => readdirSync(join(root, ".local", "runs")).sort();

  it("keeps the newest finished runs, and never removes an active one", () => {
    const going = `20200101000000000-${process.pid}`;
    const over = Array.from({ length: 8 }, (_, index) => `2021010100000000${index}-${GONE}`);
    for (const name of [going, ...over]) mkdirSync(join(root, ".local", "runs", name), { recursive: true });
    const made = makeRunDirectory(root);
    assert.deepEqual(runs().slice(0, -1), [going, ...over.slice(-5)]);
    assert.equal(runs().at(-1), made.slice(made.lastIndexOf("/") + 1));
  });

  it("is different for each run of a process", async () => {
    const first = makeRunDirectory(root);
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.notEqual(makeRunDirectory(root), first);
  });
});
