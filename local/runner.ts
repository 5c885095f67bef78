/** The interface of what runs a system's functions: the Emulator Suite, or this process. */
import type { Store } from "../functions/src/ports.js";
import type { Document } from "../harness/emulators/firestore-rest.js";
import type { Ports } from "../harness/process/free-ports.js";
import type { DataDirectory } from "./data-directory.js";
import type { Scheduler } from "./scheduler.js";

interface Addresses {
  project: string;
  /** host:port */
  firestore: string;
  /** The address for durable writes; undefined if there is none. It supports gRPC only. */
  journal: string | undefined;
  pubsub: string;
  auth: string;
  /** http://host:port */
  functions: string;
  hosting: string;
}

export interface Runner {
  /** The addresses of the Emulator Suite; undefined for an embedded run. */
  suite: Addresses | undefined;
  /** The console of an embedded run, http://host:port. */
  console: string | undefined;
  /** Every document of a collection. */
  documents(collection: string): Promise<Document[]>;
  /** Counts and reads documents. */
  store: Pick<Store, "count" | "read">;
  /** Not started yet: call `start`, or `tick` to fire manually. */
  scheduler: Scheduler;
  /** The log of the functions and of their runner. */
  log: string;
  /** Resolves with the reason when the system ends without being stopped. */
  failed: Promise<string>;
}

/** The options of a runner. */
export interface RunnerOptions {
  /** The folder of this run. */
  directory: string;
  /** The folder of its persistent state; undefined if it has none. */
  data: DataDirectory | undefined;
  ports: Ports;
  /** The functions' params, by name. */
  params: Record<string, string>;
  secrets: Record<string, string>;
  /** The interval of each scheduled function in seconds, instead of its own schedule. */
  intervals: Readonly<Record<string, number>> | undefined;
  /** Registers what must be stopped at the end. */
  parts: AsyncDisposableStack;
  /** Cancels the start when aborted. */
  signal: AbortSignal;
  onProgress(message: string): void;
  onTrouble(message: string): void;
}
