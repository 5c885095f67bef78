/** The ports that a local run listens on: which they are, whether they are free, and what to do where one is taken. */
import { createSocket, type Socket } from "node:dgram";
import { createConnection, createServer } from "node:net";
import { StartError } from "../../services/server.js";

/** Everything that listens. What has a flag is there for people; the rest is firebase-tools' own and takes what is free. */
const LISTENERS = {
  hosting: { title: "the operators' page", flag: "--hosting-port" },
  functions: { title: "the Functions emulator", flag: "--functions-port" },
  firestore: { title: "the Firestore emulator", flag: "--firestore-port" },
  pubsub: { title: "the Pub/Sub emulator", flag: "--pubsub-port" },
  auth: { title: "the Authentication emulator", flag: "--auth-port" },
  foodService: { title: "the simulated food service", flag: "--food-service-port" },
  hub: { title: "the Emulator Suite's hub", flag: undefined },
  logging: { title: "the Emulator Suite's logging", flag: undefined },
  eventarc: { title: "the Eventarc emulator", flag: undefined },
  tasks: { title: "the Cloud Tasks emulator", flag: undefined },
  firestoreWebsocket: { title: "the Firestore emulator's websocket", flag: undefined },
} as const satisfies Record<string, { title: string; flag: string | undefined }>;

type Listener = keyof typeof LISTENERS;
export type Ports = Record<Listener, number>;

/** Those that a person may choose a port for. */
export type NamedListener = {
  [L in Listener]: (typeof LISTENERS)[L]["flag"] extends string ? L : never;
}[Listener];

const ALL = Object.keys(LISTENERS) as Listener[];

/** The flag and the title of each listener that a person may choose a port for. */
export const PORT_FLAGS = ALL.flatMap((listener) => {
  const { title, flag } = LISTENERS[listener];
  return flag ? [{ listener: listener as NamedListener, title, flag }] : [];
});

/** Ports below those that systems lend to outgoing connections, which could take one between our look and its use. */
const LENT_FROM = 32_768;
const LOWEST = 10_000;

export interface PortChoice {
  /** The default ports: "auto" takes a free port for each listener, a number takes consecutive ports from there. */
  from: "auto" | number | Record<NamedListener, number>;
  /** Ports chosen for single listeners, which override the defaults. */
  chosen?: Partial<Record<NamedListener, number>>;
  /** Whether this run has such a listener; it has all by default. */
  isNeeded?(listener: Listener): boolean;
}

/**
 * A free port for each listener.
 * @throws StartError that names the listener whose port is taken, and the flag that chooses another
 */
export async function choosePorts({ from, chosen = {}, isNeeded = () => true }: PortChoice): Promise<Ports> {
  const block = typeof from === "number" ? blockAt(from) : await freeBlock();
  const ports: Ports = { ...block, ...(typeof from === "object" && from), ...chosen };
  const seen = new Map<number, Listener>();
  for (const listener of ALL.filter(isNeeded)) {
    const port = ports[listener];
    const other = seen.get(port);
    if (other) {
      const titles = `${LISTENERS[other].title} and for ${LISTENERS[listener].title}`;
      throw new StartError(`Port ${port} is chosen twice: for ${titles}.`);
    }
    seen.set(port, listener);
    if (!(await isFree(port))) throw new StartError(taken(port, listener));
  }
  return ports;
}

function taken(port: number, listener: Listener): string {
  const { title, flag } = LISTENERS[listener];
  const another = flag
    ? `choose another with ${flag}, or all with --ports-from auto`
    : "choose others with --ports-from auto";
  return `Port ${port}, for ${title}, is taken. Stop the program that uses it (perhaps another run), or ${another}.`;
}

/** A free port that is this process's own, for a program that can't report the one that the system chose for port 0. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (LENT_FROM - LOWEST));
    if (await reserve([port])) return port;
  }
}

/** A block of free ports that are this process's own. */
async function freeBlock(): Promise<Ports> {
  for (let tries = 0; tries < 100; tries++) {
    const ports = blockAt(LOWEST + Math.floor(Math.random() * (LENT_FROM - LOWEST - ALL.length)));
    if (await reserve(Object.values(ports))) return ports;
  }
  throw new StartError(
    `There are no ${ALL.length} free ports in a row between ${LOWEST} and ${LENT_FROM} on this machine.`,
  );
}

function blockAt(first: number): Ports {
  return Object.fromEntries(ALL.map((listener, index) => [listener, first + index])) as Ports;
}

/**
 * Whether these ports are free, and now this process's own: a program may take seconds to listen on its port, and no other process
 * chooses the port until then. Programs listen on TCP, so a UDP socket on the same port is the mark. It ends with this process.
 */
async function reserve(ports: number[]): Promise<boolean> {
  const marks = await Promise.all(ports.map(mark));
  const isOurs = marks.every(Boolean) && (await Promise.all(ports.map(isFree))).every(Boolean);
  if (!isOurs) for (const socket of marks) socket?.close();
  return isOurs;
}

/** Undefined if another process has marked this port. */
function mark(port: number): Promise<Socket | undefined> {
  const socket = createSocket("udp4");
  return new Promise((resolve) => {
    socket.once("error", () => {
      socket.close();
      resolve(undefined);
    });
    socket.bind({ address: "127.0.0.1", port, exclusive: true }, () => resolve(socket.unref()));
  });
}

/** Asks by connecting too: some systems let a second program listen on a single address of a port that is taken on all. */
async function isFree(port: number): Promise<boolean> {
  return (await canListen(port)) && !(await answers(port));
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ host: "127.0.0.1", port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

/** Whether something accepts connections on this port. */
export function answers(port: number, host = "127.0.0.1"): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
