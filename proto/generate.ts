/** `npm run generate`: makes the typed stubs from the contracts; with `--check`, fails where the stubs in the tree differ. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const GENERATED = "functions/src/generated";

function generateInto(folder: string): void {
  const { status } = spawnSync(
    "node_modules/.bin/buf",
    ["generate", "--template", "proto/buf.gen.yaml", "-o", folder],
    {
      stdio: "inherit",
    },
  );
  if (status !== 0) throw new Error("buf could not generate the stubs; what it said stands above");
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
