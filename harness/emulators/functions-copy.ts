/**
 * A copy of the built functions in the folder of a run, with configuration of its own: two runs don't disturb each other,
 * and the person's own files in functions/ are read but never written.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface FunctionsConfiguration {
  /** The folder functions/ with a build in lib/. */
  source: string;
  /** Where the copy goes; must not be there yet. */
  target: string;
  project: string;
  /** Params of this run by name; they override the person's own. */
  params: Record<string, string>;
  secrets: Record<string, string>;
  /** Where these functions find Firestore, as host:port, when that is not the suite's emulator itself. */
  firestore?: string | undefined;
  /** Whether the person's own params and secrets in functions/ hold for what this run leaves open. */
  withOwn: boolean;
}

/** Without a value for each secret, the emulator would call Secret Manager in the cloud. */
const USUAL_SECRETS = { FOOD_SERVICE_CA: "system" };

/** Makes the copy. */
export function copyFunctions({
  source,
  target,
  project,
  params,
  secrets,
  firestore,
  withOwn,
}: FunctionsConfiguration): void {
  mkdirSync(target, { recursive: true });
  cpSync(join(source, "lib"), join(target, "lib"), { recursive: true });
  cpSync(join(source, "package.json"), join(target, "package.json"));
  if (firestore !== undefined) redirectFirestore(target, firestore);
  symlinkSync(join(source, "node_modules"), join(target, "node_modules"), "dir");
  const own = (...names: string[]) => (withOwn ? names.map((name) => textOf(join(source, name))) : []);
  // The last of several lines for one name is valid.
  const paramLines = [...own(".env", `.env.${project}`, ".env.local"), dotenv(params)];
  writeFileSync(join(target, ".env.local"), paramLines.join("\n"));
  const secretLines = [dotenv(USUAL_SECRETS), ...own(".secret.local"), dotenv(secrets)];
  writeFileSync(join(target, ".secret.local"), secretLines.join("\n"), { mode: 0o600 });
}

/** The suite sets the variable for each worker to its own emulator; it is set again before anything else is loaded. */
function redirectFirestore(target: string, firestore: string): void {
  const path = join(target, "package.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as { main: string };
  writeFileSync(join(target, "firestore.js"), `process.env.FIRESTORE_EMULATOR_HOST = ${JSON.stringify(firestore)};\n`);
  writeFileSync(join(target, "main.js"), `import "./firestore.js";\nexport * from "./${manifest.main}";\n`);
  writeFileSync(path, JSON.stringify({ ...manifest, main: "main.js" }));
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

const ESCAPES: Record<string, string> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
  "'": "\\'",
};

/** Lines as firebase-tools reads them; a value of several lines, such as a certificate, becomes one. */
function dotenv(values: Record<string, string>): string {
  const lines = Object.entries(values).map(
    ([name, value]) =>
      `${name}="${value.replace(/[\n\r\t\v\\"']/g, (character) => ESCAPES[character] ?? character)}"\n`,
  );
  return lines.join("");
}
