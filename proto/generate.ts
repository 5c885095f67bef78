/** `npm run generate`: makes the typed stubs from the contracts; with `--check`, fails where the stubs in the tree differ. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const GENERATED = "functions/src/generated";

/** Google's contracts, as the packages of its clients have them, and where `google.gen.yaml` looks for them. */
const PACKAGES = "functions/node_modules";
const GOOGLE = ".local/google-protos";
const FOLDERS = {
  "@google-cloud/firestore-api/build/protos": ["google/firestore/v1"],
  "@google-cloud/pubsub-api/build/protos": ["google/pubsub/v1"],
};
/** What those import. */
const IMPORTED = ["annotations", "client", "field_behavior", "http", "launch_stage", "resource", "routing"].map(
  (name) => `google/api/${name}.proto`,
);
const GAX = "google-gax/build/protos";

function generateInto(folder: string): void {
  layOutGoogle();
  for (const template of ["proto/buf.gen.yaml", "proto/google.gen.yaml"]) {
    const { status } = spawnSync("node_modules/.bin/buf", ["generate", "--template", template, "-o", folder], {
      stdio: "inherit",
    });
    if (status !== 0) throw new Error("buf could not generate the stubs; its output is above");
  }
}

function layOutGoogle(): void {
  rmSync(GOOGLE, { recursive: true, force: true });
  for (const [from, folders] of Object.entries(FOLDERS)) {
    for (const folder of folders) cpSync(join(PACKAGES, from, folder), join(GOOGLE, folder), { recursive: true });
  }
  for (const file of [...IMPORTED, "google/rpc/status.proto", "google/type/latlng.proto"]) {
    cpSync(join(PACKAGES, GAX, file), join(GOOGLE, file));
  }
}

function contents(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  return new Map(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}

function differences(): string[] {
  const fresh = mkdtempSync(join(tmpdir(), "generated-"));
  try {
    generateInto(fresh);
    const [is, shouldBe] = [contents(GENERATED), contents(join(fresh, GENERATED))];
    return [...new Set([...is.keys(), ...shouldBe.keys()])].filter((file) => is.get(file) !== shouldBe.get(file));
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

if (!process.argv.includes("--check")) generateInto(".");
else {
  const stale = differences();
  for (const file of stale) console.error(`${join(GENERATED, file)} is not what proto/ gives: run npm run generate`);
  process.exitCode = stale.length > 0 ? 1 : 0;
}
