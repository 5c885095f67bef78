/**
 * Stands for Google's APIs on this machine: it answers the Firebase CLI, gcloud and the functions, and refuses what Google
 * refuses. Every request is recorded. Clients reach it by Google's own host names, over TLS with a certificate of its own.
 */
import { createHash } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { unzipSync } from "fflate";
import { listenLocally } from "../../../harness/listen.js";
import { makeCertificate } from "./certificate.js";
import { DATA } from "./data.js";
import { GoogleError, notFound } from "./errors.js";
import { FUNCTIONS } from "./functions.js";
import { HOSTING } from "./hosting.js";
import { OPERATIONS } from "./operations.js";
import { PLATFORM } from "./platform.js";
import { newProject, type Project } from "./project.js";
import { type Answer, type Call, checkEnabled, type Route, type Shared, type Whims } from "./route.js";

/** The names that clients find this stand-in, and the servers of the deployment guide's example, under. */
const HOSTS = [
  ...[
    "*.googleapis.com",
    "*.google.com",
    "*.firebaseio.com",
    "*.firebaseapp.com",
    "*.firebase.com",
    "*.firebase.tools",
  ],
  ...["*.web.app", "*.run.app", "*.google-analytics.com", "*.example.com", "localhost"],
];

/** A request as it was answered. */
export interface Recorded {
  method: string;
  host: string;
  path: string;
  // biome-ignore lint/suspicious/noExplicitAny: as it was sent.
  body: any;
  status: number;
}

export class Google implements Shared {
  readonly requests: Recorded[] = [];
  readonly projects = new Map<string, Project>();
  readonly objects = new Map<string, Buffer>();
  readonly operations = new Map<string, object>();
  whims: Whims = { metricMisses: 1 };
  /** The certificate that clients must trust, in PEM form, and its key. */
  certificate = "";
  key = "";
  httpsPort = 0;
  httpPort = 0;
  private readonly routes: Route[] = [...PLATFORM, ...FUNCTIONS, ...DATA, ...OPERATIONS, ...HOSTING];
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();

  /** Starts on two free ports of 127.0.0.1: one for TLS, one for plain HTTP, which is also a proxy. */
  async listen(): Promise<void> {
    const pair = await makeCertificate("stand-in for Google", HOSTS);
    this.certificate = pair.certificate;
    this.key = pair.key;
    const answer = (request: IncomingMessage, response: ServerResponse) => void this.answer(request, response);
    const https = createHttpsServer({ key: pair.key, cert: pair.certificate }, answer);
    const http = createHttpServer(answer);
    // gcloud comes through here; whatever it asks for, it gets to this stand-in.
    http.on("connect", (_request, socket: Socket, head: Buffer) => {
      const upstream = connect(this.httpsPort, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        upstream.write(head);
        upstream.pipe(socket).pipe(upstream);
      });
      for (const end of [socket, upstream]) end.on("error", () => [socket, upstream].map((one) => one.destroy()));
    });
    for (const server of [https, http]) {
      server.on("connection", (socket: Socket) => {
        this.sockets.add(socket);
        socket.on("close", () => this.sockets.delete(socket));
      });
      this.servers.push(server);
    }
    this.httpsPort = await listenLocally(https);
    this.httpPort = await listenLocally(http);
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await Promise.all(this.servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  addProject(id: string): Project {
    const project = newProject(id, String(100_000_000_000 + this.projects.size));
    this.projects.set(id, project);
    return project;
  }

  /** @throws GoogleError as the Resource Manager says it */
  find(idOrNumber: string): Project {
    const found =
      this.projects.get(idOrNumber) ?? [...this.projects.values()].find(({ number }) => number === idOrNumber);
    if (found) return found;
    throw new GoogleError(403, `Permission denied on resource project ${idOrNumber}, or it may not exist.`);
  }

  /** What an uploaded archive holds, as one hash: archives of the same files differ in their times. */
  contentOf(object: string): string {
    const hash = createHash("sha256");
    const files = Object.entries(unzipSync(this.objects.get(object) ?? Buffer.alloc(0)));
    for (const [name, bytes] of files.sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(name).update(bytes);
    return hash.digest("hex");
  }

  /** A finished operation, which can be asked for. */
  operation(name: string, response: object, metadata: object = {}): object {
    const operation = { name, done: true, metadata, response };
    this.operations.set(name, operation);
    return operation;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const bytes = await buffer(request).catch(() => Buffer.alloc(0));
    const host = (request.headers.host ?? "").replace(/:\d+$/, "");
    const url = new URL(request.url ?? "/", `https://${host}`);
    const recorded: Recorded = { method: request.method ?? "", host, path: url.pathname, body: undefined, status: 0 };
    this.requests.push(recorded);
    let answer: Answer;
    try {
      recorded.body = parsed(isPacked(request, host) ? gunzipSync(bytes) : bytes, request.headers["content-type"]);
      answer = await this.dispatch(request, url, recorded, bytes);
      recorded.status = 200;
    } catch (error) {
      const refusal =
        error instanceof GoogleError ? error : new GoogleError(501, `The stand-in failed: ${(error as Error).stack}`);
      recorded.status = refusal.code;
      answer = refusal.body;
    }
    const body = Buffer.isBuffer(answer) || typeof answer === "string" ? answer : JSON.stringify(answer ?? {});
    const type = typeof answer === "string" ? "text/plain" : "application/json; charset=UTF-8";
    response.writeHead(recorded.status, { "Content-Type": type, "Metadata-Flavor": "Google" }).end(body);
  }

  private async dispatch(
    { method = "", headers }: IncomingMessage,
    url: URL,
    { host, body }: Recorded,
    bytes: Buffer,
  ): Promise<Answer> {
    const api = apiOf(host);
    const path = decodeURIComponent(url.pathname).replace(/\/{2,}/g, "/");
    const route = this.routes.find((one) => one.method === method && one.host === api && one.path.test(path));
    if (!route) throw notFound(`${method} ${host}${path}`);
    const params = { ...route.path.exec(path)?.groups };
    const google = this;
    const call: Call = {
      ...{ google, host, params, query: url.searchParams, headers, body, bytes },
      get project() {
        // IAM takes a dash for the project that an account's address names.
        const [, owner = "-"] = /@(.+)\.iam\.gserviceaccount\.com$/.exec(params.account ?? "") ?? [];
        return google.find(params.project === "-" ? owner : (params.project ?? ""));
      },
      get name() {
        return path.replace(/^\/[^/]+\/projects\/[^/:]+/, `projects/${call.project.id}`).replace(/:\w+$/, "");
      },
    };
    if (params.project) checkEnabled(call.project, api);
    return route.answer(call);
  }
}

/** The API behind a host, which may be a regional one, one for client certificates, or the metadata server's address. */
function apiOf(host: string): string {
  if (host === "169.254.169.254") return "metadata.google.internal";
  return host.replace(/^[a-z]+-[a-z]+\d+-(?=[a-z]+\.googleapis\.com$)/, "").replace(/\.mtls\./, ".");
}

/** An upload to Hosting is a file that is stored as it comes. */
function isPacked({ headers }: IncomingMessage, host: string): boolean {
  return headers["content-encoding"] === "gzip" && !host.startsWith("upload");
}

function parsed(bytes: Buffer, type = ""): unknown {
  if (bytes.length === 0) return undefined;
  if (type.includes("x-www-form-urlencoded")) return Object.fromEntries(new URLSearchParams(bytes.toString()));
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
