/** The simulated food service as a process that is killed, paused and started again with all that it knew. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { identityIn } from "../services/food-service/certificate.js";
import type { GroundTruth } from "../services/food-service/model/food-service-model.js";
import { truthIn } from "../services/food-service/server.js";
import { StartError } from "../services/server.js";
import { type Child, startChild } from "./process/child-process.js";
import { answers } from "./process/free-ports.js";

/** How long it may take to listen, in milliseconds. */
const START_TIME = 60_000;

interface Options {
  /** The top folder of the project. */
  root: string;
  /** A folder of this run's own. */
  directory: string;
  port: number;
  /** What the program takes beside its address and its files. */
  args: string[];
  onLine(line: string): void;
}

export class FoodProcess {
  private child: Child | undefined;
  private readonly state: string;

  private constructor(
    private readonly options: Options,
    readonly key: string,
    /** In PEM form. */
    readonly certificate: string,
  ) {
    this.state = join(options.directory, "food-service.jsonl");
  }

  /**
   * Starts it and resolves when it answers.
   * @throws StartError
   */
  static async start(options: Options): Promise<FoodProcess> {
    const { path } = await identityIn(options.directory);
    const key = readFileSync(join(options.directory, "localhost.key"), "utf8");
    const food = new FoodProcess(options, key, readFileSync(path, "utf8"));
    await food.restart();
    return food;
  }

  get address(): string {
    return `localhost:${this.options.port}`;
  }

  /** Its process group; undefined where it does not run. */
  get group(): number | undefined {
    return this.child?.pid;
  }

  /** Starts it again on the same port. */
  async restart(): Promise<void> {
    const { root, directory, args, onLine } = this.options;
    const child = await startChild({
      command: process.execPath,
      args: [
        ...["--import", "tsx", join(root, "services/food-service/main.ts")],
        ...["--address", this.address, "--certificates", directory, "--state", this.state, ...args],
      ],
      cwd: root,
      env: process.env,
      onLine,
    });
    this.child = child;
    const deadline = Date.now() + START_TIME;
    while (!(await answers(this.options.port, "localhost"))) {
      // Killed while it started: whoever did so starts it again.
      if (this.child !== child) return;
      if (child.ended !== undefined || Date.now() > deadline) {
        throw new StartError(`The simulated food service did not start (${child.ended ?? "it does not listen"}).`);
      }
      await sleep(50);
    }
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    await child?.stop("SIGKILL", 0);
  }

  /** Lets it stand still for so many milliseconds. */
  async pause(milliseconds: number): Promise<void> {
    const { child } = this;
    if (!child || child.ended !== undefined) return;
    process.kill(child.pid, "SIGSTOP");
    await sleep(milliseconds);
    if (child.ended === undefined) process.kill(child.pid, "SIGCONT");
  }

  /** All that really happened so far. */
  truth(): GroundTruth {
    return truthIn(this.state);
  }
}
