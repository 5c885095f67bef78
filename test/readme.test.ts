/** Holds the README and the pages in docs against the project: paths, commands, params. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ALL_PARAMS } from "../functions/src/config.js";
import { relationSchema } from "../functions/src/relations/relation.js";

const PAGES = [
  ...["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "functions/src/README.md"],
  ...[
    "bench",
    "chaos",
    "cli",
    "deploy",
    "harness",
    "local",
    "operator-console",
    "proto",
    "services",
    "simulation",
    "test",
  ].map((folder) => join(folder, "README.md")),
  ...readdirSync("docs").flatMap((file) => (file.endsWith(".md") ? [join("docs", file)] : [])),
];

const MAX_README_LINES = 65;

/** Paths that a reader makes, or that exist only while something runs. */
const MADE_BY_READERS = [
  "functions/.env.YOUR-PROJECT",
  "functions/.env.$PROJECT",
  "functions/.env.local",
  "functions/.secret.local",
  "./localhost.crt",
  "./food-service-ca.pem",
];

/** The field of a relation that is not for other programs. */
const INTERNAL_FIELD = "trouble";

/** What these tests read of a schema. */
interface Schema {
  type: string;
  wrapped?: Schema;
  options?: readonly (Schema | string)[];
  value?: Schema;
  entries?: Record<string, Schema>;
  pipe?: readonly { kind: string; type: string }[];
}

/** The type of a field as the pages name it. */
function typeOf(schema: Schema): string {
  const { type, wrapped, options = [], value, pipe = [] } = schema;
  // The last schema in a pipe is the most exact one.
  const last = pipe.findLast(({ kind }) => kind === "schema") as Schema | undefined;
  if (last && last !== schema && last.type !== type) return typeOf(last);
  if (wrapped) return type === "nullable" ? `${typeOf(wrapped)} or null` : typeOf(wrapped);
  if (type === "number") return pipe.some((action) => action.type === "integer") ? "integer" : "number";
  if (type === "record" && value) return `map of ${typeOf(value)}s`;
  if (type === "union") return [...new Set((options as Schema[]).map(typeOf))].join(" or ");
  return { picklist: "string", date: "timestamp", object: "map" }[type] ?? type;
}

/** The names of all fields in a map, at any depth. */
function namesIn({ wrapped, options = [], entries = {} }: Schema): string[] {
  const inside = [wrapped, ...options].flatMap((one) => (typeof one === "object" ? namesIn(one) : []));
  return [...inside, ...Object.entries(entries).flatMap(([name, field]) => [name, ...namesIn(field)])];
}

const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };

const textOf = (page: string) => readFileSync(page, "utf8");

function* matches(text: string, pattern: RegExp): Generator<string> {
  for (const [, found = ""] of text.matchAll(pattern)) yield found;
}

describe("the documentation", () => {
  for (const page of PAGES) {
    it(`names only existing paths (${page})`, () => {
      const text = textOf(page);
      const folders =
        "functions|services|harness|cli|local|simulation|chaos|test|bench|deploy|docs|proto|operator-console";
      const named = [...matches(text, new RegExp(`\`((?:${folders})/[^\`\\s]*)\``, "g"))];
      const linked = [...matches(text, /\]\((?!https?:|#)([^)#]+)/g)].map((link) => join(dirname(page), link));
      const missing = [...named, ...linked].filter((path) => !MADE_BY_READERS.includes(path) && !existsSync(path));
      assert.deepEqual(missing, []);
    });

    it(`names only existing commands (${page})`, () => {
      const run = [...matches(textOf(page), /npm run ([a-z][a-z:-]*)/g)];
      const missing = run.filter((name) => !(name in scripts));
      assert.deepEqual(missing, []);
    });
  }

  it("lists every param with its default and description", () => {
    const rows = ALL_PARAMS.map((param) => {
      const { description = "" } = param.options;
      const secret = "if" in param ? `a secret, if \`${param.if.param.name}\` is \`${param.if.is}\`` : "a secret";
      const usual = "default" in param.options ? `\`${String(param.options.default)}\`` : secret;
      return `| \`${param.name}\` | ${usual} | ${description} |`;
    });
    const table = textOf("docs/deployment.md").split("<!-- params -->")[1]?.split("<!-- /params -->")[0];
    assert.equal(table?.trim(), ["| param | default | description |", "|---|---|---|", ...rows].join("\n"));
  });

  it("describes the type of every relation field that other programs may use, and the fields inside it", () => {
    const page = textOf("docs/stability.md");
    const table = page.split("## Relation fields")[1]?.split("\n## ")[0] ?? "";
    const rows = [...table.matchAll(/^\| (`.+`) \| (.+?) \| .+? \| (.+) \|$/gm)];
    const described = rows.flatMap(([, names = "", types = "", meaning = ""]) => {
      const one = types.split(", ");
      return [...matches(names, /`(\w+)`/g)].map((name, index) => [
        name,
        { type: one[index] ?? one[0], inside: [...matches(meaning, /`(\w+)`/g)].sort() },
      ]);
    });
    const { [INTERNAL_FIELD]: internal, ...fields } = relationSchema.entries as unknown as Record<string, Schema>;
    assert.ok(internal);
    assert.match(table, new RegExp(`The field \`${INTERNAL_FIELD}\` and all other collections are internal`));
    const actual = Object.entries(fields).map(([name, field]) => [
      name,
      { type: typeOf(field), inside: namesIn(field).sort() },
    ]);
    assert.deepEqual(Object.fromEntries(described), Object.fromEntries(actual));
  });

  it("fits the README on one screen", () => {
    const lines = textOf("README.md").trim().split("\n");
    assert.ok(lines.length <= MAX_README_LINES, `${lines.length} lines`);
  });

  it("gives the project one version, which the changelog describes", () => {
    const [, released] = /^## (\d\S*) - \d{4}-\d\d-\d\d$/m.exec(textOf("CHANGELOG.md")) ?? [];
    for (const folder of [".", "functions"]) {
      const manifest = JSON.parse(textOf(join(folder, "package.json"))) as { version: string };
      const lock = JSON.parse(textOf(join(folder, "package-lock.json"))) as {
        version: string;
        packages: Record<string, { version?: string }>;
      };
      assert.deepEqual([manifest.version, lock.version, lock.packages[""]?.version], [released, released, released]);
    }
  });

  it("names every top-level folder", () => {
    const design = textOf("docs/design.md");
    const places = readdirSync(".", { withFileTypes: true })
      .filter(
        (entry) =>
          entry.isDirectory() && !entry.name.startsWith(".") && !["node_modules", "coverage"].includes(entry.name),
      )
      .map(({ name }) => `\`${name}/`);
    assert.deepEqual(
      places.filter((place) => !design.includes(place)),
      [],
    );
  });
});
