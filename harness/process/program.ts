/** The project's own programs as processes, for tests that read what they say. */

import { setTimeout as sleep } from "node:timers/promises";
import { programArgs } from "../../services/program-args.js";
import { ROOT } from "../root.js";
import { type Child, startChild } from "./child-process.js";

/** How long a line may take. */
const TIMEOUT_MS = 480_000;

/** A program whose output can be waited for. */
export class Program {
  readonly lines: string[] = [];
  private constructor(readonly child: Child) {}

  static async start(file: string, args: string[], env: Record<string, string> = {}): Promise<Program> {
    const lines: string[] = [];
    const child = await startChild({
      command: process.execPath,
      args: [...programArgs(file), ...args],
      cwd: ROOT,
      env: { ...process.env, ...env },
      onLine: (line) => lines.push(line),
    });
    const program = new Program(child);
    Object.assign(program, { lines });
    return program;
  }

  /** The first match in its output. */
  async said(pattern: RegExp, timeoutMs = TIMEOUT_MS): Promise<RegExpExecArray> {
    for (const started = Date.now(); Date.now() - started < timeoutMs; await sleep(20)) {
      const hasEnded = this.child.ended !== undefined;
      if (hasEnded) await this.child.exited;
      const found = this.lines.map((line) => pattern.exec(line)).find((match) => match !== null);
      if (found) return found;
      if (hasEnded) break;
    }
    throw new Error(`no line ${pattern}, and it ${this.child.ended ?? "is running"}:\n${this.lines.join("\n")}`);
  }

  kill = () => this.child.stop("SIGKILL", 0);
  stop = () => this.child.stop("SIGTERM", 20_000);
}
