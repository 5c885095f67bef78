/** DBOS as a peer: a service that runs the order's steps as a durable workflow, and the PostgreSQL that it saves them in. */
import { execFile, execFileSync } from "node:child_process";
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

import { type Child, startChild, untilAnswers } from "../../harness/process/child-process.js";
import { freePort } from "../../harness/process/free-ports.js";
import { usageOf, usageOfFamily } from "../../harness/process-usage.js";
import { addressOf, type StartCarrier } from "../carrier.js";
import { BenchError } from "../measure.js";
import { forEachOrder } from "../orders.js";
import { CONTAINER_HEAP } from "../world.js";
import { buildService, postOrder } from "./peer.js";

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 5_000;

/** Where Debian puts PostgreSQL's programs, in a folder for each version. */
const DEBIAN = "/usr/lib/postgresql";

/** Debian's package creates this user. PostgreSQL does not run as root. */
const USER = "postgres";

/**
 * The folder of PostgreSQL's programs.
 * @throws BenchError that says how to install them
 */
export function findPostgres(): string {
  const versions = readFolder(DEBIAN).sort((a, b) => Number(b) - Number(a));
  const folders = [
    ...versions.map((version) => join(DEBIAN, version, "bin")),
    ...(process.env.PATH ?? "").split(delimiter),
  ];
  const found = folders.find((folder) => ["initdb", "postgres"].every((name) => isProgram(join(folder, name))));
  if (found) return found;
  throw new BenchError(
    'DBOS needs PostgreSQL: install it, such as with "apt-get install -y postgresql", or leave the peers out with --no-peers.',
  );
}

/**
 * Starts both and resolves when an order can be carried.
 * @throws BenchError if one does not start
 */
export const startDbos: StartCarrier = async (world, name, food) => {
  const directory = join(world.directory, name);
  const programs = findPostgres();
  const [port, databasePort] = [await freePort(), await freePort()];
  const program = await buildService("dbos", directory);

  // Not in the run's folder: another user must reach it.
  const data = mkdtempSync(join(tmpdir(), "diet-orchestrator-postgres-"));
  world.onEnd(() => rmSync(data, { recursive: true, force: true }));
  const run = asOrdinaryUser(data);
  const initdb = run(join(programs, "initdb"), ["-D", data, "-U", USER, "--auth=trust", "--no-sync"]);
  await promisify(execFile)(initdb.command, initdb.args, { cwd: data });

  const listening = ["listen_addresses=127.0.0.1", `port=${databasePort}`, "unix_socket_directories="];
  const server = run(join(programs, "postgres"), ["-D", data, ...listening.flatMap((setting) => ["-c", setting])]);
  const usual = { PATH: process.env.PATH, HOME: process.env.HOME };
  const database = await startChild({ ...server, cwd: data, env: usual, onLine: world.onLine });
  // PostgreSQL's own fast stop; its processes are in groups of their own.
  const stopDatabase = () => database.stop("SIGINT", STOP_TIMEOUT_MS);
  world.onEnd(stopDatabase);
  const expectAnswer = async (name: string, child: Child, port: number) => {
    if (await untilAnswers(child, port, START_TIMEOUT_MS)) return;
    throw new BenchError(`${name} ${child.ended ?? "does not answer"}; bench.log says why`);
  };
  await expectAnswer("PostgreSQL", database, databasePort);

  const service = await startChild({
    command: world.node,
    args: [...CONTAINER_HEAP, program],
    cwd: directory,
    env: {
      ...usual,
      ...addressOf(food),
      PORT: String(port),
      DATABASE_URL: `postgresql://${USER}@127.0.0.1:${databasePort}/orders`,
    },
    onLine: world.onLine,
  });
  world.onEnd(() => service.stop("SIGKILL", 0));
  await expectAnswer("DBOS", service, port);

  return {
    own: ["database", "service"],
    // PostgreSQL's first process starts all others.
    usage: () => ({ database: usageOfFamily(database.pid), service: usageOf(service.pid) }),
    carry: (orders) => forEachOrder(orders, (order) => postOrder(port, "/carry", order)),
    stop: async () => {
      await service.stop("SIGKILL", 0);
      await stopDatabase();
    },
  };
};

/** Gives the folder to a user that PostgreSQL runs as, and returns how to start a program as that user. */
function asOrdinaryUser(folder: string): (command: string, args: string[]) => { command: string; args: string[] } {
  if (process.getuid?.() !== 0) return (command, args) => ({ command, args });
  const [uid, gid] = ["-u", "-g"].map((which) => Number(execFileSync("id", [which, USER], { encoding: "utf8" })));
  chownSync(folder, uid as number, gid as number);
  // setpriv becomes the program, so its process id is the program's.
  return (command, args) => ({
    command: "setpriv",
    args: [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", command, ...args],
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function readFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
