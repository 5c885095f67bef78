/** The Node.js that the cloud runs the functions on. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { installNode } from "../../harness/node/install-node.mjs";

/**
 * The path of a Node.js of this runtime, such as nodejs24: this process's own, or the one that the project brings.
 * @throws Error if neither is of this runtime
 */
export async function nodeOf(runtime: string): Promise<string> {
  const [, major = ""] = /^nodejs(\d+)$/.exec(runtime) ?? [];
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const node = installNode();
  const { stdout } = await promisify(execFile)(node, ["--version"]);
  if (stdout.startsWith(`v${major}.`)) return node;
  throw new Error(
    `The rehearsal has no Node.js ${major} for ${runtime}: run it with that version, or change harness/node/package.json.`,
  );
}
