/**
 * `npm run board:build`: builds the console, with names that change with the content. There are two pages, for Firebase and for
 * an embedded run; the SDK is in a file of its own that only the first one loads.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile, type Plugin } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Firestore's client finds out whether it is online by loading a picture from another company's server. Ours will do. */
const ownPicture: Plugin = {
  name: "own picture",
  setup(building) {
    building.onLoad({ filter: /webchannel-wrapper.*\.js$/ }, ({ path }) => {
      const contents = readFileSync(path, "utf8");
      const own = contents.replaceAll('"//www.google.com/images/cleardot.gif"', '"//"+location.host+"/icon.svg"');
      if (path.includes("webchannel-blob") && own === contents)
        throw new Error(`${path} has changed: find the picture that it loads`);
      return { contents: own, loader: "js" };
    });
  },
};

/** The bytes of the built console: our own script and style, and the SDK. */
export interface BundleSize {
  own: number;
  sdk: number;
}

/** Builds the console into this folder. */
export async function buildConsole(dist = join(HERE, "dist")): Promise<BundleSize> {
  rmSync(dist, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: ["main-firebase.ts", "main-embedded.ts", "style.css"].map((name) => join(HERE, "src", name)),
    outdir: join(dist, "assets"),
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    plugins: [ownPicture],
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    alias: { re2js: join(HERE, "no-pipelines.ts") },
    metafile: true,
    logLevel: "warning",
  });
  mkdirSync(dist, { recursive: true });
  for (const name of ["firebase", "embedded"] as const) writePage(dist, name, metafile);
  // Hosting answers an unknown address with this page and status 404; the console then says so.
  writeFileSync(join(dist, "404.html"), readFileSync(join(dist, "index.html")));
  writeFileSync(join(dist, "icon.svg"), readFileSync(join(HERE, "src/icon.svg")));
  return sizeOf(metafile);
}

function writePage(dist: string, name: "firebase" | "embedded", { outputs }: Metafile): void {
  const made = Object.keys(outputs);
  const named = (start: string) => `/assets/${basename(made.find((path) => basename(path).startsWith(start)) ?? "")}`;
  const script = named(`main-${name}-`);
  const imports = outputs[made.find((path) => script.endsWith(basename(path))) ?? ""]?.imports ?? [];
  const preload = imports
    .map(({ path }) => `<link rel="modulepreload" href="/assets/${basename(path)}" />`)
    .join("\n    ");
  const page = readFileSync(join(HERE, "src/index.html"), "utf8")
    .replace("SCRIPT", script)
    .replace("STYLE", named("style-"))
    .replace("HEAD", `${preload}${name === "embedded" ? '\n    <meta name="console-token" content="TOKEN" />' : ""}`);
  writeFileSync(join(dist, name === "firebase" ? "index.html" : "embedded.html"), page);
}

function sizeOf({ outputs }: Metafile): BundleSize {
  const size = { own: 0, sdk: 0 };
  for (const { inputs, bytes } of Object.values(outputs)) {
    const sdk = Object.entries(inputs).reduce(
      (sum, [path, { bytesInOutput }]) => sum + (isSdk(path) ? bytesInOutput : 0),
      0,
    );
    size.sdk += sdk;
    size.own += bytes - sdk;
  }
  return size;
}

function isSdk(path: string): boolean {
  return /node_modules\/(@?firebase|@grpc|idb|tslib)\b/.test(path) || path.includes("no-pipelines");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { own, sdk } = await buildConsole();
  console.log(`Built the console: ${own} bytes of our own, ${sdk} bytes of the Firebase SDK`);
}
