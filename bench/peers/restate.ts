/** Restate as a peer: its server, and a service that runs the order's steps as a durable workflow. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startChild } from "../../harness/process/child-process.js";
import { answers, freePort } from "../../harness/process/free-ports.js";
import { usageOf } from "../../harness/process-usage.js";
import { addressOf, type StartCarrier } from "../carrier.js";
import { BenchError } from "../measure.js";
import { forEachOrder } from "../orders.js";
import { CONTAINER_HEAP } from "../world.js";
import { buildService, folderOf, postOrder } from "./peer.js";

/** How long its server may take to start, in milliseconds. */
const START_TIMEOUT_MS = 60_000;

type RestateMode = "bidirectional" | "request-response";

/**
 * Starts both in this mode and resolves when an order can be carried.
 * @throws BenchError if one does not start
 */
export const restateIn =
  (mode: RestateMode): StartCarrier =>
  async (world, name, food) => {
    const directory = join(world.directory, name);
    const [port, ingress, admin, node] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const program = await buildService("restate", directory);
    const usual = { PATH: process.env.PATH, HOME: process.env.HOME };
    const start = { cwd: directory, onLine: world.onLine };
    const service = await startChild({
      ...start,
      command: world.node,
      args: [...CONTAINER_HEAP, program],
      env: { ...usual, ...addressOf(food), PORT: String(port), MODE: mode },
    });
    world.onEnd(() => service.stop("SIGKILL", 0));
    const server = await startChild({
      ...start,
      command: process.execPath,
      args: [
        join(folderOf("restate"), "node_modules", ".bin", "restate-server"),
        "--base-dir",
        join(directory, "restate"),
      ],
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
    return {
      own: ["server", "service"],
      usage: () => ({ server: usageOf(server.pid), service: usageOf(service.pid) }),
      carry: (orders) => forEachOrder(orders, (order) => postOrder(ingress, "/orders/carry", order)),
      stop: async () => {
        await Promise.all([server.stop("SIGKILL", 0), service.stop("SIGKILL", 0)]);
      },
    };
  };

/** Registers the service with the server; false if either does not answer yet. */
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
