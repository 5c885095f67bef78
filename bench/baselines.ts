/** Builds the functions in baselines/, each in a folder of its own under the run's. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { ROOT } from "../harness/root.js";

/** The folder of the built functions. */
export const DEPLOYED = join(ROOT, "functions");

/** Builds one and returns its folder. */
export async function buildBaseline(directory: string, name: string): Promise<string> {
  const target = join(directory, "baselines", name);
  mkdirSync(target, { recursive: true });
  symlinkSync(join(DEPLOYED, "node_modules"), join(target, "node_modules"), "dir");
  writeFileSync(join(target, "package.json"), JSON.stringify({ type: "module", main: "index.js" }));
  await build({
    entryPoints: [join(ROOT, "bench", "baselines", `${name}.mjs`)],
    outfile: join(target, "index.js"),
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    // The SDKs as they come.
    external: ["firebase-functions", "firebase-admin", "@google-cloud/pubsub", "@grpc/grpc-js"],
    logLevel: "warning",
  });
  return target;
}
