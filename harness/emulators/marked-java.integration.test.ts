import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Classes, markJava } from "./marked-java.js";

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
    return runWith({ archives: new Map() }, ...args);
  }

  function runWith(classes: Classes, ...args: string[]): { mark: string; seen: string[] } {
    const { home, mark } = markJava({ home: join(folder, "real"), version: "21" }, folder, classes);
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

  it("starts an emulator from the archive of its classes, if there is one", () => {
    const archive = join(folder, "it's an archive.jsa");
    const archives = new Map([
      ["/some/it's v1.2.jar", archive],
      ["/other.jar", join(folder, "missing.jsa")],
    ]);
    writeFileSync(archive, "");
    const flags = ["-Xrs", "-XX:TieredStopAtLevel=1"];
    const from = (jar: string) => runWith({ archives }, "-Da=b", "-jar", jar, "--port=1");
    const first = from("/some/it's v1.2.jar");
    assert.deepEqual(first.seen, [
      first.mark,
      ...flags,
      "-Da=b",
      `-XX:SharedArchiveFile=${archive}`,
      "-Xlog:disable",
      "-jar",
      "/some/it's v1.2.jar",
      "--port=1",
    ]);
    const other = from("/other.jar");
    assert.deepEqual(other.seen, [other.mark, ...flags, "-Da=b", "-jar", "/other.jar", "--port=1"]);
  });

  it("writes the archive of an emulator's classes when it is asked to, and lets a signal end it in an orderly way", () => {
    const archives = new Map([["/some.jar", "/archive.jsa"]]);
    const { mark, seen } = runWith({ archives, written: true }, "-jar", "/some.jar");
    const flags = ["-XX:TieredStopAtLevel=1", "-XX:ArchiveClassesAtExit=/archive.jsa", "-Xlog:disable"];
    assert.deepEqual(seen, [mark, ...flags, "-jar", "/some.jar"]);
  });

  it("has an ASCII mark that is unique to the run", () => {
    const { mark } = run("-version");
    assert.match(mark, /^[\x21-\x7e]+$/);
    assert.notEqual(run("-version").mark, mark);
  });
});
