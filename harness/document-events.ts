/**
 * Firestore's events as its emulator makes them: in binary, like the platform's. The emulator calls one server for all
 * projects, and that server passes each event to the subscriber of its project.
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from "node:http";
import { text } from "node:stream/consumers";
import { StartError } from "../services/server.js";
import { listenLocally } from "./listen.js";

/** Handles one event. */
type Take = (headers: OutgoingHttpHeaders, body: Buffer) => Promise<void>;

export class DocumentEvents {
  private readonly server: Server;
  private readonly takers = new Map<string, Take>();

  constructor() {
    this.server = createServer((request, response) => void this.bring(request, response));
  }

  /** Resolves with the address that the emulator must call, as host:port. */
  async listen(): Promise<string> {
    return `127.0.0.1:${await listenLocally(this.server)}`;
  }

  /** Subscribes to every write of documents that match a pattern, such as relations/{id}. */
  async onWritten(firestore: string, project: string, document: string, take: Take): Promise<void> {
    this.takers.set(project, take);
    await addTrigger(firestore, project, project, {
      eventType: "google.cloud.firestore.document.v1.written",
      database: "(default)",
      namespace: "(default)",
      document,
    });
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async bring(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    // The emulator must not wait: on the platform, the event would already have left Firestore.
    response.end();
    const [, project = ""] = /^\/functions\/projects\/([^/]+)\//.exec(request.url ?? "") ?? [];
    const event = eventOf(request.headers, body);
    await this.takers.get(project)?.(event.headers, event.body);
  }
}

/** The event in a request of the emulator, which sends it in base64; the platform sends it as it is. */
export function eventOf(headers: IncomingHttpHeaders, body: string): { headers: OutgoingHttpHeaders; body: Buffer } {
  const about = Object.entries(headers).filter(([name]) => name === "content-type" || name.startsWith("ce-"));
  return { headers: Object.fromEntries(about), body: Buffer.from(body, "base64") };
}

export interface DocumentTrigger {
  eventType: string;
  database: string | undefined;
  namespace: string | undefined;
  /** A pattern such as relations/{id}. */
  document: string | undefined;
}

/**
 * Has the emulator send such events of a project to its server, under this name.
 * @throws StartError if it does not accept the trigger
 */
export async function addTrigger(
  firestore: string,
  project: string,
  name: string,
  { document, ...trigger }: DocumentTrigger,
): Promise<void> {
  const path = `emulator/v1/projects/${project}/eventarcTrigger?eventarcTriggerId=${name}`;
  const body = JSON.stringify({ ...trigger, document: { value: document, matchType: "PATH_PATTERN" } });
  const response = await fetch(`http://${firestore}/${path}`, { method: "POST", body });
  if (!response.ok) throw new StartError(`The Firestore emulator answered ${response.status} for a trigger.`);
}
