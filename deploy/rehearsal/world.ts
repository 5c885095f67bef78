/** The world behind the functions of a rehearsal: emulators, the simulated food service and the users, at the hosts of the guide's example. */
import { writeFileSync } from "node:fs";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { connect as connectPlain } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { startEmulators } from "../../harness/emulators/standalone.js";
import { listenLocally } from "../../harness/listen.js";
import { ROOT } from "../../harness/root.js";
import { connectionTo } from "../../services/food-service/connection-options.js";
import { placeOrders } from "../../services/food-service/place-orders.js";
import { type RunningFoodService, startFoodService } from "../../services/food-service/server.js";
import { startInProcess } from "../../services/users/in-process.js";
import { lineLog } from "../../services/users/log.js";
import type { Pair } from "./google/certificate.js";
import type { Google } from "./google/stand-in.js";

/** The hosts of the deployment guide's example, whose servers are here. */
const FOOD_HOST = "food.example.com:443";
const USERS_HOST = "users.example.com:443";

/** How much faster than real the food service is. */
const SPEED = 200;

export class World {
  private constructor(
    readonly food: RunningFoodService,
    /** What every function gets, so that it finds this world. */
    readonly environment: Record<string, string>,
    /** As host:port. */
    readonly firestore: string,
    readonly pubsub: string,
    readonly events: Events,
    private readonly foodDoor: TlsServer,
    private readonly parts: AsyncDisposableStack,
  ) {}

  static async start(google: Google, directory: string): Promise<World> {
    const parts = new AsyncDisposableStack();
    try {
      const food = await startFoodService({
        address: "localhost:0",
        certificates: join(directory, "food-service"),
        speed: SPEED,
        rejected: 0,
        cancelled: 0,
        log: () => {},
      });
      parts.defer(async () => void (await food.stop()));
      const users = await startInProcess((server) => lineLog(server, () => {}));
      parts.defer(() => users.stop());
      const foodDoor = frontDoor(google, portOf(food.address), food.certificate);
      const usersDoor = frontDoor(google, portOf(users.orchestrator1.address));
      for (const door of [foodDoor, usersDoor]) parts.defer(async () => void door.close());
      const hosts = { [FOOD_HOST]: await listenLocally(foodDoor), [USERS_HOST]: await listenLocally(usersDoor) };

      const events = await Events.listen();
      parts.defer(async () => events.stop());
      const { firestore, pubsub, stop } = await startEmulators({
        directory,
        events: events.address,
        onLine: () => {},
        signal: new AbortController().signal,
      });
      parts.defer(stop);
      const ca = join(directory, "google.pem");
      writeFileSync(ca, google.certificate);
      const environment = {
        FIRESTORE_EMULATOR_HOST: firestore,
        PUBSUB_EMULATOR_HOST: pubsub,
        NODE_OPTIONS: `--require=${join(ROOT, "deploy/rehearsal/loopback.cjs")}`,
        NODE_EXTRA_CA_CERTS: ca,
        REHEARSAL_ROUTES: JSON.stringify({ https: google.httpsPort, http: google.httpPort, pass: [], hosts }),
      };
      return new World(food, environment, firestore, pubsub, events, foodDoor, parts);
    } catch (error) {
      await parts.disposeAsync();
      throw error;
    }
  }

  /** The food service shows this certificate from now on; connections to it end, as at a restart. */
  changeCertificate({ key, certificate }: Pair): void {
    this.foodDoor.setSecureContext({ key, cert: certificate });
    this.foodDoor.emit("cut");
  }

  async place(customer: string): Promise<string[]> {
    const order = { connection: connectionTo(this.food.address, this.food.certificate), customer, count: 1 };
    return Array.fromAsync(placeOrders(order));
  }

  stop(): Promise<void> {
    return this.parts.disposeAsync();
  }
}

const portOf = (address: string) => Number(address.split(":").at(-1));

/** Speaks TLS with the stand-in's certificate, which has the hosts' names, and passes the bytes on. */
function frontDoor(google: Google, port: number, ca?: string): TlsServer {
  const door = createTlsServer({ key: google.key, cert: google.certificate, ALPNProtocols: ["h2"] }, (socket) => {
    const inner = ca
      ? connectTls({ host: "localhost", port, ca, ALPNProtocols: ["h2"] })
      : connectPlain({ host: "127.0.0.1", port });
    inner.pipe(socket).pipe(inner);
    door.once("cut", () => socket.destroy());
    const ends = [socket, inner];
    for (const end of ends)
      for (const event of ["error", "close"]) end.on(event, () => ends.map((one) => one.destroy()));
  });
  // Each connection listens for the cut.
  return door.setMaxListeners(0);
}

/** Takes an event that was posted to a path; false makes it come again. */
type Take = (path: string, headers: IncomingHttpHeaders, body: string) => Promise<boolean>;

/** Where the emulators bring their events. */
class Events {
  take: Take = async () => false;
  address = "";
  private readonly server: Server = createServer((request, response) => void this.answer(request, response));

  static async listen(): Promise<Events> {
    const events = new Events();
    events.address = `127.0.0.1:${await listenLocally(events.server)}`;
    return events;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const path = request.url ?? "";
    const take = () => this.take(path, request.headers, body).catch(() => false);
    if (path.startsWith("/push/")) {
      response.writeHead((await take()) ? 204 : 503).end();
      return;
    }
    // Firestore's emulator is not to wait: on the platform, the event has left Firestore by now. Eventarc brings it again.
    response.end();
    for (let tries = 0; tries < 10 && !(await take()); tries++) await sleep(500);
  }
}
