/** The program that places orders: `npm run order -- --customer krithik`. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { numberFrom, readAddress } from "../cli-options.js";
import { NotPlacedError, placeOrders } from "./place-orders.js";

const readCount = numberFrom(1, 100_000, { whole: true });

const options = new Command("order")
  .description("Places orders in a food service and prints their names.")
  .helpOption("--help", "show this")
  .requiredOption("--customer <id>", "who orders")
  .option("--count <number>", "how many orders", readCount, 1)
  .option("--server <host:port>", "the food service", readAddress, "localhost:50051")
  .option("--certificate <file>", "the food service's certificate", ".local/food-service/localhost.crt")
  .option("--json", "print the names as one JSON array", false)
  .parse()
  .opts<{ customer: string; count: number; server: string; certificate: string; json: boolean }>();

const names: string[] = [];
try {
  for await (const name of placeOrders({ ...options, certificate: readCertificate(options.certificate) })) {
    names.push(name);
    if (!options.json) console.log(name);
  }
} catch (error) {
  if (!(error instanceof NotPlacedError)) throw error;
  const placed = options.count > 1 ? ` (${names.length} of ${options.count} orders were placed)` : "";
  console.error(error.message + placed);
  process.exitCode = 1;
}
if (options.json) console.log(JSON.stringify(names));

function readCertificate(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const remedy = "start the food service, which makes one, or name yours with --certificate";
    throw new NotPlacedError(`The certificate ${file} can't be read: ${remedy}`, { cause });
  }
}
