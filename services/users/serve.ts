/** What the three servers share: one service with health and reflection beside it, deadlines, and a log line a call. */
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import type {
  handleUnaryCall,
  Metadata,
  MethodDefinition,
  ServerUnaryCall,
  ServiceDefinition,
  sendUnaryData,
} from "@grpc/grpc-js";
import { Server, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation, protoPath as healthProto } from "grpc-health-check";
import { strictly } from "../../functions/src/adapters/firebase/strict-utf8.js";
import type { Log } from "../../functions/src/ports.js";
import { listen, stop } from "../server.js";
import { lineLog } from "./log.js";
import type { Security } from "./security.js";
import { serverCredentials } from "./security.js";

const USER_PROTO = fileURLToPath(new URL("../../proto/user/user.proto", import.meta.url));

/** The trace id's key in the metadata of every call. */
export const TRACE_ID = "x-trace-id";

/** How long a call may take whose caller set no deadline. */
export const DEFAULT_DEADLINE_MILLISECONDS = 5_000;

export interface ServeOptions {
  /** `host:port` to listen on; port 0 leaves the choice to the system. */
  address: string;
  security?: Security;
  /** For calls that come without a deadline. */
  deadlineMilliseconds?: number;
  log?: Log;
}

export interface Running {
  /** As bound. */
  address: string;
  server: Server;
  /** Takes no new calls and waits for those in progress, 5 s at most; resolves with whether all finished. */
  stop(): Promise<boolean>;
}

/** What an answer may need beside the request. */
export interface Context {
  trace: string;
  /** Milliseconds since the epoch; always set. */
  deadline: number;
}

type Answer<Request, Response> = (call: ServerUnaryCall<Request, Response>, context: Context) => Promise<Response>;

type Answers<Service> = {
  [Method in keyof Service]: Service[Method] extends MethodDefinition<infer Request, infer Response>
    ? Answer<Request, Response>
    : never;
};

/** The status that a call ends with if there is no answer. */
export class CallStatus extends Error {
  override readonly name = "CallStatus";

  constructor(
    readonly code: status,
    readonly details: string,
    readonly metadata?: Metadata,
  ) {
    super(details);
  }
}

/**
 * Starts a server with one service.
 * @throws StartError if it can't listen or its certificate can't be used
 */
export async function serve<Service extends ServiceDefinition>(
  title: string,
  service: { name: string; definition: Service },
  answers: Answers<Service>,
  options: ServeOptions,
): Promise<Running> {
  const log = options.log ?? lineLog(title);
  const server = new StoppableServer({ "grpc.enable_channelz": 0 });
  const handlers = Object.entries<Answer<unknown, unknown>>(answers).map(([method, answer]) => [
    method,
    unary(method, answer, options.deadlineMilliseconds ?? DEFAULT_DEADLINE_MILLISECONDS, log),
  ]);
  const definition = Object.entries(service.definition).map(([name, method]) => [name, withUtf8Check(method)]);
  server.addService(Object.fromEntries(definition), Object.fromEntries(handlers));
  server.addHealth(service.name);
  const described = loadSync([USER_PROTO, healthProto]);
  new ReflectionService(described, { services: [service.name, "grpc.health.v1.Health"] }).addToServer(server);
  const address = await listen(server, options.address, serverCredentials(options.address, options.security ?? {}));
  log.info("listening", { address });
  return { address, server, stop: () => stop(server) };
}

/** A server that reports itself unhealthy as soon as it stops, and does not wait for clients that watch its health. */
class StoppableServer extends Server {
  private readonly watches = new Set<{ end(): void }>();
  private stopping = () => {};

  addHealth(service: string): void {
    const health = new HealthImplementation({ "": "SERVING", [service]: "SERVING" });
    health.addToServer({
      addService: (definition, handlers) => {
        const { watch } = handlers;
        const watchUntilStop: typeof watch = (call: {
          end(): void;
          once(event: string, listener: () => void): void;
        }) => {
          this.watches.add(call);
          call.once("cancelled", () => this.watches.delete(call));
          Reflect.apply(watch as (call: unknown) => void, undefined, [call]);
        };
        this.addService(definition, { ...handlers, watch: watchUntilStop });
      },
    });
    this.stopping = () => {
      for (const name of ["", service]) health.setStatus(name, "NOT_SERVING");
      for (const watching of this.watches) watching.end();
    };
  }

