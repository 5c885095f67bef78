/** The command line of the user servers: one program each, the chain of all three, and the client. */
import { status } from "@grpc/grpc-js";
import { Command, InvalidArgumentError, Option } from "commander";
import { numberFrom } from "../cli-options.js";
import { StartError, stopOnSignals } from "../server.js";
import type { ChainOptions } from "./chain.js";
import { startChain } from "./chain.js";
import { askForUser } from "./client.js";
import { startUserData } from "./data.js";
import { lineLog } from "./log.js";
import { startOrchestrator1 } from "./orchestrator1.js";
import { startOrchestrator2 } from "./orchestrator2.js";
import type { Security } from "./security.js";
import type { Running, ServeOptions } from "./serve.js";
import { CallStatus, DEFAULT_DEADLINE_MILLISECONDS } from "./serve.js";

const ORCHESTRATOR1 = { env: "USERS_ORCHESTRATOR1_ADDRESS", address: "localhost:9000" };
const ORCHESTRATOR2 = { env: "USERS_ORCHESTRATOR2_ADDRESS", address: "localhost:9001" };
const DATA = { env: "USERS_DATA_ADDRESS", address: "localhost:10000" };

interface ServerFlags extends Security {
  address: string;
  deadline: number;
}

function addressOption(flag: string, what: string, { env, address }: typeof DATA): Option {
  return new Option(`--${flag} <host:port>`, what).env(env).default(address);
}

const delayOption = () =>
  new Option("--delay <milliseconds>", "the delay of each reply of the data service")
    .env("USERS_DELAY")
    .default(0)
    .argParser(numberFrom(0, 600_000));

const deadlineOption = (what: string) =>
  new Option("--deadline <seconds>", what)
    .env("USERS_DEADLINE")
    .default(DEFAULT_DEADLINE_MILLISECONDS / 1_000)
    .argParser(numberFrom(0.001, 3_600));

/** A command with the flags that every server has. */
function serverCommand(name: string, description: string): Command {
  return callerCommand(name, description)
    .addOption(deadlineOption("the deadline of calls without one"))
    .addOption(
      new Option("--tls-certificate <file>", "serve TLS with this PEM certificate").env("USERS_TLS_CERTIFICATE"),
    )
    .addOption(new Option("--tls-key <file>", "the certificate's key, PEM").env("USERS_TLS_KEY"));
}

/** A command with the flags of a caller. */
function callerCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option("--ca <file>", "call over TLS and trust this PEM file, or the word system").env("USERS_CA"))
    .addOption(
      new Option("--plaintext", "allow plaintext to and from other than loopback addresses").env("USERS_PLAINTEXT"),
    );
}

