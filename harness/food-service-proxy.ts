/**
 * Stands between each function process and the food service, with TLS on both sides, and writes down every call: what was
 * requested, and whether a response came back. From this a run knows which creates have an outcome that no one can know.
 * A connection ends here as it ends there: with a reset if the food service died.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createSecureServer,
  type Http2SecureServer,
  type Http2Stream,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import type { MethodDefinition } from "@grpc/grpc-js";
import {
  DroneServiceService,
  KitchenServiceService,
  OrderServiceService,
} from "../functions/src/generated/food/v1/food.js";
import { listenLocally } from "./listen.js";

/** One call as the proxy saw it; moments are in milliseconds since the epoch. */
export interface Call {
  process: number;
  /** Such as createShipment. */
  method: string;
  request: unknown;
  /** The idempotency key of a create. */
  key: string;
  at: number;
  /** The caller gives up after so many milliseconds. */
  timeoutMs: number;
  /** When the response was written to the caller's connection; undefined if there was none. */
  answeredAt: number | undefined;
  /** gRPC's status number, 0 for success. */
  status: number | undefined;
  response: unknown;
}

/** A connection that ended while it was in use. */
export interface Break {
  process: number;
  at: number;
}

/** Moments of a call at which a fault can be injected. */
export type Moment = "asked" | "carried out" | "answered";

/** A reply as the caller sees it. */
export interface Reply {
  /** gRPC's status number, 0 for success. */
  status: number;
  /** Undefined for an error. */
  response: unknown;
}

export interface ProxyOptions {
  /** Its key and certificate, in PEM form, serve both sides. */
  foodService: { port: number; key: string; certificate: string };
  /** Called at each moment of each call; the call waits for the result. */
  onMoment(call: Call, moment: Moment): Promise<void> | void;
  /** Called with the food service's reply; returns another one for the caller, or undefined to pass the reply on. */
  replaceReply?(call: Call, reply: Reply): Reply | undefined;
}

/** A flag for compression and the length of the message, before each message. */
const FRAME_HEADER_BYTES = 5;

const METHODS = new Map<string, { name: string; definition: MethodDefinition<unknown, unknown> }>(
  [OrderServiceService, KitchenServiceService, DroneServiceService].flatMap((service) =>
    Object.entries(service as unknown as Record<string, MethodDefinition<unknown, unknown>>).map(
      ([name, definition]) => [definition.path, { name, definition }] as const,
    ),
  ),
);

export class FoodServiceProxy {
  readonly calls: Call[] = [];
  readonly breaks: Break[] = [];
  private readonly doors = new Map<number, Door>();

  constructor(private readonly options: ProxyOptions) {}

  /** Opens a port for one process and resolves with it. */
  async open(process: number): Promise<number> {
    const door = new Door(process, this.options, this.calls, this.breaks);
    this.doors.set(process, door);
    return door.listen();
  }

  close(process: number): void {
    this.doors.get(process)?.close();
    this.doors.delete(process);
  }

  /** Resets every connection of a process; returns how many there were. */
  reset(process: number): number {
    return this.doors.get(process)?.reset() ?? 0;
  }

  closeAll(): void {
    for (const process of [...this.doors.keys()]) this.close(process);
  }
}

/**
 * What one process connects to: a port in front that can be cut, and behind it a server that reads what goes through.
 * Each connection has one of its own to the food service, and ends with it.
 */
class Door {
  private readonly front: Server;
  private readonly inside: Http2SecureServer;
  private insidePort = 0;
  /** The callers' connections, by the port that each comes in by. */
  private readonly callers = new Map<number, Socket>();
  private closed = false;
  private readonly sessions = new Map<ServerHttp2Session, ClientHttp2Session>();

