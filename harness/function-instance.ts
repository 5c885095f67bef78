/** One instance of a function under functions-framework, as Cloud Run has one, and what it costs. */
import { Agent, type OutgoingHttpHeaders, type RequestOptions, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BenchError } from "../bench/measure.js";
import { type Usage, usageOf } from "../bench/processes.js";
import { freePort, type World } from "../bench/world.js";
import { ROOT } from "../local/system.js";
import { startChild } from "./process/child-process.js";

/** As many requests at once as Cloud Run gives an instance by default. */
const CONCURRENCY = 80;

const FRAMEWORK = join(ROOT, "node_modules/@google-cloud/functions-framework/build/src/main.js");

export interface InstanceOptions {
  /** The folder of the build. */
  source: string;
  /** The function. */
  target: string;
  /** Whether it takes events, or plain requests as a scheduled function does. */
  takes: "events" | "requests";
  env: Record<string, string>;
  /** What a request asks for: this is got, instead of a body being posted. */
  path?: string;
}

/** How long it may take to listen, in milliseconds. */
const START_TIME = 60_000;

/** An event or the body of a request. */
type Body = object;

export interface Instance {
  /** Brings one event and resolves with how long it took, in milliseconds. */
  bring(body: Body): Promise<number>;
  /** Brings all, so many at once, and resolves with how long each took. */
  bringAll(bodies: Body[], concurrency?: number): Promise<number[]>;
  /** Brings one event as it came, with the headers that tell of it. */
  forward(headers: OutgoingHttpHeaders, body: Buffer): Promise<void>;
  usage(): Usage;
  stop(): Promise<void>;
}

/**
 * Starts one and resolves when it listens.
 * @throws BenchError where it ends instead
 */
export async function startInstance(
  world: World,
  { source, target, takes, env, path }: InstanceOptions,
): Promise<Instance> {
  const port = await freePort();
  let listening = () => {};
  const listens = new Promise<undefined>((resolve) => {
    listening = () => resolve(undefined);
  });
  const profiling =
    world.profiles === undefined
      ? []
      : ["--cpu-prof", "--cpu-prof-interval=200", `--cpu-prof-dir=${join(world.profiles, target)}`];
  const child = await startChild({
    command: world.node,
    args: [...profiling, FRAMEWORK, `--source=${source}`],
    cwd: source,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      // So that the framework says when it listens.
      NODE_ENV: "development",
      PORT: String(port),
      FUNCTION_TARGET: target,
      FUNCTION_SIGNATURE_TYPE: takes === "events" ? "cloudevent" : "http",
      ...env,
    },
    onLine: (line) => {
      if (line.startsWith("URL:")) listening();
      world.onLine(`${target}: ${line}`);
    },
  });
  world.onEnd(() => child.stop("SIGKILL", 0));
  const late = sleep(START_TIME, "did not listen in time", { ref: false });
  const trouble = await Promise.race([listens, child.exited, late]);
  if (trouble !== undefined) throw new BenchError(`${target} ${trouble}; the log says why`);

  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const type = takes === "events" ? "application/cloudevents+json" : "application/json";
  const forward = async (headers: OutgoingHttpHeaders, body: Buffer) => {
    const status = await send({ agent, host: "127.0.0.1", port, path }, headers, body);
    if (status >= 300) throw new BenchError(`${target} answered ${status}; the log says why`);
  };
  const bring = async (body: Body) => {
    const started = performance.now();
    await forward({ "Content-Type": type }, Buffer.from(JSON.stringify(body)));
    return performance.now() - started;
  };
  return {
    forward,
    bring,
    bringAll: async (bodies, concurrency = CONCURRENCY) => {
      const waiting = bodies.values();
      const times: number[] = [];
      const one = async () => {
        for (const body of waiting) times.push(await bring(body));
      };
      await Promise.all(Array.from({ length: concurrency }, one));
      return times;
    },
    usage: () => usageOf(child.pid),
    stop: async () => {
      agent.destroy();
      // A profile is written at an orderly end.
      await child.stop(world.profiles === undefined ? "SIGKILL" : "SIGTERM", 5_000);
    },
  };
}

function send(to: RequestOptions, about: OutgoingHttpHeaders, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = to.path ? {} : { ...about, "Content-Length": body.length };
    const sent = request({ ...to, method: to.path ? "GET" : "POST", headers }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
    });
    sent.once("error", (error: NodeJS.ErrnoException) => {
      // A server ends connections that were idle for a while, perhaps at the moment at which one is used again.
      if (sent.reusedSocket && error.code === "ECONNRESET") resolve(send(to, about, body));
      else reject(error);
    });
    sent.end(to.path ? undefined : body);
  });
}
