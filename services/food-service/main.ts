/** The simulated food service as a program. */
import { Command } from "commander";
import { parseBearerToken, parseCertificates, pemOf } from "../../functions/src/credentials.js";
import { numberFrom, readAddress } from "../cli-options.js";
import { readCredential } from "../read-credential.js";
import { StartError, stopOnSignals } from "../server.js";
import { type FoodServiceOptions, startFoodService, truthIn } from "./server.js";

const readShare = numberFrom(0, 1);
const readSpeed = numberFrom(0.001, 1_000_000);
const readDelay = numberFrom(0, 600_000, { whole: true });
const readCount = numberFrom(1, 1_000_000, { whole: true });

const program = new Command("food-service")
  .description("A simulated food service: orders, a kitchen and drones on one TLS address.")
  .helpOption("--help", "show this")
  .option("--address <host:port>", "where it listens", readAddress, "localhost:50051")
  .option("--speed <factor>", "how much faster than real time kitchen and drones are", readSpeed, 60)
  .option("--rejected <share>", "share of shipments that end REJECTED, from 0 to 1", readShare, 0)
  .option("--cancelled <share>", "share of orders that their customers mean to cancel, from 0 to 1", readShare, 0)
  .option("--failures <share>", "share of calls that fail before they are applied*, from 0 to 1", readShare, 0)
  .option("--lost-answers <share>", "share of calls that are applied and then fail*, from 0 to 1", readShare, 0)
  .option("--unavailable <methods...>", "methods that always fail*, such as GetKitchenOrder")
  .option(
    "--lose-answers-of <methods...>",
    "methods that are always applied and then fail*, such as CreateKitchenOrder",
  )
  .option("--delay <milliseconds>", "the most that is added to a call*", readDelay, 0)
  .option("--call-time <milliseconds>", "how long each call takes at least*", readDelay, 0)
  .option("--calls-per-second <count>", "how many calls are begun in a second at most, others wait*", readCount)
  .option("--rate-limit <count>", "how many calls are taken in a second at most, others are rejected*", readCount)
  .option("--max-streams <count>", "how many calls a connection may have in progress", readCount)
  .option("--seed <text>", "decides every draw; without it each start draws anew")
  .option("--honours-keys", "answer a create whose idempotency-key was seen before with what the first one made", false)
  .option("--state <file>", "the state file", ".local/food-service/state.jsonl")
  .option("--certificates <directory>", "where key and certificate are, made at the first start", ".local/food-service")
  .option("--require-token-file <file>", "answer only calls that carry the bearer token in this file")
  .option("--require-id-token <audience>", "answer only calls that carry an ID token for this audience, unexpired")
  .option("--client-ca <file>", "connect only to callers with a certificate that one in this file signed")
  .option("--truth", "print what the state file says really happened, as JSON, and end", false)
  .addHelpText("after", "\n* Placing an order always works: these are for those who carry orders, not for customers.")
  .parse();

interface Options extends FoodServiceOptions {
  state: string;
  truth: boolean;
  requireTokenFile?: string;
  requireIdToken?: string;
  clientCa?: string;
}
const { truth, requireTokenFile, requireIdToken: audience, clientCa, ...options } = program.opts<Options>();

try {
  if (truth) console.log(JSON.stringify(truthIn(options.state)));
  else await serve();
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function serve(): Promise<void> {
  const token = requireTokenFile && readCredential("require token file", requireTokenFile, parseBearerToken);
  const ca = clientCa && pemOf(readCredential("client ca", clientCa, parseCertificates));
  const { address, certificatePath, server } = await startFoodService({
    ...options,
    callers: { ...(token && { token }), ...(audience && { audience }) },
    ...(ca && { clientCa: ca }),
  });
  const stopped = stopOnSignals(server, console.error);
  console.log(`food service ready on ${address}, certificate ${certificatePath}`);
  await stopped;
  // A call that was broken off may still wait out its delay.
  process.exit();
}
