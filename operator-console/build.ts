/**
 * `npm run board:build`: builds the console. Each view has a page that loads what the view needs at once, for Firebase and for an
 * embedded run; the names of scripts and style sheets change with their content.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile, type Plugin, transform } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** The page of each view in the output folder: its address is in firebase.json and local/console-server.ts. */
const PAGES = { overview: "index", attention: "attention", orders: "orders", order: "order", flow: "flow" } as const;

type Source = "firebase" | "embedded";

/** Firestore's client detects whether it is online by loading a picture from Google's server. Ours replaces it. */
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

/** These views are loaded when they are first shown. */
const LOADED_LATER = ["attention", "orders", "order", "flow", "sign-in", "keys"];

const LINE_BREAK_BEFORE_BLOCK =
  /(?<=[>}])\n(?=<\/?(?:article|d[dlt]|details|div|fig\w+|form|h[1-3]|header|li|main|nav|ol|option|p|section|summary|svg|t(?:able|body|[dhr]|head)|ul)\b)/g;

/** A static attribute of a template whose value needs no quotes. The formatter puts a space before every other quote after `=`. */
const QUOTED_WORD = /(?<=\s[a-z-]+=)"([\w.:#-]+)"(?=[\s>])/g;

const compactViews: Plugin = {
  name: "compact views",
  setup(building) {
    // A minified style sheet still has spaces in the values of custom properties.
    building.onLoad({ filter: /operator-console\/src\/style\.css$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8").replace(/^ +--.*;$/gm, (line) => line.replaceAll(/(?<=[:,]) /g, ""));
      return { contents: source, loader: "css" };
    });
    // A view's style sheet comes with its script.
    building.onLoad({ filter: /operator-console\/src\/views\/.*\.css$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, "utf8"), { loader: "css", minify: true });
      return { contents: code.trim(), loader: "text" };
    });
    building.onLoad({ filter: /operator-console\/src\/.*\.ts$/ }, ({ path }) => {
      // Templates lose their indentation, line breaks before blocks and ends of tags, and quotes around words, all of which
      // browsers ignore too.
      const source = readFileSync(path, "utf8")
        .replace(/\n\s+/g, "\n")
        .replace(LINE_BREAK_BEFORE_BLOCK, "")
        .replace(QUOTED_WORD, "$1")
        .replace(/\n>/g, ">");
      // Only the app loads views, so what it shares with them can be in its own file, and not in one for each set of views.
      const isLater = LOADED_LATER.some((view) => path.endsWith(`/views/${view}.ts`));
      return { contents: isLater ? `${source}\nimport "../app.js";` : source, loader: "ts" };
    });
  },
};

/** Where the bytes of the built console come from. */
const PARTS = {
  /** The Firebase SDK. */
  sdk: (path: string) => /node_modules\/(@?firebase|@grpc|idb|tslib)\b/.test(path) || path.includes("no-pipelines"),
  lit: (path: string) => /node_modules\/lit-html\b/.test(path),
} as const;

type Sizes = Record<keyof typeof PARTS | "own", number>;

/** Bytes of the console on Firebase. */
export interface BundleSize {
  /** The files that the overview loads. */
  initial: Sizes;
  /** All views. */
  all: Sizes;
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
    plugins: [ownPicture, compactViews],
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    alias: { re2js: join(HERE, "no-pipelines.ts") },
    metafile: true,
    logLevel: "warning",
  });
  const outputs = new Outputs(metafile);
  mkdirSync(join(dist, "embedded"), { recursive: true });
  for (const [view, page] of Object.entries(PAGES)) {
    writeFileSync(join(dist, `${page}.html`), pageOf("firebase", view, outputs));
    writeFileSync(join(dist, "embedded", `${page}.html`), pageOf("embedded", view, outputs));
  }
  // Hosting answers an unknown address with this page and status 404; the console then says so.
  writeFileSync(join(dist, "404.html"), readFileSync(join(dist, "index.html")));
  writeFileSync(join(dist, "icon.svg"), readFileSync(join(HERE, "src/icon.svg")));
  const initial = outputs.loadedBy("main-firebase.ts", "style.css");
  const later = LOADED_LATER.flatMap((view) => outputs.loadedBy(`views/${view}.ts`));
  return { initial: outputs.sizesOf(initial), all: outputs.sizesOf([...initial, ...later]) };
}

function pageOf(source: Source, view: string, outputs: Outputs): string {
  const main = `main-${source}.ts`;
  const needed = [main, ...(view === "overview" ? [] : [`views/${view}.ts`])];
  const script = outputs.addressOf(main);
  const preloads = outputs
    .loadedBy(...needed)
    .map((path) => `/assets/${basename(path)}`)
    .filter((address) => address !== script)
    .map((address) => `<link rel="modulepreload" href="${address}" />`);
  const token = source === "embedded" ? ['<meta name="console-token" content="TOKEN" />'] : [];
  return readFileSync(join(HERE, "src/index.html"), "utf8")
    .replace("SCRIPT", script)
    .replace("STYLE", outputs.addressOf("style.css"))
    .replace("HEAD", [...preloads, ...token].join("\n    "));
}

/** What esbuild made of which source. */
class Outputs {
  constructor(private readonly metafile: Metafile) {}

  /** The address of what was made of a source in `src`. */
  addressOf(source: string): string {
    return `/assets/${basename(this.madeOf(source))}`;
  }

  /** What these sources need at once, without what they load later. */
  loadedBy(...sources: string[]): string[] {
    const found = new Set<string>();
    const add = (path: string) => {
      if (found.has(path)) return;
      found.add(path);
      for (const { path: next, kind } of this.metafile.outputs[path]?.imports ?? [])
        if (kind === "import-statement") add(next);
    };
    for (const source of sources) add(this.madeOf(source));
    return [...found];
  }

  sizesOf(paths: string[]): Sizes {
    const made = [...new Set(paths)].flatMap((path) => this.metafile.outputs[path] ?? []);
    const inputs = made.flatMap((output) => Object.entries(output.inputs));
    const sum = (sizes: number[]) => sizes.reduce((total, size) => total + size, 0);
    const of = (isPart: (path: string) => boolean) =>
      sum(inputs.filter(([path]) => isPart(path)).map(([, { bytesInOutput }]) => bytesInOutput));
    const [sdk, lit] = [of(PARTS.sdk), of(PARTS.lit)];
    return { sdk, lit, own: sum(made.map(({ bytes }) => bytes)) - sdk - lit };
  }

  private madeOf(source: string): string {
    const made = Object.entries(this.metafile.outputs).find(([, { entryPoint }]) =>
      entryPoint?.endsWith(`src/${source}`),
    );
    if (!made) throw new Error(`nothing was built from ${source}`);
    return made[0];
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { initial, all } = await buildConsole();
  console.log(
    `Built the console: ${initial.own} bytes of our own for the overview, ${all.own} for all views, ${all.lit} of lit-html, ${all.sdk} of the Firebase SDK`,
  );
}
