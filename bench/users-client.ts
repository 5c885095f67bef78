/** The calling side of the users' bench: makes a fixed number of concurrent calls until all are answered, and checks each answer. */
import type { Client } from "@grpc/grpc-js";
import pMap from "p-map";
import { MockUserDataServiceService, Orchestrator1ServiceService } from "../functions/src/generated/user/user.js";
import { call } from "../services/call.js";
import { connect } from "../services/users/downstream.js";
import type { Load, Side } from "./users.js";

const TIMEOUT_MS = 30_000;

const METHODS = {
  chain: Orchestrator1ServiceService.getUserByName,
  http2: Orchestrator1ServiceService.getUserByName,
  bare: Orchestrator1ServiceService.getUserByName,
  go: Orchestrator1ServiceService.getUserByName,
  direct: MockUserDataServiceService.getMockUserData,
};

const { side, address, load } = JSON.parse(process.argv[2] ?? "") as { side: Side; address: string; load: Load };
const client = connect("The bench's server", address).connection.startCall();
await callMany(client, load.warmUp, load.concurrency);
process.send?.("warm");
const started = performance.now();
await callMany(client, load.calls, load.concurrency);
const seconds = (performance.now() - started) / 1_000;
client.close();
process.send?.(load.calls / seconds);
process.disconnect?.();

async function callMany(client: Client, calls: number, concurrency: number): Promise<void> {
  await pMap(Array(calls).keys(), (number) => check(client, `customer-${number}`), { concurrency });
}

async function check(client: Client, name: string): Promise<void> {
  const user = await call(client, METHODS[side], { name }, { deadline: Date.now() + TIMEOUT_MS });
  if (user.name !== name || user.roll !== 10 * name.length) {
    throw new Error(`wrong answer for ${name}: ${JSON.stringify(user)}`);
  }
}
