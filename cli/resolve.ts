/** `npm run resolve`: carries out what an operator decided about an order that waits. */
import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { FirestoreStore, openFirestore } from "../functions/src/adapters/firebase/firestore-store.js";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock, systemRandomness } from "../functions/src/adapters/firebase/system-clock.js";
import { withCheckedReplies } from "../functions/src/adapters/firebase/verified-replies.js";
import { resolveAttempt } from "../functions/src/attempts/resolve-attempt.js";
import { AlreadyLinkedError, ConflictError, toErrorInfo } from "../functions/src/domain/errors.js";
import { CREATING_STAGES, type CreatingStage } from "../functions/src/domain/order-lifecycle.js";

interface Options {
  order: string;
  stage: CreatingStage;
  link?: string;
  again?: true;
  by: string;
  reason: string;
  project: string;
  firestore?: string;
  server: string;
  certificate?: string;
}

const program = new Command("npm run resolve --")
  .description("Decides about an order that waits for an operator: link what was found, or try the create again.")
  .helpOption("--help", "show this")
  .requiredOption("--order <name>", "the order, such as orders/1234")
  .addOption(new Option("--stage <stage>", "the attempt's stage").choices(CREATING_STAGES).makeOptionMandatory())
  .addOption(new Option("--link <name>", "the kitchen order or shipment that was created").conflicts("again"))
  .option("--again", "nothing was created: the next poll tries again")
  .requiredOption("--by <person>", "who decides")
  .requiredOption("--reason <text>", "why")
  .requiredOption("--project <id>", "the Firebase project", process.env.GCLOUD_PROJECT ?? "demo-diet-orchestrator")
  .option("--firestore <host:port>", "the Firestore emulator (default for demo- projects: 127.0.0.1:8080)")
  .option("--server <host:port>", "the food service, which is asked whether it knows the name", "localhost:50051")
  .option("--certificate <file>", "its certificate (default: the simulated food service's for demo- projects)")
  .parse();

const options = program.opts<Options>();
if (!options.link && !options.again) program.error("error: say --link NAME or --again");

async function main(): Promise<number> {
  const { project, server, order, stage, link, by, reason } = options;
  const isDemo = project.startsWith("demo-");
  process.env.GCLOUD_PROJECT = project;
  process.env.METADATA_SERVER_DETECTION = "none";
  const emulator = options.firestore ?? (isDemo ? "127.0.0.1:8080" : undefined);
  if (emulator) process.env.FIRESTORE_EMULATOR_HOST = emulator;
  const file = options.certificate ?? (isDemo ? ".local/food-service/localhost.crt" : undefined);
  const firestore = openFirestore();
  const food = new GrpcFoodService(
    {
      FOOD_SERVICE_ADDRESS: server,
      FOOD_SERVICE_SECURITY: "tls",
      FOOD_SERVICE_CA: file ? readFileSync(file, "utf8") : "system",
      CALL_DEADLINE_SECONDS: 10,
    },
    systemClock,
  );
  try {
    const result = await resolveAttempt(
      { order, stage, by, reason, ...(link !== undefined && { link }) },
      {
        store: new FirestoreStore(firestore),
        food: withCheckedReplies(food),
        clock: systemClock,
        random: systemRandomness,
      },
    );
    if (result.outcome === "advanced") {
      console.log(link ? `Linked ${link} to ${order}.` : `The next poll tries the ${stage} of ${order} again.`);
      return 0;
    }
    console.error(`Nothing was changed: ${result.reason}.`);
  } catch (error) {
    const { message } = toErrorInfo(error);
    if (error instanceof ConflictError)
      console.error("Nothing was changed: the order has moved on meanwhile. Look again.");
    else if (error instanceof AlreadyLinkedError) console.error(`Nothing was changed: ${message}.`);
    else console.error(`Nothing was changed: ${message}`);
  } finally {
    food.close();
    await firestore.terminate();
  }
  return 1;
}

process.exitCode = await main();
