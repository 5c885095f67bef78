/** Bundles a program of the simulation, which then runs a third faster than file by file. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { ROOT } from "../harness/root.js";

/** What starts a program that comes as text, by standard input, before its arguments: no file is there to be left over. */
export const FROM_STDIN = ["--input-type=module", "-"];

/** CommonJS packages in a bundle look for Node.js' own modules with `require`. */
const banner = {
  js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(process.cwd() + "/");',
};

const COMMON = { bundle: true, platform: "node", format: "esm", logLevel: "error", write: false } as const;

/** The program's text; the entry is the name of a file in this folder. */
export function bundle(entry: string, plugins: Plugin[] = []): Promise<string> {
  return textOf({ entryPoints: [fileURLToPath(new URL(entry, import.meta.url))], plugins });
}

/** The text of a program that runs these test files, relative to the project's root, in this order until one test fails. */
export function bundleTests(files: readonly string[], plugins: Plugin[] = []): Promise<string> {
  const imports = files.map((file) => `import ${JSON.stringify(`./${file}`)};`).join("\n");
  const contents = `import { runTests } from "./simulation/test-program.js";\n${imports}\nrunTests();`;
  return textOf({ stdin: { contents, resolveDir: ROOT, loader: "ts" }, external: ["mocha"], banner, plugins });
}

/** Tells whether a program loads a file, directly or not; both are relative to the project's root. */
export async function loadedBy(programs: readonly string[]): Promise<(program: string, file: string) => boolean> {
  const { metafile } = await build({
    ...COMMON,
    entryPoints: [...programs],
    absWorkingDir: ROOT,
    outdir: ROOT,
    packages: "external",
    metafile: true,
  });
  const loaded = new Map(
    Object.values(metafile.outputs).map(({ entryPoint, inputs }) => [entryPoint, new Set(Object.keys(inputs))]),
  );
  return (program, file) => loaded.get(program)?.has(file) ?? false;
}

async function textOf(options: BuildOptions): Promise<string> {
  const { outputFiles = [] } = await build({ ...COMMON, ...options });
  return outputFiles.map(({ text }) => text).join("");
}

/** Replaces the texts of files, by path, in a bundle. */
export function replacing(texts: ReadonlyMap<string, string>): Plugin {
  return {
    name: "replacing",
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const contents = texts.get(path);
        return contents === undefined ? undefined : { contents, loader: "ts" };
      });
    },
  };
}

/**
 * Runs a program that comes as text.
 * @param onLine called with each line of its output
 * @returns its status, null if a signal ended it
 */
export function runText(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void,
): Promise<number | null> {
  const child = spawn(process.execPath, [...FROM_STDIN, ...args], { cwd: ROOT, stdio: ["pipe", "pipe", "ignore"] });
  // A program that ends before it has read all of itself.
  child.stdin.on("error", () => undefined);
  child.stdin.end(program);
  createInterface({ input: child.stdout }).on("line", onLine);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
}
