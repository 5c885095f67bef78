/** The program that places orders: `npm run order -- --customer krithik`. */
import { Command } from "commander";
import { numberFrom, readAddress } from "../cli-options.js";
import { StartError } from "../server.js";
import { addConnectionOptions, type ConnectionFlags, readConnection } from "./connection-options.js";
import { NotPlacedError, placeOrders } from "./place-orders.js";

const readCount = numberFrom(1, 100_000, { whole: true });

interface Options extends ConnectionFlags {
  customer: string;
  count: number;
  server: string;
  json: boolean;
}

/** The certificate that the simulated food service creates at its first start. */
const CERTIFICATE = ".local/food-service/localhost.crt";

const program = new Command("order")
  .description("Places orders in a food service and prints their names.")
  .helpOption("--help", "show this help")
  .requiredOption("--customer <id>", "the customer")
  .option("--count <number>", "how many orders", readCount, 1)
  .option("--server <host:port>", "the food service", readAddress, "localhost:50051")
  .option("--json", "print the names as one JSON array", false);
const options = addConnectionOptions(program, CERTIFICATE).parse().opts<Options>();

const names: string[] = [];
try {
  const connection = readConnection(options.server, { ...options, certificate: options.certificate ?? CERTIFICATE });
  for await (const name of placeOrders({ ...options, connection })) {
    names.push(name);
    if (!options.json) console.log(name);
  }
} catch (error) {
  if (!(error instanceof NotPlacedError || error instanceof StartError)) throw error;
  const placed = options.count > 1 ? ` (${names.length} of ${options.count} orders were placed)` : "";
  console.error(error.message + placed);
  process.exitCode = 1;
}
if (options.json) console.log(JSON.stringify(names));
