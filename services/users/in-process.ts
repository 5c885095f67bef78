/** The chain in one process, on ports of the system's choice, its log kept: for tests. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CallOptions, ClientUnaryCall, ServiceError } from "@grpc/grpc-js";
import { Client, Metadata } from "@grpc/grpc-js";
import type { User } from "../../functions/src/generated/user/user.js";
import { Orchestrator1ServiceService } from "../../functions/src/generated/user/user.js";
import type { Log } from "../../functions/src/ports.js";
import { startUserData } from "./data.js";
import { lineLog } from "./log.js";
import { startOrchestrator1 } from "./orchestrator1.js";
import { startOrchestrator2 } from "./orchestrator2.js";
import type { Security } from "./security.js";
import { channelCredentials } from "./security.js";
import type { Running, ServeOptions } from "./serve.js";

export const ANY_PORT = "127.0.0.1:0";

/** One line of a server's log. */
export interface Line {
  server: string;
  message: string;
  trace?: string;
  code?: string;
  reason?: string;
}

/** Keeps the lines of several servers. */
export class KeptLog {
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

export interface InProcess {
  data: Running;
  orchestrator2: Running;
  orchestrator1: Running;
  log: KeptLog;
  stop(): Promise<void>;
}

/** Starts the three servers; the data service may be another one than the real. */
export async function startInProcess(
  shared: { security?: Security; deadlineMilliseconds?: number; host?: string } = {},
  startData: (options: ServeOptions) => Promise<Running> = startUserData,
): Promise<InProcess> {
  const log = new KeptLog();
  const { host = "127.0.0.1", ...rest } = shared;
  const options = (server: string) => ({ ...rest, address: `${host}:0`, log: log.of(server) });
  const data = await startData(options("user data"));
  const orchestrator2 = await startOrchestrator2({ ...options("orchestrator 2"), data: data.address });
  const orchestrator1 = await startOrchestrator1({
    ...options("orchestrator 1"),
    orchestrator2: orchestrator2.address,
  });
  const stop = async () => {
    for (const server of [orchestrator1, orchestrator2, data]) await server.stop();
  };
  return { data, orchestrator2, orchestrator1, log, stop };
}

/** A plain gRPC client of the chain, as anyone would write one: it knows nothing of the servers' own ways. */
export class PlainClient extends Client {
  constructor(address: string, security: Security = {}) {
    super(address, channelCredentials(address, security));
  }

  /** Asks orchestrator 1; rejects with gRPC's error. `started` gets the call, to cancel it. */
  ask(
    name: string,
    {
      metadata = {},
      started,
      ...options
    }: CallOptions & { metadata?: object; started?: (call: ClientUnaryCall) => void } = {},
  ): Promise<User> {
    const { path, requestSerialize, responseDeserialize } = Orchestrator1ServiceService.getUserByName;
    const fields = new Metadata();
    for (const [key, value] of Object.entries(metadata)) fields.set(key, String(value));
    return new Promise((resolve, reject) => {
      const answered = (error: ServiceError | null, user?: User) => {
        if (user !== undefined) resolve(user);
        else reject(error);
      };
      const call = this.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { name },
        fields,
        options,
        answered,
      );
      started?.(call);
    });
  }
}

/** Waits for a condition, 15 s at most. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const started = Date.now(); !holds(); await sleep(10)) {
    if (Date.now() - started > 15_000) throw new Error(`waited in vain until ${what}`);
  }
}
