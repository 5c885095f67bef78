/** What the builds load at its first use: a name that is missing there fails only then, in a place that few tests reach. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "../harness/root.js";
import { run } from "./program.js";

/** The builds that `local/run.mjs` makes before it runs a program, with the files of each. Earlier ones leave files behind. */
const BUILDS = {
  "functions/lib": () => readdirSync(join(ROOT, "functions/lib")).map((name) => join(ROOT, "functions/lib", name)),
  ".local/programs": () => {
    const { outputs } = JSON.parse(readFileSync(join(ROOT, ".local/programs/built.json"), "utf8"));
    return outputs as string[];
  },
};

describe("a module that a build loads at its first use", () => {
  before(async () => {
    assert.equal((await run("cli/roles.ts", "--help")).status, 0);
  });

  for (const [build, files] of Object.entries(BUILDS)) {
    it(`has the exports that are imported from it (${build})`, async () => {
      let found = 0;
      for (const file of files()) {
        if (!file.endsWith(".js")) continue;
        for (const [, names = "", part = ""] of readFileSync(file, "utf8").matchAll(
          /const \{ ([\w, ]+) \} = await import\("(\.[^"]+)"\)/g,
        )) {
          found++;
          const loaded = (await import(pathToFileURL(join(dirname(file), part)).href)) as Record<string, unknown>;
          for (const one of names.split(", ")) assert.notEqual(loaded[one], undefined, `${one} of ${part} in ${file}`);
        }
      }
      assert.ok(found > 0, "nothing is loaded later");
    });
  }
});
