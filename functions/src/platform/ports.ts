/** The ports as they are in the cloud and in the Emulator Suite: one of each an instance, made at first use. */
import * as logger from "firebase-functions/logger";
import { withCheckedReplies } from "../food-service.js";
import type { Log, Ports } from "../ports.js";
import type { Settings } from "../settings.js";
import { PubSubBus } from "./bus.js";
import { systemClock, systemRandomness } from "./clock.js";
import { GrpcCustomers } from "./customers.js";
import { GrpcFoodService } from "./food-service.js";
import { FirestoreStore, openFirestore } from "./store.js";

/** In the cloud, a line for every idle tick of every order would be most of the log, and of its bill. */
const isEmulated = () => process.env.FUNCTIONS_EMULATOR === "true";

const log: Log = {
  debug: (message, fields) => isEmulated() && logger.debug(message, fields),
  info: (message, fields) => logger.info(message, fields),
  warn: (message, fields) => logger.warn(message, fields),
  error: (message, fields) => logger.error(message, fields),
};

let ports: Ports | undefined;

/** The ports of this instance, made with these settings the first time. */
export function openPorts(settings: () => Settings): Ports {
  ports ??= make(settings());
  return ports;
}

function make(settings: Settings): Ports {
  return {
    clock: systemClock,
    random: systemRandomness,
    bus: new PubSubBus(),
    store: new FirestoreStore(openFirestore()),
    food: withCheckedReplies(new GrpcFoodService(settings, systemClock)),
    customers: new GrpcCustomers(settings, systemClock),
    log,
    settings,
  };
}
