import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import { marksIn, wrapFirestoreEmulator, wrapPubSubEmulator } from "./wrappers.js";

describe("wrapping the emulators", () => {
  let folder: string;

  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), "wrappers-")), "it's a run");
    mkdirSync(folder);
  });

  afterEach(() => rmSync(join(folder, ".."), { recursive: true }));

  function jarWith(manifest: string, name = "emulator.jar"): string {
    const path = join(folder, name);
    writeFileSync(path, zipSync({ "META-INF/MANIFEST.MF": strToU8(manifest), "A.class": strToU8("class") }));
    return path;
  }

  /** The manifest's headers, with lines that go on put together again. */
  function manifestOf(jar: string): { lines: string[]; headers: Record<string, string> } {
    const text = strFromU8(unzipSync(readFileSync(jar))["META-INF/MANIFEST.MF"] as Uint8Array);
    assert.ok(text.endsWith("\r\n"), "a last line without its end is not read");
    const entries = text
      .replaceAll("\r\n ", "")
      .trim()
      .split("\r\n")
      .map((line) => line.split(": ", 2) as [string, string]);
    return { lines: text.split("\r\n"), headers: Object.fromEntries(entries) };
  }

  it("starts the main class that the emulator's JAR names", () => {
    const jar = jarWith("Manifest-Version: 1.0\r\nMain-Class: com.example.Emulator\r\n\r\n");
    assert.equal(manifestOf(wrapFirestoreEmulator(jar, folder)).headers["Main-Class"], "com.example.Emulator");
  });

  it("knows the main class where the JAR names none", () => {
    const wrapper = wrapFirestoreEmulator(jarWith("Manifest-Version: 1.0\r\n\r\n"), folder);
    const { headers } = manifestOf(wrapper);
    assert.equal(headers["Main-Class"], "com.google.cloud.datastore.emulator.firestore.CloudFirestore");
  });

  it("folds a long path into lines that Java accepts", () => {
    const jar = jarWith("Manifest-Version: 1.0\r\n\r\n", `${"long ".repeat(40)}.jar`);
    const { lines, headers } = manifestOf(wrapFirestoreEmulator(jar, folder));
    assert.ok(
      lines.every((line) => Buffer.byteLength(line) <= 70),
      lines.join("\n"),
    );
    assert.equal(fileURLToPath(headers["Class-Path"] as string), jar);
  });

  it("hands the Pub/Sub emulator its arguments and the mark by which it is found again", () => {
    const script = join(folder, "emulator");
    writeFileSync(script, '#!/bin/sh\neval set -- $JAVA_OPTS "$@"\nprintf "%s\\n" "$@"\n');
    chmodSync(script, 0o755);
    const wrapper = wrapPubSubEmulator(script, folder);
    const args = execFileSync(wrapper, ["--port=1", "--host=h"], { encoding: "utf8" }).trim().split("\n");
    assert.deepEqual(args, ["-Xrs", marksIn(folder)[1], "--port=1", "--host=h"]);
  });
});
