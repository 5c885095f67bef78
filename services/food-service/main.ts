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
  .helpOption("--help", "show this help")
  .option("--address <host:port>", "the address to listen on", readAddress, "localhost:50051")
  .option("--speed <factor>", "how much faster than in reality the kitchen and drones are", readSpeed, 60)
  .option("--rejected <share>", "share of shipments that end REJECTED, from 0 to 1", readShare, 0)
  .option("--cancelled <share>", "share of orders that customers try to cancel, from 0 to 1", readShare, 0)
  .option("--failures <share>", "share of calls that fail before they are applied*, from 0 to 1", readShare, 0)
  .option("--lost-answers <share>", "share of calls that are applied and then fail*, from 0 to 1", readShare, 0)
  .option("--unavailable <methods...>", "methods that always fail*, such as GetKitchenOrder")
  .option(
    "--lose-answers-of <methods...>",
    "methods that are always applied and then fail*, such as CreateKitchenOrder",
  )
  .option("--delay <milliseconds>", "maximum random delay of a call*", readDelay, 0)
  .option("--call-time <milliseconds>", "minimum duration of a call*", readDelay, 0)
  .option("--calls-per-second <count>", "maximum of calls started per second; others wait*", readCount)
  .option("--rate-limit <count>", "maximum of calls accepted per second; others are rejected*", readCount)
  .option("--max-streams <count>", "maximum of concurrent calls on a connection", readCount)
  .option("--seed <text>", "random seed; without it, each start uses a new one")
  .option("--honours-keys", "honor the idempotency-key: answer a repeated create with the first one's result", false)
  .option("--state <file>", "the state file", ".local/food-service/state.jsonl")
  .option(
    "--certificates <directory>",
    "folder of the key and certificate, which the first start creates",
    ".local/food-service",
  )
  .option("--require-token-file <file>", "require the bearer token in this file")
  .option("--require-id-token <audience>", "require an unexpired ID token for this audience")
  .option("--client-ca <file>", "require a client certificate signed by one in this file")
  .option("--truth", "print the ground truth in the state file as JSON, and exit", false)
  .addHelpText("after", "\n* Does not apply to placing orders.")
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
  // An aborted call may still be waiting for its delay.
  process.exit();
}
