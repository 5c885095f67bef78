/** The food service of a run: the simulated one as a process that can be killed and started again, or somebody else's. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { GroundTruth } from "../services/food-service/model/food-service-model.js";
import { truthIn } from "../services/food-service/server.js";
import { StartError } from "../services/server.js";
import { type Child, startChild } from "./process/child-process.js";
import { answers } from "./process/free-ports.js";
import { quoteForShell } from "./process/shell.js";

/** How long it may take to listen, in milliseconds. */
const START_TIME = 60_000;

/** It stops within 5 s by itself. */
const GRACE = 8_000;

export interface SimulationOptions {
  /** Divides every duration; 1 is real time. */
  speed: number;
  /** Shares from 0 to 1. */
  rejected: number;
  cancelled: number;
  failures?: number;
  lostAnswers?: number;
  /** The most that is added to a call, in milliseconds. */
  delay?: number;
  seed?: string | undefined;
  honoursKeys?: boolean;
}

export interface FoodServerOptions {
  /** The top folder of the project. */
  root: string;
  /** A folder of this run's own, for the state. */
  directory: string;
  /** Where key and certificate are, or are made. */
  certificates: string;
  port: number;
  simulation: SimulationOptions;
  /** Is told when it ends without having been asked to. */
  onDeath(message: string): void;
  signal: AbortSignal;
}

export class FoodServer {
  readonly address: string;
  readonly certificatePath: string;
  private child: Child | undefined;
  private output: string[] = [];
  private readonly state: string;
  private readonly args: string[];

  private constructor(private readonly options: FoodServerOptions) {
    const { root, directory, certificates, port, simulation } = options;
    this.address = `localhost:${port}`;
    this.certificatePath = join(certificates, "localhost.crt");
    this.state = join(directory, "food-service.jsonl");
    const { seed, honoursKeys, failures = 0, lostAnswers = 0, delay = 0 } = simulation;
    this.args = [
      ...["--import", "tsx", join(root, "services/food-service/main.ts")],
      ...["--address", this.address, "--certificates", certificates, "--state", this.state],
      ...["--speed", String(simulation.speed)],
      ...["--rejected", String(simulation.rejected), "--cancelled", String(simulation.cancelled)],
      ...["--failures", String(failures), "--lost-answers", String(lostAnswers), "--delay", String(delay)],
      ...(seed === undefined ? [] : ["--seed", seed]),
      ...(honoursKeys ? ["--honours-keys"] : []),
    ];
  }

  /**
   * Starts the simulated food service and resolves when it answers.
   * @throws StartError with what it said, where it does not
   */
  static async start(options: FoodServerOptions): Promise<FoodServer> {
    const server = new FoodServer(options);
    await server.restart();
    return server;
  }

  /** In PEM form. */
  get certificate(): string {
    return readFileSync(this.certificatePath, "utf8");
  }

  private get command(): string {
    return ["node", ...this.args].map(quoteForShell).join(" ");
  }

  /** Starts it again with all that it knew, where it is not running. */
  async restart(): Promise<void> {
    if (this.child && this.child.ended === undefined) return;
    const { root, port, signal, onDeath } = this.options;
    this.output = [];
    const child = await startChild({
      command: process.execPath,
      args: this.args,
      cwd: root,
      env: process.env,
      onLine: (line) => {
        this.output = [...this.output.slice(-9), line];
      },
    });
    this.child = child;
    const deadline = Date.now() + START_TIME;
    // Its line says that it listens; a connection proves it.
    while (this.output.length === 0 || !(await answers(port, "localhost"))) {
      if (child.ended !== undefined || signal.aborted || Date.now() > deadline) {
        await child.stop("SIGKILL", 0);
        signal.throwIfAborted();
        throw new StartError(`The simulated food service did not start:\n${this.lastWords}`);
      }
      await sleep(50);
    }
    void child.exited.then((how) => {
      if (this.child !== child) return;
      onDeath(
        `The simulated food service ${how}:\n${this.lastWords}\nStart it again with all that it knew:\n  ${this.command}`,
      );
    });
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.end("SIGKILL", 0);
  }

  async stop(): Promise<void> {
    await this.end("SIGTERM", GRACE);
  }

  /** All that really happened so far. */
  truth(): GroundTruth {
    return truthIn(this.state);
  }

  private async end(signal: NodeJS.Signals, grace: number): Promise<void> {
    const child = this.child;
    this.child = undefined;
    await child?.stop(signal, grace);
  }

  private get lastWords(): string {
    return this.output.map((line) => `  ${line}`).join("\n");
  }
}
