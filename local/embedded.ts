/**
 * The system without Java or emulators: the same handlers in this one process, documents and messages in memory, the
 * food service and the user orchestrators as ever.
 */
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { GrpcCustomers } from "../functions/src/adapters/firebase/grpc-customers.js";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock, systemRandomness } from "../functions/src/adapters/firebase/system-clock.js";
import { withCheckedReplies } from "../functions/src/adapters/firebase/verified-replies.js";
import { MemoryPlatform } from "../functions/src/adapters/memory/platform.js";
import { configured, POLL_SCHEDULE, readSettings, SWEEP_SCHEDULE } from "../functions/src/config.js";
import type { Log } from "../functions/src/ports.js";
import type { Settings } from "../functions/src/settings.js";
import type { Document } from "../harness/emulators/firestore-rest.js";
import type { Fire, ScheduledFunction } from "./scheduler.js";

const SCHEDULES = { pollOrders: POLL_SCHEDULE, sweep: SWEEP_SCHEDULE };

export interface Embedded {
  scheduled: ScheduledFunction[];
  fire: Fire;
  documents(collection: string): Document[];
  /** Where the log is written. */
  log: string;
  stop(): Promise<void>;
}

/**
 * Starts the handlers with these params.
 * @throws ValidationError that names each wrong param and what is allowed
 */
export function startEmbedded(directory: string, params: Record<string, string>): Embedded {
  const settings = settingsFrom(params);
  const log = join(directory, "functions.log");
  const stream = createWriteStream(log);
  const food = new GrpcFoodService(settings, systemClock);
  const customers = new GrpcCustomers(settings, systemClock);
  const platform = new MemoryPlatform({
    clock: systemClock,
    random: systemRandomness,
    food: withCheckedReplies(food),
    customers,
    log: logTo((line) => stream.write(`${line}\n`)),
    settings,
  });
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
  const stop = async () => {
    platform.stop();
    food.close();
    customers.close();
    await new Promise((resolve) => stream.end(resolve));
  };
  const documents = (collection: string) => platform.store.all(collection);
  return { scheduled, fire, documents, log, stop };
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
