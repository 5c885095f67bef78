/** The simulated food service as a process that can be killed, paused and restarted with its state. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { identityIn } from "../services/food-service/certificate.js";
import type { GroundTruth } from "../services/food-service/model/food-service-model.js";
import { truthIn } from "../services/food-service/server.js";
import { programArgs } from "../services/program-args.js";
import { StartError } from "../services/server.js";
import { type Child, portIn, startServer } from "./process/child-process.js";
import { freePort } from "./process/free-ports.js";
import { quoteForShell } from "./process/shell.js";
import { ROOT } from "./root.js";

const START_TIMEOUT_MS = 300_000;

/** The timeout of its graceful stop, which takes up to 5 s. */
const STOP_TIMEOUT_MS = 8_000;

/** Another program may take the port before the food service listens. */
const MAX_STARTS = 5;

const LINES_IN_MESSAGE = 10;

export interface SimulationOptions {
  /** Divides every duration; 1 is real time. */
  speed: number;
  /** Shares from 0 to 1; 0 by default. */
  rejected?: number;
  cancelled?: number;
  failures?: number;
  lostAnswers?: number;
  /** The maximum delay of a call, in milliseconds; 0 by default. */
  delay?: number;
  seed?: string | undefined;
  honoursKeys?: boolean;
}

export interface FoodServiceOptions {
  /** A folder of this run's own, for the state. */
  directory: string;
  /** The folder of the key and certificate, which are created if missing; the same folder by default. */
  certificates?: string;
  /** A free one by default. */
  port?: number;
  simulation: SimulationOptions;
  /** Gets each line of its output. */
  onLine?(line: string): void;
  /** Called with a message when it exits unexpectedly. */
  onDeath?(message: string): void;
  signal?: AbortSignal;
}

export class FoodServiceProcess {
  private child: Child | undefined;
  private lines: string[] = [];
  /** 0 before its first start. */
  port = 0;
  private readonly state: string;

  private constructor(
    private readonly options: FoodServiceOptions & { certificates: string },
    readonly certificatePath: string,
    /** In PEM form. */
    readonly certificate: string,
    /** In PEM form. */
    readonly key: string,
  ) {
    this.state = join(options.directory, "food-service.jsonl");
  }

  /**
   * Starts it and resolves when it listens.
   * @throws StartError with the end of its output if it does not start
   */
  static async start({ certificates, ...options }: FoodServiceOptions): Promise<FoodServiceProcess> {
    const folder = certificates ?? options.directory;
    const { path } = await identityIn(folder);
    const key = readFileSync(join(folder, "localhost.key"), "utf8");
    const food = new FoodServiceProcess({ ...options, certificates: folder }, path, readFileSync(path, "utf8"), key);
    for (let starts = 1; ; starts++) {
      // Not port 0: while the process is down, the system could lend such a port to an outgoing connection.
      food.port = options.port ?? (await freePort());
      try {
        await food.restart();
        return food;
      } catch (error) {
        if (options.port !== undefined || starts === MAX_STARTS || !/ is taken|Can't listen on/.test(String(error)))
          throw error;
      }
    }
  }

  get address(): string {
    return `localhost:${this.port}`;
  }

  /** Its process group; undefined while it does not run. */
  get group(): number | undefined {
    return this.child?.pid;
  }

  /** Starts it again on the same port, with its state. Does nothing while it runs. */
  async restart(): Promise<void> {
    if (this.child && this.child.ended === undefined) return;
    this.lines = [];
    const onLine = (line: string) => {
      this.lines = [...this.lines.slice(1 - LINES_IN_MESSAGE), line];
      this.options.onLine?.(line);
    };
    const { child, listening } = await startServer(
      { command: process.execPath, args: this.args, cwd: ROOT, env: process.env, onLine },
      (line) => portIn(line, /^food service ready on \S+:(\d+),/),
      START_TIMEOUT_MS,
    );
    this.child = child;
    await this.untilListening(child, listening);
    void child.exited.then((how) => {
      if (this.child !== child) return;
      const again = `Start it again with its state:\n  ${this.command}`;
      this.options.onDeath?.(`The simulated food service ${how}:\n${this.lastLines}\n${again}`);
    });
  }

  /** Kills it, like a crash. */
  async kill(): Promise<void> {
    await this.end("SIGKILL", 0);
  }

  async stop(): Promise<void> {
    await this.end("SIGTERM", STOP_TIMEOUT_MS);
  }

  /** Suspends it for this many milliseconds. */
  async pause(milliseconds: number): Promise<void> {
    const { child } = this;
    if (!child || child.ended !== undefined) return;
    process.kill(child.pid, "SIGSTOP");
    await sleep(milliseconds);
    if (child.ended === undefined) process.kill(child.pid, "SIGCONT");
  }

  /** The ground truth so far. */
  truth(): GroundTruth {
    return truthIn(this.state);
  }

  private async untilListening(child: Child, listening: Promise<number | string>): Promise<void> {
    const { signal } = this.options;
    const aborted = new Promise<"aborted">((resolve) => {
      if (signal?.aborted) resolve("aborted");
      signal?.addEventListener("abort", () => resolve("aborted"));
    });
    const found = await Promise.race([listening, aborted]);
    if (typeof found === "number") {
      this.port = found;
      return;
    }
    // Killed while it started: the code that killed it starts it again.
    if (this.child !== child) return;
    await child.stop("SIGKILL", 0);
    signal?.throwIfAborted();
    throw new StartError(`The simulated food service did not start (${found}):\n${this.lastLines}`);
  }

  private async end(signal: NodeJS.Signals, timeout: number): Promise<void> {
    const { child } = this;
    this.child = undefined;
    await child?.stop(signal, timeout);
  }

  private get args(): string[] {
    const { certificates, simulation } = this.options;
    const { speed, rejected = 0, cancelled = 0, failures = 0, lostAnswers = 0, delay = 0 } = simulation;
    const { seed, honoursKeys } = simulation;
    return [
      ...programArgs("services/food-service/main.ts"),
      ...["--address", this.address, "--certificates", certificates, "--state", this.state],
      ...["--speed", String(speed), "--rejected", String(rejected), "--cancelled", String(cancelled)],
      ...["--failures", String(failures), "--lost-answers", String(lostAnswers), "--delay", String(delay)],
      ...(seed === undefined ? [] : ["--seed", seed]),
      ...(honoursKeys ? ["--honours-keys"] : []),
    ];
  }

  private get command(): string {
    return ["node", ...this.args].map(quoteForShell).join(" ");
  }

  private get lastLines(): string {
    return this.lines.map((line) => `  ${line}`).join("\n");
  }
}
