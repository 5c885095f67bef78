/** Command-line options that several programs share. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { numberFrom } from "../services/cli-options.js";
import { type NamedListener, PORT_FLAGS } from "./process/free-ports.js";

const port = numberFrom(1, 65_535, { whole: true });

function portsFrom(text: string): "auto" | number {
  if (text === "auto") return text;
  try {
    return numberFrom(1, 65_500, { whole: true })(text);
  } catch {
    throw new InvalidArgumentError("It must be a port number, or auto.");
  }
}

export interface PortOptions {
  portsFrom: "usual" | "auto" | number;
  ports: Partial<Record<NamedListener, number>>;
}

/** Adds the options that choose ports, each with a variable of the environment. */
export function addPortOptions(command: Command, usual: PortOptions["portsFrom"]): Command {
  const title = `take ports in a row from this one on, or "auto" for free ones${usual === "auto" ? " (default)" : ""}`;
  command.addOption(new Option("--ports-from <port|auto>", title).env("PORTS_FROM").argParser(portsFrom));
  for (const { title, flag } of PORT_FLAGS) {
    command.addOption(new Option(`${flag} <port>`, `port of ${title}`).env(variableOf(flag)).argParser(port));
  }
  return command;
}

/** What the options chose. */
export function portOptions(command: Command, usual: PortOptions["portsFrom"]): PortOptions {
  const given = command.opts<Record<string, unknown>>();
  const ports = PORT_FLAGS.flatMap(({ listener }) => {
    const chosen = given[`${listener}Port`];
    return typeof chosen === "number" ? [[listener, chosen] as const] : [];
  });
  return { portsFrom: (given.portsFrom as PortOptions["portsFrom"]) ?? usual, ports: Object.fromEntries(ports) };
}

/** FIRESTORE_PORT for --firestore-port. */
function variableOf(flag: string): string {
  return flag.slice(2).replaceAll("-", "_").toUpperCase();
}

export interface RunnerOptions {
  embedded?: true;
  emulators?: true;
}

/** Whether to run embedded; undefined if the machine decides. */
export function embeddedIn({ embedded, emulators }: RunnerOptions): boolean | undefined {
  if (embedded) return true;
  return emulators ? false : undefined;
}
