import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { markJava } from "./marked-java.js";

describe("a marked Java", () => {
  let folder: string;

  /** A Java that prints its arguments, one a line. */
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), "java-")), "it's a “run”");
    mkdirSync(join(folder, "real", "bin"), { recursive: true });
    const program = join(folder, "real", "bin", "java");
    writeFileSync(program, '#!/bin/sh\nprintf "%s\\n" "$@"\n');
    chmodSync(program, 0o755);
  });

  afterEach(() => rmSync(join(folder, ".."), { recursive: true }));

  function run(...args: string[]): { mark: string; seen: string[] } {
    const { home, mark } = markJava({ home: join(folder, "real"), version: "21" }, folder);
    const seen = execFileSync(join(home, "bin", "java"), args, { encoding: "utf8" })
      .trimEnd()
      .split("\n");
    return { mark, seen };
  }

  it("gets its arguments unchanged, after the mark", () => {
    const { mark, seen } = run("-Da=b c", "-jar", "/some/emulator v1.2.jar", "--host", "h", 'it\'s "$HOME"');
    assert.deepEqual(seen, [
      mark,
      "-Xrs",
      "-XX:TieredStopAtLevel=1",
      "-Da=b c",
      "-jar",
      "/some/emulator v1.2.jar",
      "--host",
      "h",
      'it\'s "$HOME"',
    ]);
  });

  it("starts the Google Cloud CLI's emulator by its main class, which the JAR does not name", () => {
    const { mark, seen } = run("-jar", "/a b/cloud-firestore-emulator.jar", "--port=1");
    const start = [
      "-cp",
      "/a b/cloud-firestore-emulator.jar",
      "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
    ];
    assert.deepEqual(seen, [mark, "-Xrs", "-XX:TieredStopAtLevel=1", ...start, "--port=1"]);
  });

  it("has an ASCII mark that is unique to the run", () => {
    const { mark } = run("-version");
    assert.match(mark, /^[\x21-\x7e]+$/);
    assert.notEqual(run("-version").mark, mark);
  });
});
