/** The simulated food service: three gRPC services on one TLS address, with its own certificate and state file. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import {
  DroneServiceService,
  KitchenServiceService,
  OrderServiceService,
} from "../../functions/src/generated/food/v1/food.js";
import type { Clock } from "../../functions/src/ports.js";
import { listen, stop } from "../server.js";
import { type CallerChecks, callerInterceptors } from "./callers.js";
import { identityIn } from "./certificate.js";
import { underLoad, withFaults, withRateLimit } from "./faults.js";
import { handlersOf } from "./handlers.js";
import { Journal } from "./journal.js";
import { FoodServiceModel, type GroundTruth } from "./model/food-service-model.js";
import { seeded } from "./seeded.js";

const PROTO_FOLDER = fileURLToPath(new URL("../../proto", import.meta.url));
const PROTO = join(PROTO_FOLDER, "food/v1/food.proto");

export interface FoodServiceOptions {
  /** `host:port`; port 0 leaves the choice to the system. */
  address: string;
  /** The directory of the key and certificate, which are created if they do not exist. */
  certificates: string;
  /** The state file; without one, the state is lost when the process ends. */
  state?: string;
  /** Divides every duration; 1 is real time. */
  speed?: number;
  /** Shares are from 0 to 1. */
  rejected?: number;
  cancelled?: number;
  failures?: number;
  lostAnswers?: number;
  /** Methods, such as CreateKitchenOrder, that are always applied and then UNAVAILABLE. */
  loseAnswersOf?: string[];
  /** Methods, such as GetKitchenOrder, that are always UNAVAILABLE. */
  unavailable?: string[];
  /** Called with the method of each call except placing an order. */
  onCall?: (method: string) => void;
  /** The maximum random delay of a call, in milliseconds. */
  delay?: number;
  /** The minimum duration of each call, in milliseconds. */
  callTime?: number;
  /** The maximum of calls started per second; others wait. */
  callsPerSecond?: number;
  /** The maximum of calls accepted per second; others are rejected. */
  rateLimit?: number;
  /** The maximum of concurrent calls on a connection. */
  maxStreams?: number;
  /** The random seed; without one, each start uses a new one. */
  seed?: string;
  honoursKeys?: boolean;
  /** The credentials that every call must carry, if any. */
  callers?: CallerChecks;
  /** Certificates in PEM form: every caller must connect with a certificate that one of them signed. */
  clientCa?: string;
  clock?: Pick<Clock, "now">;
  /** Receives internal errors. */
  log?: (line: string) => void;
}

export interface RunningFoodService {
  /** As bound. */
  address: string;
  /** In PEM form, and the file that it is in. */
  certificate: string;
  certificatePath: string;
  model: FoodServiceModel;
  server: Server;
  /** Takes no new calls, waits for those in progress for 5 s at most, and closes the state file. */
  stop(): Promise<void>;
}

/**
 * Starts the food service with the state in its state file.
 * @throws StartError if the address is taken, or if the certificate or the state file can't be used
 */
export async function startFoodService(options: FoodServiceOptions): Promise<RunningFoodService> {
  const { address, certificates, state, seed = randomUUID(), clock = Date, log = console.error } = options;
  const { speed = 1, rejected = 0, cancelled = 0, honoursKeys: honoursIdempotencyKey = false } = options;
  const { failures = 0, lostAnswers = 0, delay = 0 } = options;
  const { unavailable = [], loseAnswersOf = [], onCall = () => {} } = options;
  const { callers = {}, clientCa } = options;
  const { callTime = 0, callsPerSecond = Number.POSITIVE_INFINITY, rateLimit = Number.POSITIVE_INFINITY } = options;
  const { maxStreams } = options;
  const identity = await identityIn(certificates);
  const journal = state === undefined ? undefined : Journal.open(state, "append");
  try {
    // A restarted server must not draw the same names again.
    const life = `${seed}:${journal?.size ?? 0}`;
    const model = new FoodServiceModel({
      clock,
      random: seeded(life),
      speed,
      rejected,
      cancelled,
      honoursIdempotencyKey,
      onEvent: (event) => journal?.append(event),
    });
    journal?.replay((event) => model.replay(event));

    const chance = seeded(`${life}:faults`);
    const loaded = underLoad({ callTime, callsPerSecond });
    const limited = withRateLimit(rateLimit);
    const faults = { failures, lostAnswers, delay, unavailable, loseAnswersOf };
    const carry = <T>(apply: () => Promise<T>, method: string) => {
      onCall(method);
      return limited(() => withFaults(faults, chance, method, () => loaded(apply)));
    };
    const handlers = handlersOf(model, carry, log);
    const server = new Server({
      "grpc.enable_channelz": 0,
      ...(maxStreams !== undefined && { "grpc.max_concurrent_streams": maxStreams }),
      interceptors: callerInterceptors(callers, () => clock.now()),
    });
    server.addService(OrderServiceService, handlers.orders);
    server.addService(KitchenServiceService, handlers.kitchen);
    server.addService(DroneServiceService, handlers.drones);
    new HealthImplementation({ "": "SERVING" }).addToServer(server);
    new ReflectionService(loadSync(PROTO, { includeDirs: [PROTO_FOLDER] })).addToServer(server);
    const pair = { private_key: identity.key, cert_chain: identity.certificate };
    const roots = clientCa === undefined ? null : Buffer.from(clientCa);
    const bound = await listen(server, address, ServerCredentials.createSsl(roots, [pair], roots !== null));
    return {
      address: bound,
      certificate: identity.certificate.toString(),
      certificatePath: identity.path,
      model,
      server,
      stop: async () => {
        await stop(server);
        journal?.close();
      },
    };
  } catch (error) {
    journal?.close();
    throw error;
  }
}

/**
 * The current ground truth according to a state file.
 * @throws StartError if it can't be read or a line of it is not an event
 */
export function truthIn(state: string): GroundTruth {
  const model = new FoodServiceModel({ clock: Date, random: seeded("") });
  const journal = Journal.open(state, "read");
  try {
    journal.replay((event) => model.replay(event));
  } finally {
    journal.close();
  }
  return model.truth();
}
