/** One instance of a built function under functions-framework, as Cloud Run runs it. Chaos and the benches share it. */
import { Agent, type OutgoingHttpHeaders, type RequestOptions, request } from "node:http";
import { join } from "node:path";
import pMap from "p-map";
import { StartError } from "../services/server.js";
import { type Child, portIn, startServer } from "./process/child-process.js";
import { type Usage, usageOf } from "./process-usage.js";
import { ROOT } from "./root.js";

/** Cloud Run's default of concurrent requests per instance. */
const CONCURRENCY = 80;

const FRAMEWORK = join(ROOT, "node_modules/@google-cloud/functions-framework/build/src/main.js");
const PRINT_PORT = join(ROOT, "harness/print-port.cjs");

const START_TIMEOUT_MS = 120_000;

/** A profile is written at an orderly stop, which may take this long. */
const PROFILE_TIMEOUT_MS = 5_000;

export interface InstanceOptions {
  /** The folder of the build. */
  build: string;
  /** The name under which the build exports the function. */
  target: string;
  /** Whether it takes events, or plain requests as a scheduled function does. */
  takes: "events" | "requests";
  env: Record<string, string>;
  /** If set, every request is a GET of this path, without a body. */
  path?: string;
  /** The Node.js that runs it; this process's own by default. */
  node?: string;
  /** Flags for Node.js, none by default. */
  nodeFlags?: readonly string[];
  /** A folder for a profile of its CPU time; no profile by default. */
  profiles?: string | undefined;
  /** Called with each line of its output. */
  onLine(line: string): void;
}

export class FunctionInstance {
  /** Resolves when it listens. Rejects with a StartError if it ends first. */
  readonly listening: Promise<void>;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  private port = 0;

  private constructor(
    private readonly options: InstanceOptions,
    readonly child: Child,
    listening: Promise<number | string>,
  ) {
    this.listening = this.waitFor(listening);
    // A caller that does not wait for the instance learns of its end from `child`.
    this.listening.catch(() => undefined);
  }

  /** Starts the process and resolves before it listens. */
  static async spawn(options: InstanceOptions): Promise<FunctionInstance> {
    const { build, target, takes, env, node = process.execPath, nodeFlags = [], profiles, onLine } = options;
    const profiling = profiles && ["--cpu-prof", "--cpu-prof-interval=200", `--cpu-prof-dir=${join(profiles, target)}`];
    const { child, listening } = await startServer(
      {
        command: node,
        args: [...nodeFlags, ...(profiling || []), "--require", PRINT_PORT, FRAMEWORK, `--source=${build}`],
        cwd: build,
        env: {
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          PORT: "0",
          FUNCTION_TARGET: target,
          FUNCTION_SIGNATURE_TYPE: takes === "events" ? "cloudevent" : "http",
          ...env,
        },
        onLine,
      },
      (line) => portIn(line, /^PORT (\d+)$/),
      START_TIMEOUT_MS,
    );
    return new FunctionInstance(options, child, listening);
  }

  /**
   * Starts one and resolves when it listens.
   * @throws StartError if it ends or hangs instead; nothing is left running then
   */
  static async start(options: InstanceOptions): Promise<FunctionInstance> {
    const instance = await FunctionInstance.spawn(options);
    try {
      await instance.listening;
      return instance;
    } catch (error) {
      await instance.stop();
      throw error;
    }
  }

  /** Where it listens, as http://host:port. */
  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /**
   * Sends one request and resolves with the status of its response.
   * @throws Error if the connection breaks
   */
  send(body: object): Promise<number> {
    const type = this.options.takes === "events" ? "application/cloudevents+json" : "application/json";
    return this.forward({ "Content-Type": type }, Buffer.from(JSON.stringify(body)));
  }

  /** Sends an event in binary form, with the headers that describe it. */
  forward(headers: OutgoingHttpHeaders, body: Buffer): Promise<number> {
    const { path } = this.options;
    return send({ agent: this.agent, host: "127.0.0.1", port: this.port, ...(path && { path }) }, headers, body);
  }

  /**
   * Sends one event and resolves with its duration in milliseconds.
   * @throws Error if the function does not succeed
   */
  async invoke(body: object): Promise<number> {
    const started = performance.now();
    const status = await this.send(body);
    if (status >= 300) throw new Error(`${this.options.target} answered ${status}; the log says why`);
    return performance.now() - started;
  }

  /** Sends all events, this many at a time, and resolves with the duration of each in milliseconds. */
  invokeAll(bodies: object[], concurrency = CONCURRENCY): Promise<number[]> {
    return pMap(bodies, (body) => this.invoke(body), { concurrency });
  }

  usage(): Usage {
    return usageOf(this.child.pid);
  }

  async stop(): Promise<void> {
    this.agent.destroy();
    await this.child.stop(this.options.profiles === undefined ? "SIGKILL" : "SIGTERM", PROFILE_TIMEOUT_MS);
  }

  private async waitFor(listening: Promise<number | string>): Promise<void> {
    const found = await listening;
    if (typeof found === "string") throw new StartError(`${this.options.target} ${found}; the log says why`);
    this.port = found;
  }
}

function send(to: RequestOptions, about: OutgoingHttpHeaders, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = to.path ? {} : { ...about, "Content-Length": body.length };
    const sent = request({ ...to, method: to.path ? "GET" : "POST", headers }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
      response.once("error", reject);
    });
    sent.once("error", (error: NodeJS.ErrnoException) => {
      // A server closes idle connections, perhaps at the moment at which one is reused.
      if (sent.reusedSocket && error.code === "ECONNRESET") resolve(send(to, about, body));
      else reject(error);
    });
    sent.end(to.path ? undefined : body);
  });
}

/** The environment of functions on the emulators, with the params that a run chooses. */
export function functionEnvironment(
  project: string,
  { firestore, pubsub }: { firestore: string; pubsub: string },
  food: { address: string; certificate: string },
  params: Record<string, string> = {},
): Record<string, string> {
  return {
    GCLOUD_PROJECT: project,
    FIREBASE_CONFIG: JSON.stringify({ projectId: project }),
    FIRESTORE_EMULATOR_HOST: firestore,
    PUBSUB_EMULATOR_HOST: pubsub,
    METADATA_SERVER_DETECTION: "none",
    FOOD_SERVICE_ADDRESS: food.address,
    FOOD_SERVICE_CA: food.certificate,
    // Plaintext is refused outside the Emulator Suite; nothing is called there unless a customer is looked up.
    USERS_SECURITY: "tls",
    ...params,
  };
}
