/**
 * Bundles the programs that start most often into `.local/programs`. A bundled program starts in a quarter of the time, since its
 * sources need not be compiled and its modules need not be resolved one by one.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** A partial copy of the project may lack some of them. */
const PROGRAMS = [
  ...["cli/start.ts", "cli/demo.ts", "cli/resolve.ts", "cli/roles.ts", "cli/scheduler.ts"],
  ...["services/food-service/main.ts", "services/food-service/order.ts", "services/users/main.ts"],
  ...["chaos/main.ts", "deploy/cloud.ts", "deploy/check-params.ts"],
];

/** Packages that need their own files, or contain native programs. */
const EXTERNAL = ["esbuild", "firebase-tools", "playwright-core"];

/** Most packages are CommonJS and need what ES modules lack. esbuild does not know these names, so nothing else may use them. */
const COMMON_JS = `
import { createRequire as __createRequire } from "node:module";
const require = __createRequire(import.meta.url);
const { filename: __filename, dirname: __dirname } = import.meta;
`.trim();

/** Earlier builds are deleted after this time, since a running program may still load a part of one. */
const KEPT_MS = 86_400_000;

/** The folder of the built programs: X.js there is the program X.ts. */
export const builtPrograms = (root) => join(root, ".local", "programs");

const recordOf = (root) => join(builtPrograms(root), "built.json");

const programsIn = (root) => PROGRAMS.filter((program) => existsSync(join(root, program)));

/** Whether the build is up to date. A build in a moved folder contains the old paths. */
export function areProgramsBuilt(root) {
  if (programsIn(root).length === 0) return true;
  try {
    const record = recordOf(root);
    const { root: builtIn, inputs } = JSON.parse(readFileSync(record, "utf8"));
    const builtAt = statSync(record).mtimeMs;
    return builtIn === root && inputs.every((input) => statSync(join(root, input)).mtimeMs < builtAt);
  } catch {
    return false;
  }
}

/**
 * Builds all of them.
 * @throws Error when a source can't be compiled; esbuild has shown why
 */
export async function buildPrograms(root) {
  const { build } = await import("esbuild");
  const target = builtPrograms(root);
  const { outputFiles, metafile } = await build({
    entryPoints: programsIn(root),
    absWorkingDir: root,
    outdir: target,
    outbase: root,
    bundle: true,
    splitting: true,
    platform: "node",
    target: "node24",
    format: "esm",
    keepNames: true,
    banner: { js: COMMON_JS },
    external: EXTERNAL,
    plugins: [ownPlaces],
    logLevel: "warning",
    metafile: true,
    write: false,
  });
  const written = new Set();
  for (const { path, contents } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.new`, contents);
    renameSync(`${path}.new`, path);
    written.add(path);
  }
  for (const name of readdirSync(target)) {
    const path = join(target, name);
    if (!written.has(path) && Date.now() - statSync(path).mtimeMs > KEPT_MS) rmSync(path, { recursive: true });
  }
  const own = Object.keys(metafile.inputs).filter((input) => !input.includes("node_modules"));
  const inputs = [...own, "local/programs.mjs", "package-lock.json", "functions/package-lock.json"];
  writeFileSync(recordOf(root), JSON.stringify({ root, inputs, outputs: [...written] }));
}

/** A module that looks for files next to itself finds them next to its source. */
const ownPlaces = {
  name: "own places",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (path.includes("node_modules")) return undefined;
      return { loader: "ts", contents: withPlaces(readFileSync(path, "utf8"), path) };
    });
    onLoad({ filter: /\/(grpc-health-check|@grpc\/reflection)\/.*\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll("__dirname", JSON.stringify(dirname(path))),
    }));
  },
};

function withPlaces(source, path) {
  return source
    .replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href))
    .replaceAll("import.meta.dirname", JSON.stringify(dirname(path)));
}
