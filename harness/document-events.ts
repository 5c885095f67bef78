/**
 * Firestore's events as its emulator makes them: in binary, like the platform's. The emulator calls one server for all
 * projects, and that server passes each event to the subscriber of its project.
 */
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { StartError } from "../services/server.js";

/** Takes one event. */
type Take = (headers: OutgoingHttpHeaders, body: Buffer) => Promise<void>;

export class DocumentEvents {
  private readonly server: Server;
  private readonly takers = new Map<string, Take>();

  constructor() {
    this.server = createServer((request, response) => void this.bring(request, response));
  }

  /** Resolves with where the emulator is to call, as host:port. */
  listen(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(0, "127.0.0.1", () => {
        resolve(`127.0.0.1:${(this.server.address() as AddressInfo).port}`);
      });
    });
  }

  /** Has every write of such documents, such as relations/{id}, brought from now on. */
  async onWritten(firestore: string, project: string, document: string, take: Take): Promise<void> {
    this.takers.set(project, take);
    const trigger = {
      eventType: "google.cloud.firestore.document.v1.written",
      database: "(default)",
      namespace: "(default)",
      document: { value: document, matchType: "PATH_PATTERN" },
    };
    const path = `emulator/v1/projects/${project}/eventarcTrigger?eventarcTriggerId=${project}`;
    const response = await fetch(`http://${firestore}/${path}`, { method: "POST", body: JSON.stringify(trigger) });
    if (!response.ok) throw new StartError(`The Firestore emulator answered ${response.status} for a trigger.`);
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async bring(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    // The emulator is not to wait: on the platform, the event has left Firestore by now.
    response.end();
    const [, project = ""] = /^\/functions\/projects\/([^/]+)\//.exec(request.url ?? "") ?? [];
    const about = Object.entries(request.headers).filter(([name]) => name === "content-type" || name.startsWith("ce-"));
    // The emulator sends it in base64, the platform as it is.
    await this.takers.get(project)?.(Object.fromEntries(about), Buffer.from(body, "base64"));
  }
}
