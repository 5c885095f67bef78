/**
 * Child processes of a run: each in a group of its own, so that it is ended with everything that it started, and all under
 * the eyes of a watchdog, so that they end with this process however that one ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { killGroup } from "./kill-process-group.js";

export interface Start {
  command: string;
  args: string[];
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Gets each line of its output. */
  onLine(line: string): void;
}

export interface Child {
  pid: number;
  /** How it ended; undefined while it runs. */
  readonly ended: Ended | undefined;
  /** Resolves when it has ended, for whatever reason. Never rejects. */
  exited: Promise<Ended>;
  /** Asks it to stop, waits, and ends its whole group. Resolves when it is gone. */
  stop(signal: NodeJS.Signals, graceMilliseconds: number): Promise<void>;
  /** Ends its whole group at once. */
  kill(): void;
}

/** Such as "ended with status 1" or "was ended by SIGKILL". */
type Ended = string;

/**
 * Starts a program.
 * @throws Error where there is no such program
 */
export async function startChild({ command, args, cwd, env, onLine }: Start): Promise<Child> {
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  // Rejects with the reason where the program can't be started.
  await once(child, "spawn");
  const pid = child.pid as number;
  const unwatch = watch(String(pid));
  const ending = endOf(child);
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine);

  let ended: Ended | undefined;
  const exited = ending.then(async (how) => {
    // What it left behind goes with it, and now: later the number may be another group's.
    killGroup(pid);
    ended = how;
    await unwatch();
    return how;
  });
  const kill = () => {
    if (ended === undefined) killGroup(pid);
  };
  return {
    pid,
    get ended() {
      return ended;
    },
    exited,
    kill,
    async stop(signal, graceMilliseconds) {
      if (ended === undefined) child.kill(signal);
      const timer = setTimeout(kill, graceMilliseconds);
      await exited;
      clearTimeout(timer);
    },
  };
}

async function endOf(child: ChildProcess): Promise<Ended> {
  const [status, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal ? `was ended by ${signal}` : `ended with status ${status}`;
}

let watchdog: { program: ChildProcess; watched: number } | undefined;

/**
 * Has the watchdog end this, a process group's number or a text in command lines, should this process end before the
 * function that comes back was called.
 */
export function watch(entry: string): () => Promise<void> {
  watchdog ??= { program: startWatchdog(), watched: 0 };
  const { program } = watchdog;
  watchdog.watched++;
  program.stdin?.write(`+ ${entry}\n`);
  return async () => {
    program.stdin?.write(`- ${entry}\n`);
    if (watchdog?.program !== program || --watchdog.watched > 0) return;
    watchdog = undefined;
    program.stdin?.end();
    if (program.exitCode === null && program.signalCode === null) await once(program, "exit");
  };
}

function startWatchdog(): ChildProcess {
  const program = spawn(process.execPath, ["--import", "tsx", join(import.meta.dirname, "watchdog.ts")], {
    cwd: join(import.meta.dirname, "../.."),
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // A watchdog that is gone must not take with it what it watches.
  program.on("error", () => undefined);
  program.stdin?.on("error", () => undefined);
  program.unref();
  return program;
}
