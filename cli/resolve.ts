/** `npm run resolve`: applies an operator's decision about an order that needs one. */
import { Command, Option } from "commander";
import { FirestoreStore, openFirestore } from "../functions/src/adapters/firebase/firestore-store.js";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock, systemRandomness } from "../functions/src/adapters/firebase/system-clock.js";
import { withCheckedReplies } from "../functions/src/adapters/firebase/verified-replies.js";
import { resolveAttempt } from "../functions/src/attempts/resolve-attempt.js";
import { AlreadyLinkedError, ConflictError, toErrorInfo } from "../functions/src/domain/errors.js";
import { CREATING_STAGES, type CreatingStage } from "../functions/src/domain/order-lifecycle.js";
import type { Store } from "../functions/src/ports.js";
import { documentsIn, hasState, openDocuments } from "../local/data-directory.js";
import { readAddress } from "../services/cli-options.js";
import {
  addConnectionOptions,
  CONNECTION_OPTIONS,
  type ConnectionFlags,
  readConnection,
} from "../services/food-service/connection-options.js";
import { StartError } from "../services/server.js";

interface Options extends ConnectionFlags {
  order: string;
  stage: CreatingStage;
  link?: string;
  retry?: true;
  dismiss?: true;
  by: string;
  reason: string;
  project: string;
  firestore?: string;
  data?: string;
  server: string;
}

const program = new Command("npm run resolve --")
  .description("Resolves an order that needs an operator: link what was created, or retry the create.")
  .helpOption("--help", "show this help")
  .requiredOption("--order <name>", "the order, such as orders/1234")
  .addOption(new Option("--stage <stage>", "the attempt's stage").choices(CREATING_STAGES).makeOptionMandatory())
  .addOption(
    new Option("--link <name>", "the kitchen order or shipment that was created").conflicts(["retry", "dismiss"]),
  )
  .addOption(new Option("--retry", "nothing was created: the next poll retries the create").conflicts("dismiss"))
  .option("--dismiss", "close the attempt without further action")
  .requiredOption("--by <person>", "who decides")
  .requiredOption("--reason <text>", "why")
  .requiredOption("--project <id>", "the Firebase project", process.env.GCLOUD_PROJECT ?? "demo-diet-orchestrator")
  .option("--firestore <host:port>", "the Firestore emulator (default for demo- projects: 127.0.0.1:8080)")
  .option("--data <folder>", "the state folder of an embedded run, instead of Firestore; the run need not stop")
  .option("--server <host:port>", "the food service, to verify the name with", readAddress, "localhost:50051");
addConnectionOptions(program, "for demo- projects the simulated food service's, otherwise Node.js' own roots").parse();

const options = program.opts<Options>();
if (!options.link && !options.retry && !options.dismiss) program.error("error: pass --link NAME, --retry or --dismiss");

/** The message for the attempt's new state. */
const DONE = {
  LINKED: `Linked ${options.link} to ${options.order}.`,
  FAILED: `Queued: the next poll retries the ${options.stage} of ${options.order}.`,
  RESUMED: `${options.order} continues at the next poll.`,
  CLOSED: `Dismissed: the ${options.stage} attempt of ${options.order} is closed.`,
};

async function main(): Promise<number> {
  const { project, server, order, stage, link, dismiss, by, reason } = options;
  const isDemo = project.startsWith("demo-");
  process.env.GCLOUD_PROJECT = project;
  process.env.METADATA_SERVER_DETECTION = "none";
  const emulator = options.firestore ?? (isDemo ? "127.0.0.1:8080" : undefined);
  if (emulator) process.env.FIRESTORE_EMULATOR_HOST = emulator;
  const certificate = options.certificate ?? (isDemo ? ".local/food-service/localhost.crt" : undefined);
  const { store, close } = openStore();
  const connection = readConnection(server, { ...options, ...(certificate !== undefined && { certificate }) });
  const food = new GrpcFoodService(connection, systemClock, CONNECTION_OPTIONS);
  try {
    const ports = { store, food: withCheckedReplies(food), clock: systemClock, random: systemRandomness };
    const decision = { order, stage, by, reason, ...(link !== undefined && { link }), ...(dismiss && { dismiss }) };
    const result = await resolveAttempt(decision, ports);
    if (result.outcome === "advanced") {
      console.log(DONE[result.to]);
      return 0;
    }
    console.error(`Nothing was changed: ${result.reason}.`);
  } catch (error) {
    console.error(`Nothing was changed: ${whyNot(error)}`);
  } finally {
    food.close();
    await close();
  }
  return 1;
}

function whyNot(error: unknown): string {
  const { message } = toErrorInfo(error);
  if (error instanceof ConflictError) return "the order changed at the same time. Check it and try again.";
  return error instanceof AlreadyLinkedError ? `${message}.` : message;
}

function openStore(): { store: Store; close(): Promise<void> } {
  if (options.data !== undefined) {
    if (!hasState(options.data)) throw new StartError(`There is no state in ${options.data}.`);
    const store = openDocuments(documentsIn(options.data));
    return { store, close: async () => store.close() };
  }
  const firestore = openFirestore();
  return { store: new FirestoreStore(firestore), close: () => firestore.terminate() };
}

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof StartError)) throw error;
  console.error(error.message);
  return 1;
});