  override tryShutdown(callback: (error?: Error) => void): void {
    this.stopping();
    super.tryShutdown(callback);
  }
}

/** The same method, but a request with text that is not UTF-8 is read as the status that refuses it. */
function withUtf8Check<Request, Response>(method: MethodDefinition<Request, Response>) {
  const read = strictly(method.requestDeserialize);
  const requestDeserialize = (bytes: Buffer) => {
    try {
      return read(bytes);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return new CallStatus(status.INVALID_ARGUMENT, "The request contains text that is not valid UTF-8");
    }
  };
  return { ...method, requestDeserialize };
}

/** The handler for an answer: gives it trace id and deadline, and logs how the call ended. */
function unary<Request, Response>(
  method: string,
  answer: Answer<Request, Response>,
  defaultDeadline: number,
  log: Log,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const progress = new Progress(method, call, callback, defaultDeadline, log);
    if (call.request instanceof CallStatus) return progress.fail(call.request);
    answer(call, progress).then(
      (response) => progress.succeed(response),
      (error: unknown) => progress.fail(error),
    );
  };
}

/** A call in progress. It ends once: with its answer, a failure, its deadline or because the caller gave up. */
class Progress<Request, Response> implements Context {
  readonly trace: string;
  readonly deadline: number;
  private readonly started = Date.now();
  private readonly timer: NodeJS.Timeout | undefined;
  private ended = false;

  constructor(
    private readonly method: string,
    call: ServerUnaryCall<Request, Response>,
    private readonly callback: sendUnaryData<Response>,
    defaultDeadline: number,
    private readonly log: Log,
  ) {
    this.trace = traceOf(call.metadata);
    const given = Number(call.getDeadline());
    this.deadline = given === Infinity ? this.started + defaultDeadline : given;
    if (given === Infinity) {
      this.timer = setTimeout(() => {
        this.fail(new CallStatus(status.DEADLINE_EXCEEDED, `No answer within ${defaultDeadline} ms`));
      }, defaultDeadline);
    }
    // The server itself answers a call whose given deadline has passed, and says so by this event too.
    call.once("cancelled", () => this.end(Date.now() < this.deadline ? status.CANCELLED : status.DEADLINE_EXCEEDED));
  }

  succeed(response: Response): void {
    if (this.end(status.OK)) this.callback(null, response);
  }

  fail(error: unknown): void {
    if (error instanceof CallStatus) {
      // A refusal quotes what the caller sent; that stays out of the log.
      const { code, details, metadata } = error;
      const ends = this.end(code, code === status.INVALID_ARGUMENT ? undefined : details);
      if (ends) this.callback({ code, details, ...(metadata && { metadata }) });
    } else if (this.end(status.INTERNAL, error instanceof Error ? error.stack : String(error))) {
      this.callback({ code: status.INTERNAL, details: "The server failed; its log says why" });
    }
  }

  /** Ends the call once and logs it. Returns whether this was the first end. */
  private end(code: status, reason?: string): boolean {
    if (this.ended) return false;
    this.ended = true;
    clearTimeout(this.timer);
    const { method, log, trace, started } = this;
    const fields = { trace, code: status[code], milliseconds: Date.now() - started, reason };
    if (code === status.INTERNAL) log.error(method, fields);
    else log.info(method, fields);
    return true;
  }
}

/** The caller's trace id: its own field, or else that of a W3C `traceparent`, or else a new one. */
function traceOf(metadata: Metadata): string {
  const [own] = metadata.get(TRACE_ID);
  if (typeof own === "string" && /^[\x21-\x7e]{1,128}$/.test(own)) return own;
  const [parent] = metadata.get("traceparent");
  const [, traceparentId] = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(String(parent)) ?? [];
  return traceparentId ?? randomUUID();
}
