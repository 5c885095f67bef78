/** Child processes of a run: each in a group of its own, so that it is ended with everything that it started. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

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
export type Ended = string;

/** What is ended without ceremony should this process exit before it could stop its children. */
const lastResorts = new Set<() => void>();

process.on("exit", () => {
  for (const end of lastResorts) end();
});

/** Has `end` called, at once and without waiting, if this process exits before the function that comes back was called. */
export function endAtExit(end: () => void): () => void {
  lastResorts.add(end);
  return () => lastResorts.delete(end);
}

/**
 * Starts a program.
 * @throws Error where there is no such program
 */
export async function startChild({ command, args, cwd, env, onLine }: Start): Promise<Child> {
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  // Rejects with the reason where the program can't be started.
  await once(child, "spawn");
  const ending = endOf(child);
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine);

  const pid = child.pid as number;
  let ended: Ended | undefined;
  const kill = () => {
    if (ended === undefined) killGroup(pid);
  };
  const forget = endAtExit(kill);
  const exited = ending.then((how) => {
    // What it left behind goes with it, and now: later the number may be another group's.
    killGroup(pid);
    ended = how;
    forget();
    return how;
  });
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

/** Ends what is left of a group; a group without a process is no failure. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Ends at once every process whose command line has one of these texts, with its group. */
export function killMarked(marks: string[]): void {
  for (const pid of pidsMarked(marks)) killGroup(pid);
}

/** The processes whose command line has one of these texts, apart from this one. */
function pidsMarked(marks: string[]): number[] {
  if (marks.length === 0) return [];
  const lines = execFileSync("ps", ["-A", "-ww", "-o", "pid=,args="], { encoding: "utf8", maxBuffer: 1 << 26 }).split(
    "\n",
  );
  return lines.flatMap((line) => {
    const [, pid, command = ""] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
    return marks.some((mark) => command.includes(mark)) && Number(pid) !== process.pid ? [Number(pid)] : [];
  });
}
