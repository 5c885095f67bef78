/**
 * Runs a TypeScript program of this project in this process: `node local/run.mjs cli/start.ts ARGUMENTS`. First it installs
 * what is missing, and builds the functions if they have changed. It needs only Node.js itself, which `local/run` finds.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { registerHooks } from "node:module";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { OLDEST_NODE } from "../harness/node/install-node.mjs";
import { bypassProxiesOnLoopback, endQuietlyOnBrokenPipe, explainUnsettledExit, stopWithNpm } from "./guards.mjs";
import { areProgramsBuilt, buildPrograms, builtPrograms } from "./programs.mjs";

/** A lock that its owner has not refreshed for this long is abandoned. */
const ABANDONED_MS = 15_000;

const root = resolve(fileURLToPath(new URL("..", import.meta.url)));
const functions = join(root, "functions");

/** Shows progress on stderr; stdout belongs to the program. */
const say = (line) => console.error(line);

/** An error for the user, shown without a stack. */
class Stop extends Error {}

function checkNode() {
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) return;
  throw new Stop(
    `This needs Node.js ${OLDEST_NODE} or newer; this is ${process.versions.node}. npm's scripts, such as \`npm start\`, and \`sh local/run\` find it.`,
  );
}

/** Runs a command and shows its output. A signal ends the command first, and then this process. */
async function run(command, args, failure) {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  let stopped = false;
  const stop = () => {
    child.kill(stopped ? "SIGKILL" : "SIGTERM");
    stopped = true;
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, stop);
  const status = await new Promise((fulfil, reject) => {
    child.once("error", (error) => reject(new Stop(`${command} can't be started: ${error.message}`)));
    child.once("close", (code, signal) => fulfil(code ?? signal));
  });
  for (const signal of signals) process.off(signal, stop);
  if (stopped) process.exit(130);
  if (status !== 0) throw new Stop(`${failure} (${command} ended with ${status}; its output is above).`);
}

/** Whether npm has installed exactly the packages of this folder's lock file; npm records what it installed. */
function isInstalled(folder) {
  try {
    const asked = packagesIn(join(folder, "package-lock.json"));
    const there = packagesIn(join(folder, "node_modules", ".package-lock.json"));
    return Object.entries(asked).every(
      ([path, { version, optional }]) => path === "" || (there[path] ? there[path].version === version : optional),
    );
  } catch {
    return false;
  }
}

function packagesIn(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

/** Installs each part that is not installed, including development packages whatever NODE_ENV is: the system needs them. */
async function install() {
  const missing = () => [root, functions].filter((folder) => !isInstalled(folder));
  await once(
    "installing",
    () => missing().length > 0,
    async () => {
      const started = Date.now();
      for (const folder of missing()) {
        say(`Installing what ${folder === root ? "the project" : "the functions"} need${folder === root ? "s" : ""}`);
        const args = ["ci", "--prefix", folder, "--include=dev", "--prefer-offline", "--no-audit", "--no-fund"];
        await run("npm", args, "Installing failed");
      }
      say(`Installed in ${Math.round((Date.now() - started) / 1000)} s`);
    },
  );
}

/** Whether these are all tests of the project. */
function needsEmulators(program, args) {
  return program === "test/run.ts" && !args.some((arg) => arg === "--unit" || arg.endsWith(".test.ts"));
}

/** Names missing programs before the install, which takes a minute or two. */
async function expectPrograms() {
  const hooks = registerHooks({
    resolve: (specifier, context, next) => next(sourceOf(specifier, context.parentURL), context),
  });
  const missing = await import("../harness/missing-programs.ts");
  hooks.deregister();
  await missing.expectPrograms().catch((error) => {
    throw error.name === "StartError" ? new Stop(error.message) : error;
  });
}

/** Node.js runs TypeScript but does not map the import x.js to x.ts. */
function sourceOf(specifier, importer) {
  return importer?.endsWith(".ts") && specifier.startsWith(".") ? specifier.replace(/\.js$/, ".ts") : specifier;
}

/** Builds the functions and the programs, unless their build is newer than all of their sources. */
async function build() {
  const script = join(functions, "build.mjs");
  await once(
    "building",
    () => !isBuilt() || !areProgramsBuilt(root),
    async () => {
      if (!isBuilt()) await run(process.execPath, [script], "The functions can't be built");
      if (!areProgramsBuilt(root)) {
        await buildPrograms(root).catch(() => {
          throw new Stop("The programs can't be built; the reasons are above.");
        });
      }
    },
  );
}

function isBuilt() {
  const built = changedAt(join(functions, "lib", "index.js"));
  const sources = readdirSync(join(functions, "src"), { recursive: true }).map((name) => join("src", name));
  return [...sources, "src", "build.mjs", "package.json", "package-lock.json"].every(
    (part) => changedAt(join(functions, part)) < built,
  );
}

/** When a file was changed last, in milliseconds since the epoch; 0 if it does not exist. */
function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Does the work if it is needed, or waits for another run that does it. */
async function once(doing, isNeeded, work) {
  if (!isNeeded()) return;
  const release = await lock(join(root, ".local", `${doing}.lock`), doing);
  try {
    if (isNeeded()) await work();
  } finally {
    release();
  }
}

/** Acquires a lock, a folder that only one run can create, and refreshes it. Removes an abandoned lock. */
async function lock(path, doing) {
  mkdirSync(dirname(path), { recursive: true });
  for (let waited = false; !makeFolder(path); waited = true) {
    const changed = changedAt(path);
    if (changed !== 0 && Date.now() - changed > ABANDONED_MS) rmSync(path, { recursive: true, force: true });
    else if (!waited) say(`Waiting for another run that is ${doing}`);
    await sleep(250);
  }
  const refreshing = setInterval(() => utimesSync(path, new Date(), new Date()), 1_000);
  const release = () => {
    clearInterval(refreshing);
    rmSync(path, { recursive: true, force: true });
    process.off("exit", release);
  };
  process.once("exit", release);
  return release;
}

/** Makes a folder. Returns false if it exists. */
function makeFolder(path) {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    return false;
  }
}

try {
  checkNode();
  explainUnsettledExit();
  endQuietlyOnBrokenPipe();
  stopWithNpm();
  bypassProxiesOnLoopback();
  const [program, ...args] = process.argv.slice(2);
  if (!program || !existsSync(program)) throw new Stop("Usage: node local/run.mjs PROGRAM.ts ARGUMENTS");
  if (!isInstalled(root) && needsEmulators(program, args)) await expectPrograms();
  await install();
  await build();

  // In this process, so signals reach the program and its status becomes ours.
  const path = resolve(program);
  process.argv = [process.argv[0], path, ...args];
  // The program's children use it too: see services/program-args.ts.
  process.env.BUILT_PROGRAMS = builtPrograms(root);
  const built = join(builtPrograms(root), program.replace(/\.ts$/, ".js"));
  if (!existsSync(built)) {
    const { register } = await import("tsx/esm/api");
    register();
  }
  await import(pathToFileURL(existsSync(built) ? built : path).href);
} catch (error) {
  if (!(error instanceof Stop)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
