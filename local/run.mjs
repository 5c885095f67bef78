/**
 * Runs a TypeScript program of this folder in this process: `node local/run.mjs cli/start.ts ARGUMENTS`. In a fresh clone
 * it first installs what the program needs, and it builds the functions where they changed. Needs nothing but Node.js itself.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";

const OLDEST_NODE = [20, 19];

/** An install that shows no sign of life for so long is dead, in milliseconds. */
const DEAD_AFTER = 15_000;

const SIGNALS = ["SIGINT", "SIGTERM"];

const root = resolve(fileURLToPath(new URL("..", import.meta.url)));

/** Shows progress on stderr: stdout is the program's own. */
const say = (line) => console.error(line);

/** What a person at the terminal must know; shown without a stack. */
class Stop extends Error {}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  throw new Stop(
    `This needs Node.js ${OLDEST_NODE.join(".")} or newer; this is ${process.versions.node}. See https://nodejs.org.`,
  );
}

/** Runs npm in the project; where it fails, says what failed and shows the end of its output. */
function npm(args, failed) {
  const child = spawn("npm", args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const stop = () => {
    child.kill();
    process.exit(130);
  };
  for (const signal of SIGNALS) process.once(signal, stop);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  return new Promise((fulfil, reject) => {
    child.once("error", (error) => reject(new Stop(`npm can't be started: ${error.message}`)));
    child.once("close", (status) => {
      for (const signal of SIGNALS) process.off(signal, stop);
      if (status === 0) return fulfil();
      const end = output.trim().split("\n").slice(-20).join("\n");
      reject(new Stop(`${failed} (npm ended with status ${status}):\n${end}`));
    });
  });
}

/** Whether npm has installed in this folder exactly what its lock file asks for; npm keeps a list of what it installed. */
function isInstalled(folder) {
  try {
    const asked = packagesIn(join(folder, "package-lock.json"));
    const there = packagesIn(join(folder, "node_modules", ".package-lock.json"));
    const isThere = ([path, { version, optional }]) =>
      there[path] ? there[path].version === version : optional === true;
    return Object.entries(asked)
      .filter(([path]) => path !== "")
      .every(isThere);
  } catch {
    return false;
  }
}

function packagesIn(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

/** Installs what is in the lock file, unless it is there already. Whoever else installs at the moment is waited for. */
async function install(folder, title) {
  if (isInstalled(folder)) return;
  const release = await lock(join(root, ".local", `install-${title}.lock`), "installing");
  try {
    if (isInstalled(folder)) return;
    const started = Date.now();
    say(`Installing what the ${title} needs (npm ci, about a minute)`);
    await npm(["ci", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error"], "Installing failed");
    say(`Installed in ${Math.round((Date.now() - started) / 1000)} s`);
  } finally {
    release();
  }
}

/** Builds the functions, unless the build is newer than all that it is made of. */
async function build() {
  if (isBuilt()) return;
  const release = await lock(join(root, ".local", "build.lock"), "building");
  try {
    if (isBuilt()) return;
    await npm(["--prefix", join(root, "functions"), "run", "--silent", "build"], "The functions can't be built");
  } finally {
    release();
  }
}

function isBuilt() {
  const functions = join(root, "functions");
  const built = changedAt(join(functions, "lib", "index.js"));
  const sources = readdirSync(join(functions, "src"), { recursive: true }).map((name) => join(functions, "src", name));
  const parts = [
    ...sources,
    ...["src", "build.mjs", "package.json", "package-lock.json"].map((name) => join(functions, name)),
  ];
  return parts.every((part) => changedAt(part) < built);
}

/** When a file was changed last, in milliseconds since the epoch; 0 for one that is not there. */
function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Takes a lock, a folder that only one can make, and keeps it fresh. One that nobody keeps fresh is taken away. */
async function lock(path, doing) {
  mkdirSync(join(path, ".."), { recursive: true });
  for (let waited = false; ; waited = true) {
    try {
      mkdirSync(path);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      if (isDead(path)) rmSync(path, { recursive: true, force: true });
      else if (!waited) say(`Waiting for another run that is ${doing}`);
      await sleep(250);
    }
  }
  const fresh = setInterval(() => utimesSync(path, new Date(), new Date()), 1_000);
  const release = () => {
    clearInterval(fresh);
    rmSync(path, { recursive: true, force: true });
    process.off("exit", release);
  };
  process.once("exit", release);
  return release;
}

function isDead(path) {
  const changed = changedAt(path);
  return changed !== 0 && Date.now() - changed > DEAD_AFTER;
}

/** The shell that npm puts between itself and us passes no signal on: when it is gone, somebody ended npm. */
function endWithNpm() {
  const shell = process.ppid;
  const look = () => {
    if (process.ppid === shell) return;
    clearInterval(looking);
    process.kill(process.pid, "SIGTERM");
  };
  const looking = setInterval(look, 500);
  looking.unref();
}

try {
  if (process.env.npm_lifecycle_event) endWithNpm();
  checkNode();
  const [program, ...args] = process.argv.slice(2);
  if (!program || !existsSync(program)) throw new Stop("Usage: node local/run.mjs PROGRAM.ts ARGUMENTS");
  await install(root, "project");
  await install(join(root, "functions"), "functions");
  await build();

  // In this same process, so that signals reach the program and its status is ours.
  const path = resolve(program);
  process.argv = [process.argv[0], path, ...args];
  const { register } = await import("tsx/esm/api");
  register();
  await import(pathToFileURL(path).href);
} catch (error) {
  if (!(error instanceof Stop)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
