/** What peers need before they can be measured: their own packages, a built service, and a way to hand it an order. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { ROOT } from "../../harness/root.js";
import { BenchError } from "../measure.js";

/** Each peer has its own package in a folder of its name. Only the benches need them, so `npm ci` does not install them. */
type Packaged = "restate" | "dbos" | "plain";

export function folderOf(peer: Packaged): string {
  return join(ROOT, "bench", "peers", peer);
}

/** Installs the peer's packages if they are missing. */
export async function installPeer(peer: Packaged, say: (line: string) => void): Promise<void> {
  // npm writes this list last.
  if (existsSync(join(folderOf(peer), "node_modules", ".package-lock.json"))) return;
  say(`installing the packages of ${peer}`);
  await promisify(execFile)("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folderOf(peer) });
}

/** Bundles the peer's service with the steps that it carries out; its SDK is loaded as it comes. Returns the program's path. */
export async function buildService(peer: Packaged, directory: string): Promise<string> {
  const target = join(directory, "service");
  mkdirSync(target, { recursive: true });
  symlinkSync(join(folderOf(peer), "node_modules"), join(target, "node_modules"), "dir");
  writeFileSync(join(target, "package.json"), JSON.stringify({ type: "module" }));
  const program = join(target, "service.js");
  await build({
    entryPoints: [join(folderOf(peer), "service.mjs")],
    outfile: program,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    external: ["@restatedev/*", "@dbos-inc/*", "@grpc/proto-loader"],
    banner: { js: 'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);' },
    logLevel: "warning",
  });
  return program;
}

/** Hands an order to the service at this port and resolves when it was carried to its end. */
export async function postOrder(port: number, path: string, order: string): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify(order);
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", headers, body });
  await response.arrayBuffer();
  if (response.status !== 200) throw new BenchError(`The peer answered ${response.status} to ${path}`);
}
