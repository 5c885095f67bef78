/** `npm run board:build`: makes the operators' page, one script and one style sheet with names that change with their content. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Firestore's client finds out whether it is online by loading a picture from another company's server; ours will do. */
const ownPicture: Plugin = {
  name: "own picture",
  setup(building) {
    building.onLoad({ filter: /webchannel-wrapper.*\.js$/ }, ({ path }) => {
      const contents = readFileSync(path, "utf8");
      const own = contents.replaceAll('"//www.google.com/images/cleardot.gif"', '"//"+location.host+"/icon.svg"');
      if (path.includes("webchannel-blob") && own === contents)
        throw new Error(`${path} is not as it was: look for its picture`);
      return { contents: own, loader: "js" };
    });
  },
};

/** Builds the page into this folder. */
export async function buildBoard(dist = join(HERE, "dist")): Promise<void> {
  rmSync(dist, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: [join(HERE, "src/main.ts"), join(HERE, "src/style.css")],
    outdir: join(dist, "assets"),
    entryNames: "[name]-[hash]",
    bundle: true,
    plugins: [ownPicture],
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    alias: { re2js: join(HERE, "no-pipelines.ts") },
    metafile: true,
    logLevel: "warning",
  });
  const made = Object.keys(metafile.outputs).map((path) => basename(path));
  const named = (ending: string) => made.find((name) => name.endsWith(ending)) ?? "";
  mkdirSync(dist, { recursive: true });
  const page = readFileSync(join(HERE, "src/index.html"), "utf8");
  writeFileSync(
    join(dist, "index.html"),
    page.replace("SCRIPT", `/assets/${named(".js")}`).replace("STYLE", `/assets/${named(".css")}`),
  );
  writeFileSync(join(dist, "icon.svg"), readFileSync(join(HERE, "src/icon.svg")));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildBoard();
