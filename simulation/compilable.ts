/** Tells which mutants compile: the type checker catches the others before they are run. */
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../harness/root.js";
import { FUNCTIONS } from "./judge.js";
import type { GeneratedMutant } from "./mutation-operators.js";

/** The text of the file with this mutant in it. */
export function mutated({ file, start, end, replacement }: GeneratedMutant): string {
  const text = readFileSync(join(FUNCTIONS, file), "utf8");
  return text.slice(0, start) + replacement + text.slice(end);
}

/** A file is checked beside the original, under a name with the mutant's number. */
const CHECKED = /^src\/.*\.mutant-(\d+)\.ts\(.*error TS/;

/** Those of the mutants that compile. All are checked at once, each as another file of a copy of the source. */
export async function compilable(mutants: readonly GeneratedMutant[]): Promise<GeneratedMutant[]> {
  const folder = mkdtempSync(join(tmpdir(), "mutants-"));
  try {
    cpSync(FUNCTIONS, join(folder, "src"), { recursive: true, filter: (path) => !path.endsWith(".test.ts") });
    symlinkSync(join(FUNCTIONS, "..", "node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const files = mutants.map((mutant, index) => {
      const file = join("src", mutant.file.replace(/\.ts$/, `.mutant-${index}.ts`));
      writeFileSync(join(folder, file), mutated(mutant));
      return file;
    });
    const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8")) as {
      compilerOptions: object;
    };
    const typeRoots = [join(ROOT, "node_modules", "@types")];
    const config = { compilerOptions: { ...compilerOptions, typeRoots, types: ["node"] }, files };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const broken = new Set<number>();
    for (const line of (await typeErrors(folder)).split("\n")) {
      const [, number] = CHECKED.exec(line) ?? [];
      if (number !== undefined) broken.add(Number(number));
      else if (line.includes("error TS")) throw new Error(`The code does not compile without any mutant: ${line}`);
    }
    return mutants.filter((_, index) => !broken.has(index));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function typeErrors(folder: string): Promise<string> {
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  return new Promise((resolve) =>
    execFile(
      process.execPath,
      [compiler, "--pretty", "false", "-p", folder],
      { cwd: folder, maxBuffer: 1e9 },
      (_error, output) => resolve(output),
    ),
  );
}
