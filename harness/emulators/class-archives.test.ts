import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Archives, archivesOf, makeArchives } from "./class-archives.js";

describe("the archives of the emulators' classes", () => {
  const java = { home: "/usr/lib/jvm/some", version: "21.0.7" };
  let root: string;
  let folder: string;
  let programs: { firestore: string; pubsub: string };
  let pubsubJar: string;

  const file = (path: string, content = "") => {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    return full;
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "classes-"));
    folder = join(root, "archives");
    programs = { firestore: file("firestore.jar"), pubsub: file("pubsub/bin/start") };
    pubsubJar = file("pubsub/lib/pubsub.jar");
  });

  afterEach(() => rmSync(root, { recursive: true }));

  const write = (content: string) => async (written: Archives) => {
    for (const path of written.values()) writeFileSync(path, content);
  };

  it("are made once for each emulator's JAR", async () => {
    const archives = archivesOf(java, programs, folder);
    assert.deepEqual([...archives.keys()], [programs.firestore, pubsubJar]);
    await makeArchives(archives, write("first"));
    await makeArchives(archives, () => assert.fail("they are made again"));
    for (const archive of archives.values()) assert.equal(readFileSync(archive, "utf8"), "first");
    assert.equal(readdirSync(folder).length, 2);
  });

  it("are made again for another Java or another JAR, and replace the earlier ones", async () => {
    await makeArchives(archivesOf(java, programs, folder), write("first"));
    const newer = archivesOf({ ...java, version: "21.0.8" }, programs, folder);
    await makeArchives(newer, write("second"));
    file("pubsub/lib/pubsub.jar", "another version");
    const newest = archivesOf({ ...java, version: "21.0.8" }, programs, folder);
    assert.equal(newest.get(programs.firestore), newer.get(programs.firestore));
    await makeArchives(newest, write("third"));
    assert.equal(readdirSync(folder).length, 2);
    for (const archive of newest.values()) assert.equal(readFileSync(archive, "utf8"), "third");
  });

  it("appear only when they are complete", async () => {
    const archives = archivesOf(java, programs, folder);
    const failing = async (written: Archives) => {
      await write("incomplete")(written);
      throw new Error("the emulator does not start");
    };
    await assert.rejects(makeArchives(archives, failing), /does not start/);
    await assert.rejects(
      makeArchives(archives, async () => undefined),
      /ENOENT/,
    );
    assert.deepEqual(readdirSync(folder), []);
  });

  it("can be made by two processes at the same time", async () => {
    const archives = archivesOf(java, programs, folder);
    await Promise.all(["one", "other"].map((content) => makeArchives(archives, write(content))));
    assert.equal(readdirSync(folder).length, 2);
    for (const archive of archives.values()) assert.match(readFileSync(archive, "utf8"), /^(one|other)$/);
  });

  it("leave out an emulator whose JAR is not where it is expected", () => {
    rmSync(pubsubJar);
    assert.deepEqual([...archivesOf(java, programs, folder).keys()], [programs.firestore]);
  });
});
