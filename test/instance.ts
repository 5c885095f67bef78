/** A process with all deployed functions in it, which get their events without HTTP. */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export class Instance {
  /** The structured lines that it has logged. */
  readonly lines: Record<string, unknown>[] = [];
  private readonly waiting = new Map<number, (failure: string | undefined) => void>();
  private events = 0;

  private constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) throw new Error("the instance says nothing");
      createInterface({ input: stream }).on("line", (line) => {
        if (line.startsWith("{")) this.lines.push(JSON.parse(line) as Record<string, unknown>);
      });
    }
    child.on("exit", (status) => {
      for (const settle of this.waiting.values()) settle(`the instance ended with ${status}`);
    });
  }

  /**
   * Starts one and resolves when it takes events.
   * @param build the folder of a build, undefined for the sources as they are
   */
  static async start(env: Record<string, string>, build?: string): Promise<Instance> {
    const child = fork(fileURLToPath(new URL("deployed.ts", import.meta.url)), {
      execArgv: ["--import", "tsx"],
      silent: true,
      env: { ...process.env, ...env, ...(build && { DEPLOYED_BUILD: `${build}/lib/index.js` }) },
    });
    const instance = new Instance(child);
    await once(child, "message");
    child.on("message", ({ id, failure }: { id: number; failure?: string }) => instance.waiting.get(id)?.(failure));
    return instance;
  }

  /** Calls a function with an event; resolves with its error, after which the cloud would deliver the event again. */
  call(name: string, event: object): Promise<string | undefined> {
    const id = ++this.events;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.child.send({ id, name, event });
    });
  }

  async succeeds(name: string, event: object): Promise<void> {
    assert.equal(await this.call(name, event), undefined, name);
  }

  async stop(): Promise<void> {
    if (!this.child.connected) return;
    const ended = once(this.child, "exit");
    this.child.disconnect();
    await ended;
  }
}
