/**
 * `npm run emulators:prepare`: prepares a fresh clone for `firebase emulators:start`. The functions are installed and built
 * before this runs; it builds the console and writes the params and secrets that the suite would otherwise ask for.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { paramsFile } from "../deploy/params.js";
import { PROJECT } from "../harness/emulators/suite.js";
import { buildConsole } from "../operator-console/build.js";
import { identityIn } from "../services/food-service/certificate.js";

/** The certificate of `npm run food-service`. */
const CERTIFICATES = ".local/food-service";

new Command("npm run emulators:prepare")
  .description("Prepares a fresh clone for firebase emulators:start. Existing files stay unchanged.")
  .helpOption("--help", "show this help")
  .parse();

await buildConsole();
const { emulators } = JSON.parse(readFileSync("firebase.json", "utf8")) as {
  emulators: Record<"auth" | "firestore" | "hosting", { port: number }>;
};
// The console uses the emulators if this file exists.
const places = {
  auth: `http://127.0.0.1:${emulators.auth.port}`,
  firestore: { host: "127.0.0.1", port: emulators.firestore.port },
};
writeFileSync("operator-console/dist/emulators.json", JSON.stringify(places));

const { certificate } = await identityIn(CERTIFICATES);
const secret = `FOOD_SERVICE_CA="${certificate.toString().replaceAll("\n", "\\n")}"\n`;
for (const [file, content] of [
  ["functions/.env.local", paramsFile()],
  ["functions/.secret.local", secret],
] as const) {
  const isThere = existsSync(file);
  if (!isThere) writeFileSync(file, content, { mode: 0o600 });
  console.log(`${file}: ${isThere ? "exists and stays unchanged" : "written"}`);
}
console.log(`\nReady. Start the suite, and in a second terminal what it lacks:
  npx firebase emulators:start
  npm run food-service
  npm run scheduler

The console is on http://127.0.0.1:${emulators.hosting.port}; the project is ${PROJECT}.`);
