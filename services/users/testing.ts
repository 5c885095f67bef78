/** What tests of the chain share: it runs in their process and its log is recorded. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@grpc/grpc-js";
import type { User } from "../../functions/src/generated/user/user.js";
import { Orchestrator1ServiceService } from "../../functions/src/generated/user/user.js";
import type { Log } from "../../functions/src/ports.js";
import { type Calling, call } from "../call.js";
import { type InProcess, startInProcess } from "./in-process.js";
import { lineLog } from "./log.js";
import type { Security } from "./security.js";
import { channelCredentials } from "./security.js";

export const ANY_PORT = "127.0.0.1:0";

/** One line of a server's log. */
export interface Line {
  server: string;
  message: string;
  trace?: string;
  code?: string;
  reason?: string;
}

/** Records the lines of several servers. */
export class RecordedLog {
  readonly lines: Line[] = [];

  of(server: string): Log {
    return lineLog(server, (text) => {
      for (const line of text.trim().split("\n")) this.lines.push(JSON.parse(line) as Line);
    });
  }

  calls(trace: string): string[] {
    return this.lines.filter((line) => line.trace === trace).map(({ server, code }) => `${server} ${code}`);
  }
}

/** For servers whose log no test reads. */
export const NO_LOG = lineLog("", () => {});

export interface RecordedChain extends InProcess {
  log: RecordedLog;
}

type Options = Parameters<typeof startInProcess> extends [unknown, ...infer Rest] ? Rest : never;

/** Starts the three servers in this process with a log that is recorded. */
export async function startRecorded(...options: Options): Promise<RecordedChain> {
  const log = new RecordedLog();
  return { ...(await startInProcess((server) => log.of(server), ...options)), log };
}

/** A plain gRPC client of the chain, independent of the servers' own code. */
export class PlainClient extends Client {
  constructor(address: string, security: Security = {}) {
    super(address, channelCredentials(address, security));
  }

  /** Asks orchestrator 1; rejects with gRPC's error. `started` gets the call, to cancel it. */
  ask(name: string, options: Calling = {}): Promise<User> {
    // This client sets no deadline of its own.
    return call(
      this,
      Orchestrator1ServiceService.getUserByName,
      { name },
      { deadline: Number.POSITIVE_INFINITY, ...options },
    );
  }
}

/** Waits until a condition holds, five minutes at most: the machine may be busy. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const started = Date.now(); !holds(); await sleep(10)) {
    if (Date.now() - started > 300_000) throw new Error(`timed out waiting until ${what}`);
  }
}