function traceId(text: string): string {
  if (/^[\x21-\x7e]{1,128}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be 1 to 128 printable ASCII characters without spaces.");
}

/** Starts the server and runs it until a signal stops it. */
async function run(
  title: string,
  flags: ServerFlags,
  start: (options: Required<ServeOptions>) => Promise<Running>,
): Promise<void> {
  const log = lineLog(title);
  const deadlineMilliseconds = flags.deadline * 1_000;
  const running = await start({ address: flags.address, security: flags, deadlineMilliseconds, log });
  const stopped = stopOnSignals(running.server, (line) => log.info(line, {}));
  // Started by the chain: tell it the address, and stop when it is gone.
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.send?.(running.address);
  await stopped;
  process.exit();
}

const data = serverCommand("data", "The user data service.")
  .addOption(addressOption("address", "the address to listen on", DATA))
  .addOption(delayOption())
  .action(async (flags: ServerFlags & { delay: number }) => {
    await run("user data", flags, (options) => startUserData({ ...options, delayMilliseconds: flags.delay }));
  });

const orchestrator2 = serverCommand("orchestrator2", "Orchestrator 2: asks the user data service.")
  .addOption(addressOption("address", "the address to listen on", ORCHESTRATOR2))
  .addOption(addressOption("data", "where the user data service listens", DATA))
  .action(async (flags: ServerFlags & { data: string }) => {
    await run("orchestrator 2", flags, (options) => startOrchestrator2({ ...options, data: flags.data }));
  });

const orchestrator1 = serverCommand("orchestrator1", "Orchestrator 1: where clients ask; forwards to orchestrator 2.")
  .addOption(addressOption("address", "the address to listen on", ORCHESTRATOR1))
  .addOption(addressOption("orchestrator2", "where orchestrator 2 listens", ORCHESTRATOR2))
  .action(async (flags: ServerFlags & { orchestrator2: string }) => {
    await run("orchestrator 1", flags, (options) =>
      startOrchestrator1({ ...options, orchestrator2: flags.orchestrator2 }),
    );
  });

type ChainFlags = Omit<ServerFlags, "address"> & ChainOptions["addresses"] & { delay: number };

const chain = serverCommand(
  "chain",
  "All three servers, one process each. A server that exits unexpectedly is restarted.",
)
  .addOption(addressOption("orchestrator1", "where orchestrator 1 listens", ORCHESTRATOR1))
  .addOption(addressOption("orchestrator2", "where orchestrator 2 listens", ORCHESTRATOR2))
  .addOption(addressOption("data", "where the user data service listens", DATA))
  .addOption(delayOption())
  .action(async (flags: ChainFlags) => {
    const { tlsCertificate, tlsKey, ca, plaintext, deadline, delay } = flags;
    const all = ["--deadline", String(deadline)];
    if (tlsCertificate !== undefined) all.push("--tls-certificate", tlsCertificate);
    if (tlsKey !== undefined) all.push("--tls-key", tlsKey);
    if (ca !== undefined) all.push("--ca", ca);
    if (plaintext === true) all.push("--plaintext");
    const log = lineLog("chain");
    const stopped = new Promise<string>((resolve) => {
      for (const name of ["SIGTERM", "SIGINT"]) process.on(name, () => resolve(name));
    });
    const running = await startChain({ addresses: flags, flags: { all, data: ["--delay", String(delay)] }, log });
    log.info("ready", running.addresses);
    log.info(`${await stopped}: stopping the servers, orchestrator 1 first`, {});
    await running.stop();
    process.exit();
  });

interface ClientFlags extends Security {
  name: string;
  server: string;
  deadline: number;
  timeout: number;
  trace?: string;
}

const client = callerCommand("client", "Asks orchestrator 1 for a user and prints it as JSON.")
  .option("-n, --name <name>", "the user's name", "krithik")
  .addOption(addressOption("server", "where orchestrator 1 listens", ORCHESTRATOR1))
  .addOption(deadlineOption("the deadline of the call"))
  .addOption(
    new Option("--timeout <seconds>", "how long to wait for a server that is not up yet")
      .default(60)
      .argParser(numberFrom(0, 86_400)),
  )
  .addOption(new Option("--trace <id>", "trace id, which each server logs").argParser(traceId))
  .action(async ({ name, server, deadline, timeout, trace, ...security }: ClientFlags) => {
    const [deadlineMilliseconds, timeoutMilliseconds] = [deadline * 1_000, timeout * 1_000];
    const user = await askForUser({ name, server, deadlineMilliseconds, timeoutMilliseconds, trace, security });
    console.log(JSON.stringify(user));
  });

const program = new Command("users")
  .description("The user orchestrators: client -> orchestrator 1 -> orchestrator 2 -> user data.")
  .addCommand(chain)
  .addCommand(data)
  .addCommand(orchestrator2)
  .addCommand(orchestrator1)
  .addCommand(client);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof StartError || error instanceof CallStatus)) throw error;
  const text = error instanceof CallStatus ? `${status[error.code]}: ${error.details}` : error.message;
  console.error(text.replace(/\p{Cc}+/gu, " "));
  process.exitCode = 1;
}
