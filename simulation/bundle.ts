/** Bundles a program of the simulation, which then runs a third faster than file by file. */
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

/** The entry is the name of a file in this folder. */
export async function bundle(entry: string, outfile: string, plugins: Plugin[] = []): Promise<void> {
  const entryPoints = [fileURLToPath(new URL(entry, import.meta.url))];
  await build({ entryPoints, outfile, bundle: true, platform: "node", format: "esm", plugins, logLevel: "error" });
}