  constructor(
    private readonly process: number,
    private readonly options: ProxyOptions,
    private readonly calls: Call[],
    private readonly breaks: Break[],
  ) {
    const { key, certificate } = options.foodService;
    this.inside = createSecureServer({ key, cert: certificate });
    this.inside.on("session", (session) => this.join(session));
    this.inside.on("stream", (stream, headers) => {
      stream.on("error", () => undefined);
      void this.carry(stream, headers).catch(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    });
    this.inside.on("sessionError", () => undefined);
    this.front = createServer((caller) => this.accept(caller));
  }

  async listen(): Promise<number> {
    this.insidePort = await listenLocally(this.inside);
    return listenLocally(this.front);
  }

  reset(): number {
    const open = [...this.callers.values()];
    for (const caller of open) this.cut(caller);
    return open.length;
  }

  /** The caller may see it, and be done, before its connection is closed on this side: it counts from now on. */
  private cut(caller: Socket): void {
    this.broke();
    caller.resetAndDestroy();
  }

  private broke(): void {
    this.breaks.push({ process: this.process, at: Date.now() });
  }

  close(): void {
    this.closed = true;
    this.front.close();
    this.inside.close();
    this.reset();
    for (const behind of this.sessions.values()) behind.destroy();
  }

  /** Accepts a connection only if the food service accepts one too. */
  private accept(caller: Socket): void {
    caller.on("error", () => undefined);
    const probe = connectTcp({ host: "localhost", port: this.options.foodService.port });
    probe.once("error", () => caller.resetAndDestroy());
    probe.once("connect", () => {
      probe.destroy();
      // Both may have ended while the food service took the connection.
      if (this.closed || caller.destroyed) return void caller.destroy();
      const inward = connectTcp({ host: "127.0.0.1", port: this.insidePort });
      inward.once("error", () => caller.destroy());
      inward.once("connect", () => {
        const port = inward.localPort ?? 0;
        this.callers.set(port, caller);
        caller.pipe(inward).pipe(caller);
        caller.once("close", () => {
          inward.destroy();
          this.callers.delete(port);
          this.broke();
        });
        if (caller.destroyed) inward.destroy();
      });
    });
  }

  private join(session: ServerHttp2Session): void {
    const caller = this.callers.get(session.socket.remotePort ?? 0);
    session.on("error", () => undefined);
    const { port, certificate } = this.options.foodService;
    const behind = connect(`https://localhost:${port}`, { ca: certificate });
    behind.on("error", () => undefined);
    behind.once("close", () => {
      if (caller && !caller.destroyed) this.cut(caller);
    });
    this.sessions.set(session, behind);
    session.once("close", () => {
      this.sessions.delete(session);
      behind.destroy();
    });
  }

  private async carry(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const behind = stream.session && this.sessions.get(stream.session as ServerHttp2Session);
    const method = METHODS.get(headers[":path"] ?? "");
    if (!behind || !method) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    const body = await bytesOf(stream);
    const call: Call = {
      process: this.process,
      method: method.name,
      request: method.definition.requestDeserialize(body.subarray(FRAME_HEADER_BYTES)),
      key: String(headers["idempotency-key"] ?? ""),
      at: Date.now(),
      timeoutMs: millisecondsIn(headers["grpc-timeout"]),
      answeredAt: undefined,
      status: undefined,
      response: undefined,
    };
    this.calls.push(call);
    await this.options.onMoment(call, "asked");

    const request = behind.request(headers);
    stream.once("close", () => request.close(constants.NGHTTP2_CANCEL));
    const received = await exchange(request, body);
    const status = received.trailers["grpc-status"] ?? received.answer["grpc-status"];
    if (status === undefined) return stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    const { responseDeserialize, responseSerialize } = method.definition;
    const isSuccess = Number(status) === 0;
    const response = isSuccess ? responseDeserialize(received.message.subarray(FRAME_HEADER_BYTES)) : undefined;
    const real: Reply = { status: Number(status), response };
    const replaced = this.options.replaceReply?.(call, real);
    const { answer, trailers, message } = replaced ? encoded(replaced, received, responseSerialize) : received;
    await this.options.onMoment(call, "carried out");

    if (stream.destroyed || stream.closed) return;
    if (message.length > 0) {
      stream.respond(answer, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers(trailers));
      stream.end(message);
    } else {
      stream.respond({ ...answer, ...trailers }, { endStream: true });
    }
    call.answeredAt = Date.now();
    Object.assign(call, replaced ?? real);
    await this.options.onMoment(call, "answered");
  }
}

/** What comes back for a call: the headers, the trailers and the body. */
interface Received {
  answer: IncomingHttpHeaders;
  trailers: IncomingHttpHeaders;
  message: Buffer;
}

/** Another reply, in the form of the one that it replaces. */
function encoded(
  { status, response }: Reply,
  { answer }: Received,
  serialize: (response: unknown) => Buffer,
): Received {
  const trailers = { "grpc-status": String(status) };
  if (status !== 0) return { answer, trailers, message: Buffer.alloc(0) };
  const content = serialize(response);
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32BE(content.length, 1);
  return { answer, trailers, message: Buffer.concat([header, content]) };
}

/** Sends the body and resolves with all that comes back. */
async function exchange(request: ClientHttp2Stream, body: Buffer): Promise<Received> {
  let answer: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  request.on("response", (received) => {
    answer = received;
  });
  request.on("trailers", (received) => {
    trailers = received;
  });
  request.end(body);
  const message = await bytesOf(request);
  return { answer, trailers, message };
}

/** All bytes until the end; rejects if the stream is aborted. */
function bytesOf(stream: Http2Stream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.once("end", () => resolve(Buffer.concat(chunks)));
    stream.once("error", reject);
    stream.once("close", () => reject(new Error("broken off")));
  });
}

const UNITS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** gRPC's timeout, such as 1500m, in milliseconds. */
function millisecondsIn(timeout: unknown): number {
  const [, number, unit = ""] = /^(\d+)([HMSmun])$/.exec(String(timeout)) ?? [];
  return number === undefined ? Number.POSITIVE_INFINITY : Number(number) * (UNITS[unit] ?? 1);
}
