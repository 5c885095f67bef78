/**
 * Child processes of a run. Each has its own process group, so it ends with everything that it started. A watchdog ends them
 * with this process, even if this process is killed.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { answers } from "./free-ports.js";

/** How long the last lines of a program that has ended may take, in milliseconds. */
const LAST_LINES_MS = 5_000;

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
  /** Resolves when it has ended, for whatever reason, and its last line was read. Never rejects. */
  exited: Promise<Ended>;
  /** Sends the signal, waits this long, then kills its whole group. Resolves when it is gone. */
  stop(signal: NodeJS.Signals, graceMilliseconds: number): Promise<void>;
  /** Kills its whole group at once. */
  kill(): void;
}

/** Such as "ended with status 1" or "was ended by SIGKILL". */
type Ended = string;

/**
 * Starts a program.
 * @throws Error if there is no such program
 */
export async function startChild({ command, args, cwd, env, onLine }: Start): Promise<Child> {
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const exit = new Promise<Ended>((resolve) => {
    child.once("exit", (status, signal) => resolve(signal ? `was ended by ${signal}` : `ended with status ${status}`));
  });
  // Rejects with the reason if the program can't be started.
  await once(child, "spawn");
  const pid = child.pid as number;
  const unwatch = watch(String(pid));
  const read = [child.stdout, child.stderr].map((stream) => {
    const lines = createInterface({ input: stream }).on("line", onLine);
    return new Promise<void>((resolve) => lines.once("close", resolve));
  });

  let ended: Ended | undefined;
  const exited = exit.then(async (how) => {
    // What it left behind goes with it, and now: later the number may be another group's.
    killGroup(pid);
    ended = how;
    // The system may report the end before the last lines. What left the group may hold the output open.
    await Promise.race([Promise.all(read), sleep(LAST_LINES_MS, undefined, { ref: false })]);
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

export interface StartedServer<T> {
  child: Child;
  /** The server's announcement of its address, or the reason why there is none. Never rejects. */
  listening: Promise<T | string>;
}

/**
 * Starts a program that says in a line of its output where it listens.
 * @param parse gives what such a line says, undefined for any other line
 * @throws Error if there is no such program
 */
export async function startServer<T extends number | object>(
  start: Start,
  parse: (line: string) => T | undefined,
  timeoutMs: number,
): Promise<StartedServer<T>> {
  const { promise: said, resolve } = Promise.withResolvers<T>();
  const onLine = (line: string) => {
    start.onLine(line);
    const found = parse(line);
    if (found !== undefined) resolve(found);
  };
  const child = await startChild({ ...start, onLine });
  const late = sleep(timeoutMs, `does not listen after ${timeoutMs / 1000} s`, { ref: false });
  return { child, listening: Promise.race([said, child.exited, late]) };
}

/** The port in a line of this form; undefined if the line has another. */
export function portIn(line: string, form: RegExp): number | undefined {
  const [, digits] = form.exec(line) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** Resolves with whether something accepts connections on this port; false if the program ends first, or takes too long. */
export async function untilAnswers(
  child: Child,
  port: number,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
    if (child.ended !== undefined) return false;
    if (await answers(port)) return true;
    await sleep(100, undefined, signal && { signal });
  }
  return false;
}

/** Kills what is left of a process group; one without a process is no failure. */
function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // macOS answers EPERM for a group of nothing but zombies.
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

let watchdog: Watchdog | undefined;

/**
 * Watches a process group by its number, or processes by a text on their command lines: should this process end before the
 * returned function is called, they are killed. Calling it kills the marked processes, and resolves when that is done.
 */
export function watch(entry: string): () => Promise<void> {
  watchdog ??= new Watchdog();
  const watching = watchdog;
  watching.add(entry);
  return async () => {
    if (await watching.remove(entry)) watchdog = watchdog === watching ? undefined : watchdog;
  };
}

class Watchdog {
  private readonly program: ChildProcessByStdio<Writable, Readable, null>;
  private readonly gone: Promise<unknown>;
  private readonly removals = new Map<string, () => void>();
  private watched = 0;

  constructor() {
    this.program = spawn(process.execPath, [join(import.meta.dirname, "watchdog.mjs")], {
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    // A watchdog that is gone must neither take this process with it nor keep it waiting.
    this.gone = new Promise((resolve) => {
      this.program.once("error", resolve);
      this.program.once("exit", resolve);
    });
    this.program.stdin.on("error", () => undefined);
    createInterface({ input: this.program.stdout }).on("line", (line) => this.removals.get(line.slice(2))?.());
    this.holdOpen(false);
  }

  add(entry: string): void {
    this.watched++;
    this.program.stdin.write(`+ ${entry}\n`);
  }

  /** Resolves with whether this was the last entry: then the watchdog has ended. */
  async remove(entry: string): Promise<boolean> {
    const removed = new Promise<void>((resolve) => this.removals.set(entry, resolve));
    this.program.stdin.write(`- ${entry}\n`);
    // Without this, Node.js would end in the middle of the wait if nothing else is left to do.
    this.holdOpen(true);
    await Promise.race([removed, this.gone]);
    this.removals.delete(entry);
    const isLast = --this.watched === 0;
    if (isLast) {
      this.program.stdin.end();
      await this.gone;
    } else if (this.removals.size === 0) {
      this.holdOpen(false);
    }
    return isLast;
  }

  private holdOpen(hold: boolean): void {
    const how = hold ? "ref" : "unref";
    this.program[how]();
    for (const pipe of [this.program.stdin, this.program.stdout]) (pipe as unknown as Socket)[how]();
  }
}
