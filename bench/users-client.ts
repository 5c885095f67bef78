/** The calling side of the users' bench: keeps so many calls going until all are answered, and checks each answer. */
import { type Client, Metadata } from "@grpc/grpc-js";
import {
  MockUserDataServiceService,
  Orchestrator1ServiceService,
  type User,
} from "../functions/src/generated/user/user.js";
import { connect } from "../services/users/downstream.js";
import type { Load, Side } from "./users.js";

const DEADLINE_MILLISECONDS = 30_000;

const { side, address, load } = JSON.parse(process.argv[2] ?? "") as { side: Side; address: string; load: Load };
const client = connect("The bench's server", address).connection.startCall();
await callMany(client, load.warmUp, load.concurrency);
const started = performance.now();
await callMany(client, load.calls, load.concurrency);
const seconds = (performance.now() - started) / 1_000;
client.close();
process.send?.(load.calls / seconds);
process.disconnect?.();

async function callMany(client: Client, calls: number, concurrency: number): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < calls) await call(client, `customer-${next++}`);
  };
  await Promise.all(Array.from({ length: concurrency }, one));
}

function call(client: Client, name: string): Promise<void> {
  const method =
    side === "chain" ? Orchestrator1ServiceService.getUserByName : MockUserDataServiceService.getMockUserData;
  return new Promise((resolve, reject) => {
    const answered = (error: Error | null, user?: User) => {
      if (error !== null) reject(error);
      else if (user?.name === name && user.roll === 10 * name.length) resolve();
      else reject(new Error(`wrong answer for ${name}: ${JSON.stringify(user)}`));
    };
    const { path, requestSerialize, responseDeserialize } = method;
    const options = { deadline: Date.now() + DEADLINE_MILLISECONDS };
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { name }, new Metadata(), options, answered);
  });
}
