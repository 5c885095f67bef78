/** `npm run board:build`: makes the operators' page, one script and one style sheet with names that change with their content. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Builds the page into this folder. */
export async function buildBoard(dist = join(HERE, "dist")): Promise<void> {
  rmSync(dist, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: [join(HERE, "src/main.ts"), join(HERE, "src/style.css")],
    outdir: join(dist, "assets"),
    entryNames: "[name]-[hash]",
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
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
