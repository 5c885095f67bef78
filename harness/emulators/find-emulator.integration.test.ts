import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type EmulatorPlaces, findEmulator } from "./find-emulator.js";

const FIRESTORE_IN_GCLOUD = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar";
const PUBSUB_IN_CACHE = "pubsub-emulator-0.8.27/pubsub-emulator/bin/cloud-pubsub-emulator";

describe("finding an emulator", () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "emulators-"));
  });

  afterEach(() => rmSync(root, { recursive: true }));

  function file(path: string, content = ""): string {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    chmodSync(full, 0o755);
    return full;
  }

  function places(env: NodeJS.ProcessEnv = {}, download = noDownload): EmulatorPlaces {
    return { env, home: join(root, "home"), download };
  }

  const noDownload = async (): Promise<void> => {
    throw new Error("no network");
  };
  const mustNotDownload = async (): Promise<void> => assert.fail("downloaded although it is there");

  it("prefers the one that the environment names", async () => {
    const given = file("given.jar");
    file("home/.cache/firebase/emulators/cloud-firestore-emulator-v1.22.0.jar");
    const env = { FIRESTORE_EMULATOR_BINARY_PATH: given };
    assert.equal(await findEmulator("firestore", places(env, mustNotDownload)), given);
  });

  it("reports an invalid path in the environment", async () => {
    const env = { PUBSUB_EMULATOR_BINARY_PATH: "/nowhere/emulator" };
    await assert.rejects(
      findEmulator("pubsub", places(env)),
      /^StartError: PUBSUB_EMULATOR_BINARY_PATH says .*nowhere/,
    );
  });

  it("takes the highest version in Firebase's cache, compared by number", async () => {
    const cache = "home/.cache/firebase/emulators";
    file(`${cache}/cloud-firestore-emulator-v1.9.9.jar`);
    const newest = file(`${cache}/cloud-firestore-emulator-v1.22.0.jar`);
    file(`${cache}/cloud-firestore-emulator-v1.22.0.jar.part`);
    assert.equal(await findEmulator("firestore", places({}, mustNotDownload)), newest);
  });

  it("uses the cache that FIREBASE_EMULATORS_PATH names", async () => {
    const there = file(`elsewhere/${PUBSUB_IN_CACHE}`);
    const env = { FIREBASE_EMULATORS_PATH: join(root, "elsewhere") };
    assert.equal(await findEmulator("pubsub", places(env, mustNotDownload)), there);
  });

  it("finds the Google Cloud CLI's through a link on the PATH", async () => {
    const gcloud = file("sdk/bin/gcloud", "#!/bin/sh\nexit 1\n");
    const emulator = file(`sdk/${FIRESTORE_IN_GCLOUD}`);
    mkdirSync(join(root, "bin"));
    symlinkSync(gcloud, join(root, "bin", "gcloud"));
    const env = { PATH: join(root, "bin") };
    assert.equal(await findEmulator("firestore", places(env, mustNotDownload)), emulator);
  });

  it("asks gcloud for its location if it is not next to it", async () => {
    file("bin/gcloud", `#!/bin/sh\necho ${join(root, "sdk")}\n`);
    const emulator = file("sdk/platform/pubsub-emulator/bin/cloud-pubsub-emulator");
    const env = { PATH: `${join(root, "bin")}:${process.env.PATH}` };
    assert.equal(await findEmulator("pubsub", places(env, mustNotDownload)), emulator);
  });

  it("downloads it if it is not found", async () => {
    const download = async () => void file(`home/.cache/firebase/emulators/${PUBSUB_IN_CACHE}`);
    assert.match(await findEmulator("pubsub", places({}, download)), /cloud-pubsub-emulator$/);
  });

  it("says how to get it if it can't be downloaded", async () => {
    await assert.rejects(findEmulator("firestore", places()), (error: Error) => {
      assert.equal(error.name, "StartError");
      assert.match(
        error.message,
        /no Firestore emulator on this machine, and it could not be downloaded \(no network\)/,
      );
      assert.match(error.message, /firebase setup:emulators:firestore/);
      assert.match(error.message, /FIRESTORE_EMULATOR_BINARY_PATH/);
      return true;
    });
    await assert.rejects(findEmulator("pubsub", places()), /no Pub\/Sub emulator/);
  });

  it("reports a download that did not create the file", async () => {
    await assert.rejects(
      findEmulator(
        "firestore",
        places({}, async () => undefined),
      ),
      /could not be downloaded\./,
    );
  });
});
