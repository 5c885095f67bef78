import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyFunctions } from "./functions-copy.js";

/** As firebase-tools itself reads such files. */
const { parseStrict } = createRequire(import.meta.url)("firebase-tools/lib/functions/env.js") as {
  parseStrict(text: string): Record<string, string>;
};

describe("copying the functions", () => {
  let root: string;
  let source: string;
  let target: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "functions-"));
    source = join(root, "functions");
    target = join(root, "run", "functions");
    mkdirSync(join(source, "lib", "chunks"), { recursive: true });
    mkdirSync(join(source, "node_modules", "dependency"), { recursive: true });
    writeFileSync(join(source, "lib", "index.js"), "export {};");
    writeFileSync(join(source, "lib", "chunks", "a.js"), "");
    writeFileSync(join(source, "package.json"), "{}");
  });

  afterEach(() => rmSync(root, { recursive: true }));

  function copy(given: Partial<Parameters<typeof copyFunctions>[0]> = {}) {
    copyFunctions({ source, target, project: "demo-x", params: {}, secrets: {}, withOwn: true, ...given });
    const read = (name: string) => parseStrict(readFileSync(join(target, name), "utf8"));
    return { params: read(".env.local"), secrets: read(".secret.local") };
  }

  it("includes the build and the dependencies", () => {
    copy();
    assert.deepEqual(readdirSync(join(target, "lib")).sort(), ["chunks", "index.js"]);
    assert.ok(existsSync(join(target, "node_modules", "dependency")));
  });

  it("preserves a certificate with many lines", () => {
    const pem = "-----BEGIN CERTIFICATE-----\nMIIB\\n\"quoted\" 'too'\r\n-----END CERTIFICATE-----\n";
    assert.equal(copy({ secrets: { FOOD_SERVICE_CA: pem } }).secrets.FOOD_SERVICE_CA, pem);
  });

  it("prefers the run's values to the person's own, and those to the defaults", () => {
    writeFileSync(join(source, ".env"), "A=1\nB=1\nC=1\nD=1");
    writeFileSync(join(source, ".env.demo-x"), "B=2\nC=2\nD=2\n");
    writeFileSync(join(source, ".env.local"), "C=3\nD=3");
    writeFileSync(join(source, ".secret.local"), 'FOOD_SERVICE_CA="mine"');
    const { params, secrets } = copy({ params: { D: "4" } });
    assert.deepEqual(params, { A: "1", B: "2", C: "3", D: "4" });
    assert.deepEqual(secrets, { FOOD_SERVICE_CA: "mine" });
  });

  it("never changes the person's own files, nor reads them unless it may", () => {
    writeFileSync(join(source, ".env.local"), "A=1");
    const before = readdirSync(source).sort();
    const { params, secrets } = copy({ withOwn: false, params: { B: "2" } });
    assert.deepEqual(params, { B: "2" });
    assert.deepEqual(secrets, { FOOD_SERVICE_CA: "system" });
    assert.deepEqual(readdirSync(source).sort(), before);
    assert.equal(readFileSync(join(source, ".env.local"), "utf8"), "A=1");
  });
});
