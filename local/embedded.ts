/**
 * The system without Java or emulators: the same handlers in one process, with messages in memory and documents in the run's
 * storage. With a SQLite file for the documents, it is a deployment on one machine.
 */
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { GrpcCustomers } from "../functions/src/adapters/firebase/grpc-customers.js";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock, systemRandomness } from "../functions/src/adapters/firebase/system-clock.js";
import { withCheckedReplies } from "../functions/src/adapters/firebase/verified-replies.js";
import { InProcessPlatform } from "../functions/src/adapters/memory/platform.js";
import { configured, POLL_SCHEDULE, readSettings, SWEEP_SCHEDULE } from "../functions/src/config.js";
import { AdaptiveFlowControl, withFlowControl } from "../functions/src/flow-control.js";
import { RecentLinks } from "../functions/src/link-cache.js";
import type { Log, Store } from "../functions/src/ports.js";
import type { Settings } from "../functions/src/settings.js";
import type { Document } from "../harness/emulators/firestore-rest.js";
import { ConsoleServer } from "./console-server.js";
import { ObservedStore } from "./observed-store.js";
import type { Fire, ScheduledFunction } from "./scheduler.js";
import type { OpenStorage, Storage } from "./storage.js";

/** The maximum time that a handler needs to record the outcome of its last call, in milliseconds. */
const STOP_MARGIN_MS = 2_000;

const SCHEDULES = { pollOrders: POLL_SCHEDULE, sweep: SWEEP_SCHEDULE };

export interface Embedded {
  scheduled: ScheduledFunction[];
  fire: Fire;
  documents(collection: string): Promise<Document[]>;
  store: Store;
  /** Where the log is written. */
  log: string;
  /** Where the console is served, http://host:port. */
  console: string | undefined;
  stop(): Promise<void>;
}

/**
 * Starts the handlers with these params, and serves the console if it has an address.
 * @throws ValidationError that names each wrong param and what is allowed, StartError when the documents can't be opened
 */
export async function startEmbedded(
  directory: string,
  params: Record<string, string>,
  openStorage: OpenStorage,
  consoleAt?: { port: number; dist: string },
): Promise<Embedded> {
  const settings = settingsFrom(params);
  const log = join(directory, "functions.log");
  const stream = createWriteStream(log);
  const food = new GrpcFoodService(settings, systemClock);
  const customers = new GrpcCustomers(settings, systemClock);
  const flow = new AdaptiveFlowControl(systemClock, settings);
  const outside = {
    clock: systemClock,
    random: systemRandomness,
    food: withFlowControl(withCheckedReplies(food), flow),
    flow,
    links: new RecentLinks(systemClock, settings),
    customers,
    log: logTo((line) => stream.write(`${line}\n`)),
    settings,
  };
  let storage!: Storage;
  let store!: ObservedStore;
  const platform = new InProcessPlatform(outside, (deliver) => {
    storage = openStorage(deliver);
    store = new ObservedStore(storage.store);
    return store;
  });
  await storage.start();
  const scheduled = Object.entries(SCHEDULES).map(([name, schedule]) => {
    return { name, region: "here", schedule: String(configured(schedule)), timeZone: "UTC" };
  });
  const fire: Fire = async ({ name }) => {
    try {
      await platform.run(name as keyof typeof SCHEDULES);
      return { function: name, outcome: "ran" };
    } catch (error) {
      return { function: name, outcome: "failed", reason: (error as Error).message };
    }
  };
  const operatorConsole = consoleAt && (await ConsoleServer.start({ ...consoleAt, ports: platform.ports, store, log }));
  const stop = async () => {
    await operatorConsole?.stop();
    await platform.stop(settings.CALL_DEADLINE_SECONDS * 1000 + STOP_MARGIN_MS);
    food.close();
    customers.close();
    await storage.close();
    await new Promise((resolve) => stream.end(resolve));
  };
  return { scheduled, fire, documents: storage.documents, store, log, stop, console: operatorConsole?.address };
}

/** Params are read from the environment, as they are in the emulator. */
function settingsFrom(params: Record<string, string>): Settings {
  Object.assign(process.env, params, { FUNCTIONS_EMULATOR: "true" });
  return readSettings();
}

function logTo(write: (line: string) => void): Log {
  const line = (severity: string) => (message: string, fields: object) =>
    write(JSON.stringify({ severity, message, time: new Date().toISOString(), ...fields }));
  return { debug: line("DEBUG"), info: line("INFO"), warn: line("WARNING"), error: line("ERROR") };
}
