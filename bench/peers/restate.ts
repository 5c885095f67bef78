/** Restate as a peer: its server, and a service that runs the order's steps as a durable workflow. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { build } from "esbuild";
import { startChild } from "../../harness/process/child-process.js";
import { answers, freePort } from "../../harness/process/free-ports.js";
import { ROOT } from "../../harness/root.js";
import { BenchError } from "../measure.js";
import type { World } from "../world.js";

const FOLDER = join(ROOT, "bench", "peers", "restate");

/** How long its server may take to start, in milliseconds. */
const START_TIMEOUT_MS = 60_000;

export type RestateMode = "bidirectional" | "request-response";

export interface Restate {
  /** The process groups of its server and of the service. */
  groups: { server: number; service: number };
  /** Carries one order and resolves at its end. */
  carry(order: string): Promise<void>;
  stop(): Promise<void>;
}

/** Installs Restate if it is missing. Only this bench needs it. */
export async function installRestate(say: (line: string) => void): Promise<void> {
  if (existsSync(join(FOLDER, "node_modules", "@restatedev", "restate-server"))) return;
  say("installing Restate");
  await promisify(execFile)("npm", ["ci", "--no-audit", "--no-fund"], { cwd: FOLDER });
}

/**
 * Starts both and resolves when an order can be carried.
 * @throws BenchError where one does not start
 */
export async function startRestate(
  world: World,
  directory: string,
  mode: RestateMode,
  env: Record<string, string>,
): Promise<Restate> {
  const [port, ingress, admin, node] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const source = await buildService(directory);
  const usual = { PATH: process.env.PATH, HOME: process.env.HOME };
  const start = { cwd: directory, onLine: world.onLine };
  const service = await startChild({
    ...start,
    command: world.node,
    args: [join(source, "service.js")],
    env: { ...usual, ...env, PORT: String(port), MODE: mode },
  });
  world.onEnd(() => service.stop("SIGKILL", 0));
  const server = await startChild({
    ...start,
    command: process.execPath,
    args: [join(FOLDER, "node_modules", ".bin", "restate-server"), "--base-dir", join(directory, "restate")],
    env: {
      ...usual,
      RESTATE_DISABLE_TELEMETRY: "true",
      RESTATE_LISTEN_MODE: "tcp",
      RESTATE_BIND_IP: "127.0.0.1",
      RESTATE_BIND_PORT: String(node),
      RESTATE_INGRESS__BIND_PORT: String(ingress),
      RESTATE_ADMIN__BIND_PORT: String(admin),
      DO_NOT_TRACK: "1",
    },
  });
  world.onEnd(() => server.stop("SIGKILL", 0));
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(port)) || !(await registered(admin, port, mode))) {
    const ended = service.ended ?? server.ended;
    if (ended !== undefined || Date.now() > deadline) throw new BenchError(`Restate ${ended ?? "does not answer"}`);
    await sleep(200);
  }
  const agent = new Agent({ keepAlive: true });
  return {
    groups: { server: server.pid, service: service.pid },
    carry: (order) => post(agent, ingress, order),
    stop: async () => {
      agent.destroy();
      await Promise.all([server.stop("SIGKILL", 0), service.stop("SIGKILL", 0)]);
    },
  };
}

async function buildService(directory: string): Promise<string> {
  const target = join(directory, "service");
  mkdirSync(target, { recursive: true });
  symlinkSync(join(FOLDER, "node_modules"), join(target, "node_modules"), "dir");
  writeFileSync(join(target, "package.json"), JSON.stringify({ type: "module" }));
  await build({
    entryPoints: [join(FOLDER, "service.mjs")],
    outfile: join(target, "service.js"),
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    external: ["@restatedev/*", "@grpc/proto-loader"],
    banner: { js: 'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);' },
    logLevel: "warning",
  });
  return target;
}

/** Tells the server where the service is; false where it does not answer yet. */
async function registered(admin: number, port: number, mode: RestateMode): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${admin}/deployments`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ uri: `http://127.0.0.1:${port}`, use_http_11: mode === "request-response" }),
    });
    return response.ok;
  } catch {
    return false;
  }
}

function post(agent: Agent, port: number, order: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/json" };
    const to = { agent, host: "127.0.0.1", port, path: "/orders/carry", method: "POST", headers };
    const sent = request(to, (response) => {
      response.resume();
      response.once("end", () => {
        if (response.statusCode === 200) resolve();
        else reject(new BenchError(`Restate answered ${response.statusCode}`));
      });
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(order));
  });
}
