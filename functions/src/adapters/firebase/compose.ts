/** The ports for the cloud and the Emulator Suite: one of each per instance, created at first use. */
import * as logger from "firebase-functions/logger";
import { AdaptiveFlowControl, withFlowControl } from "../../flow-control.js";
import { RecentLinks } from "../../link-cache.js";
import type { Log, Ports } from "../../ports.js";
import type { Settings } from "../../settings.js";
import { GrpcCustomers } from "./grpc-customers.js";
import { GrpcFoodService } from "./grpc-food-service.js";
import { GrpcStore } from "./grpc-store.js";
import { PubSubBus } from "./pubsub-bus.js";
import { systemClock, systemRandomness } from "./system-clock.js";
import { withCheckedReplies } from "./verified-replies.js";

/** In the cloud, one line per idle tick and order would be most of the log, and most of its cost. */
const isEmulated = () => process.env.FUNCTIONS_EMULATOR === "true";

const log: Log = {
  debug: (message, fields) => isEmulated() && logger.debug(message, fields),
  info: (message, fields) => logger.info(message, fields),
  warn: (message, fields) => logger.warn(message, fields),
  error: (message, fields) => logger.error(message, fields),
};

let ports: Ports | undefined;

/** The ports of this instance. The first call creates them with these settings. */
export function openPorts(settings: () => Settings): Ports {
  ports ??= make(settings());
  return ports;
}

function make(settings: Settings): Ports {
  const flow = new AdaptiveFlowControl(systemClock, settings);
  return {
    clock: systemClock,
    random: systemRandomness,
    bus: new PubSubBus(),
    store: new GrpcStore(),
    food: withFlowControl(withCheckedReplies(new GrpcFoodService(settings, systemClock)), flow),
    flow,
    links: new RecentLinks(systemClock, settings),
    customers: new GrpcCustomers(settings, systemClock),
    log,
    settings,
  };
}
