/** What runs the functions of a system: the Emulator Suite, or this process. */
import type { Store } from "../functions/src/ports.js";
import type { Document } from "../harness/emulators/firestore-rest.js";
import type { Ports } from "../harness/process/free-ports.js";
import type { DataDirectory } from "./data-directory.js";
import type { Scheduler } from "./scheduler.js";

interface Addresses {
  project: string;
  /** host:port */
  firestore: string;
  /** Where programs write what is to last; undefined when nothing does. It speaks gRPC only. */
  journal: string | undefined;
  pubsub: string;
  auth: string;
  /** http://host:port */
  functions: string;
  hosting: string;
}

export interface Runner {
  /** Where the Emulator Suite's parts are; undefined for a system that runs embedded. */
  suite: Addresses | undefined;
  /** The console of a system that runs embedded, http://host:port. */
  console: string | undefined;
  /** Every document of a collection. */
  documents(collection: string): Promise<Document[]>;
  /** Counts and reads documents. */
  store: Pick<Store, "count" | "read">;
  /** Not started yet: call `start`, or `tick` when it suits. */
  scheduler: Scheduler;
  /** The log of the functions and of what runs them. */
  log: string;
  /** Resolves with the reason when the system ends without being stopped. */
  failed: Promise<string>;
}

/** What a runner is started with. */
export interface RunnerOptions {
  /** The folder of this run. */
  directory: string;
  /** The folder in which its state lasts; undefined when it is forgotten. */
  data: DataDirectory | undefined;
  ports: Ports;
  /** Of the functions, by name. */
  params: Record<string, string>;
  secrets: Record<string, string>;
  /** Seconds between runs by scheduled function, instead of the function's own schedule. */
  intervals: Readonly<Record<string, number>> | undefined;
  /** Takes what must be stopped at the end. */
  parts: AsyncDisposableStack;
  /** Gives the start up when aborted. */
  signal: AbortSignal;
  onProgress(message: string): void;
  onTrouble(message: string): void;
}
