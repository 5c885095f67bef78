/** Runs the three servers, one process each: starts the data service first, restarts a server that exits, stops orchestrator 1 first. */
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../functions/src/ports.js";
import { programArgs } from "../program-args.js";
import { StartError } from "../server.js";

const MAIN = "services/users/main.ts";

/** Three servers share few cores, so garbage collection gets no helper threads, but more memory. */
export const FEW_CORES = ["--single-threaded-gc", "--min-semi-space-size=16"];

/** The time between the unexpected exit of a server and its restart. */
const RESTART_MILLISECONDS = 500;

export type Role = "data" | "orchestrator2" | "orchestrator1";

/** A listening server in its own process. */
export interface ServerProcess {
  address: string;
  pid: number;
  /** Resolves with how it ended: its exit code or the signal. */
  ended: Promise<number | string>;
  signal(name: NodeJS.Signals): void;
}

/**
 * Starts a server with these flags and waits until it listens. It stops when the program that started it is gone.
 * @param output the destination of its log and errors; `ignore` drops only the log
 * @throws StartError if it exits instead; it has reported the reason itself
 */
export async function startProcess(
  role: Role,
  flags: string[],
  output: "inherit" | "ignore" | number = "inherit",
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [...FEW_CORES, ...programArgs(MAIN), role, ...flags], {
    // In its own process group, so Ctrl-C reaches only the chain, which stops the servers in order.
    detached: true,
    stdio: ["ignore", output, "inherit", "ipc"],
  });
  const ended = new Promise<number | string>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "unknown"));
    child.once("error", (error) => resolve(error.message));
  });
  const listening = new Promise<string>((resolve) => child.once("message", (address) => resolve(String(address))));
  const address = await Promise.race([listening, ended.then(() => undefined)]);
  if (address === undefined || child.pid === undefined) throw new StartError(`${role} did not start`);
  return { address, pid: child.pid, ended, signal: (name) => child.kill(name) };
}

export interface ChainOptions {
  /** Where each server listens. */
  addresses: Record<Role, string>;
  /** Flags for every server, and for the data service alone. */
  flags: { all: string[]; data: string[] };
  log: Log;
  output?: "inherit" | "ignore" | number;
}

/** The chain while it runs. */
export interface Chain {
  addresses: Record<Role, string>;
  pid(role: Role): number;
  /** Stops gracefully, callers before callees, so no accepted call is lost. */
  stop(): Promise<void>;
}

/**
 * Starts the chain and supervises it: a server that exits unexpectedly is restarted at the same address.
 * @throws StartError if a server can't start; the others are then stopped
 */
export async function startChain({ addresses, flags, log, output }: ChainOptions): Promise<Chain> {
  const started: SupervisedServer[] = [];
  const stop = async () => {
    for (const server of started.toReversed()) await server.stop();
  };
  const startServer = async (role: Role, own: string[]) => {
    const server = new SupervisedServer(role, addresses[role], [...own, ...flags.all], log, output);
    started.push(server);
    await server.start();
    return server;
  };
  try {
    const data = await startServer("data", flags.data);
    const orchestrator2 = await startServer("orchestrator2", ["--data", data.address]);
    const orchestrator1 = await startServer("orchestrator1", ["--orchestrator2", orchestrator2.address]);
    const servers = { data, orchestrator2, orchestrator1 };
    return {
      addresses: { data: data.address, orchestrator2: orchestrator2.address, orchestrator1: orchestrator1.address },
      pid: (role) => servers[role].pid,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A server process that is restarted when it exits without a request to stop. */
class SupervisedServer {
  private process: ServerProcess | undefined;
  private readonly stopping = new AbortController();
  private supervision: Promise<void> = Promise.resolve();

  constructor(
    private readonly role: Role,
    public address: string,
    private readonly flags: string[],
    private readonly log: Log,
    private readonly output: "inherit" | "ignore" | number = "inherit",
  ) {}

  get pid(): number {
    if (this.process === undefined) throw new StartError(`${this.role} does not run`);
    return this.process.pid;
  }

  async start(): Promise<void> {
    this.process = await startProcess(this.role, ["--address", this.address, ...this.flags], this.output);
    this.address = this.process.address;
    this.supervision = this.supervise(this.process);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.process?.signal("SIGTERM");
    await this.supervision;
  }

  private async supervise(process: ServerProcess): Promise<void> {
    let current: ServerProcess | undefined = process;
    const { signal } = this.stopping;
    while (true) {
      const ended: number | string = current === undefined ? "did not start" : await current.ended;
      if (signal.aborted) return;
      this.log.warn("exited unexpectedly, restarting it", { role: this.role, ended });
      await sleep(RESTART_MILLISECONDS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      current = await startProcess(this.role, ["--address", this.address, ...this.flags], this.output).catch(
        () => undefined,
      );
      this.process = current;
      if (signal.aborted) current?.signal("SIGTERM");
    }
  }
}
