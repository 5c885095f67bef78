/** The minimum cost of carrying orders, as a peer: a process that makes the calls and stores nothing. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { usageOf } from "../../harness/process-usage.js";
import { TYPESCRIPT } from "../../services/program-args.js";
import { addressOf, type StartCarrier } from "../carrier.js";
import { BenchError } from "../measure.js";
import { forEachOrder } from "../orders.js";

const BARE = fileURLToPath(new URL("bare.ts", import.meta.url));

/** Carries orders with only the calls, in a separate process. */
export const startBare: StartCarrier = async (world, _name, food) => {
  const child = fork(BARE, {
    execArgv: TYPESCRIPT,
    env: { ...process.env, ...addressOf(food) },
    detached: true,
  });
  world.onEnd(() => child.kill("SIGKILL"));
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  const said = (order: string) => {
    const carried = Promise.withResolvers<void>();
    waiting.set(order, carried);
    return carried.promise;
  };
  child.on("message", ({ order, failure }: { order: string; failure?: string }) => {
    if (failure === undefined) waiting.get(order)?.resolve();
    else waiting.get(order)?.reject(new BenchError(`bare: ${failure}`));
    waiting.delete(order);
  });
  child.once("exit", () => {
    for (const { reject } of waiting.values()) reject(new BenchError("bare ended too early"));
  });
  await said("");
  return {
    own: ["client"],
    usage: () => ({ client: usageOf(child.pid ?? 0) }),
    carry: (orders) =>
      forEachOrder(orders, (order) => {
        const done = said(order);
        child.send(order);
        return done;
      }),
    stop: async () => {
      child.disconnect();
      await once(child, "exit");
    },
  };
};
