/** The functions that benches start: the deployed ones, and those in baselines/, each built in a subfolder of the run's folder. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import type { FunctionName } from "../functions/src/adapters/firebase/function-options.js";
import { ROOT } from "../harness/root.js";
import type { InstanceStart } from "./world.js";

/** The folder of the built functions. */
export const DEPLOYED = join(ROOT, "functions");

const TAKES_REQUESTS: FunctionName[] = ["pollOrders", "sweep", "api"];

/** The options with which a deployed function is started. */
export function deployed(target: FunctionName, env: Record<string, string>): InstanceStart {
  return { build: DEPLOYED, target, takes: TAKES_REQUESTS.includes(target) ? "requests" : "events", env };
}

/** Builds one, unless it was built before, and returns its folder. */
export async function buildBaseline(directory: string, name: string): Promise<string> {
  const target = join(directory, "baselines", name);
  if (existsSync(target)) return target;
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
