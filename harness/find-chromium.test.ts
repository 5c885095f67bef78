import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findChromium } from "./find-chromium.js";

describe("finding Chromium", () => {
  let home: string;

  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "chromium-"));
  });

  afterEach(() => rmSync(home, { recursive: true }));

  function make(...path: string[]): string {
    const file = join(home, ...path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "");
    return file;
  }

  const find = (env: NodeJS.ProcessEnv = {}) =>
    findChromium({
      env,
      home,
      folders: [join(home, "snap", "bin")],
      applications: join(home, "System Applications"),
      playwright: join(home, "ms-playwright", "chrome"),
    });

  it("prefers the one that CHROMIUM names", () => {
    make("bin", "chromium");
    const named = make("elsewhere", "my chrome");
    assert.equal(find({ CHROMIUM: named, PATH: join(home, "bin") }), named);
  });

  it("says so if CHROMIUM names a file that does not exist", () => {
    assert.throws(() => find({ CHROMIUM: "/no/such/chrome" }), { name: "StartError", message: /\/no\/such\/chrome/ });
  });

  for (const name of ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]) {
    it(`finds ${name} on the PATH`, () => {
      const path = make("my bin", name);
      assert.equal(find({ PATH: `/nowhere:${join(home, "my bin")}` }), path);
    });
  }

  it("finds a snap that is not on the PATH", () => {
    const path = make("snap", "bin", "chromium");
    assert.equal(find(), path);
  });

  it("finds macOS applications, the system's and the user's own", () => {
    const own = make("Applications", "Chromium.app", "Contents", "MacOS", "Chromium");
    assert.equal(find(), own);
    const system = make("System Applications", "Google Chrome.app", "Contents", "MacOS", "Google Chrome");
    assert.equal(find(), system);
  });

  it("finds Playwright's Chromium as a last resort", () => {
    const path = make("ms-playwright", "chrome");
    assert.equal(find({ PATH: "" }), path);
  });

  it("returns nothing if there is none", () => {
    assert.equal(find({ PATH: "/nowhere" }), undefined);
  });
});
