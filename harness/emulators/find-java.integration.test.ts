import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findJava } from "./find-java.js";

describe("finding Java", () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "java-"));
  });

  afterEach(() => rmSync(root, { recursive: true }));

  /** A folder that looks like a Java home; `release` is what its release file says, if it has one. */
  function javaHome(path: string, version: string, release = true): string {
    const home = join(root, path);
    const program = join(home, "bin", "java");
    mkdirSync(dirname(program), { recursive: true });
    writeFileSync(program, `#!/bin/sh\necho 'openjdk version "${version}" 2025-01-01' >&2\n`);
    chmodSync(program, 0o755);
    if (release) writeFileSync(join(home, "release"), `IMPLEMENTOR="Example"\nJAVA_VERSION="${version}"\n`);
    return home;
  }

  function places(env: NodeJS.ProcessEnv = {}) {
    return { env, home: join(root, "home"), usual: [{ folder: join(root, "jvm"), inside: "" }] };
  }

  it("prefers JAVA_HOME to a newer Java elsewhere", async () => {
    const chosen = javaHome("chosen", "21.0.7");
    javaHome("jvm/newer", "25.0.1");
    assert.deepEqual(await findJava(places({ JAVA_HOME: chosen })), { home: chosen, version: "21.0.7" });
  });

  it("follows a link on the PATH to the right JAVA_HOME", async () => {
    const home = javaHome("real", "22");
    mkdirSync(join(root, "bin"));
    symlinkSync(join(home, "bin", "java"), join(root, "bin", "java"));
    assert.equal((await findJava(places({ PATH: `/nowhere:${join(root, "bin")}` }))).home, home);
  });

  it("skips a JAVA_HOME and a PATH that are too old", async () => {
    const old = javaHome("old", "17.0.15");
    const eight = javaHome("eight", "1.8.0_452");
    const found = javaHome("jvm/new", "25.0.3");
    const env = { JAVA_HOME: old, PATH: join(eight, "bin") };
    assert.equal((await findJava(places(env))).home, found);
  });

  it("takes the newest Java in the usual places", async () => {
    javaHome("jvm/a", "21.0.1");
    const newest = javaHome("jvm/b", "100.1");
    javaHome("jvm/c", "25");
    assert.equal((await findJava(places())).home, newest);
  });

  it("runs a Java without a release file to get its version", async () => {
    const home = javaHome("bare", "21.0.2", false);
    assert.equal((await findJava(places({ JAVA_HOME: home }))).version, "21.0.2");
  });

  it("says which Java is too old and how to get a newer one", async () => {
    const old = javaHome("jvm/old", "17.0.15");
    await assert.rejects(findJava(places({ JAVA_HOME: old })), (error: Error) => {
      assert.equal(error.name, "StartError");
      assert.match(error.message, /need Java 21 or newer, and there is none that new/);
      assert.equal(error.message.split(`17.0.15 in ${old}`).length, 2, "named once");
      assert.match(error.message, /adoptium\.net/);
      return true;
    });
  });

  it("says so if there is no Java at all", async () => {
    const env = { JAVA_HOME: join(root, "gone"), PATH: root };
    await assert.rejects(findJava(places(env)), /and there is none\.\nGet one/);
  });
});
