/**
 * The console of an embedded run: its files, the operators' API, changes as server-sent events, and the log lines of an order.
 * It listens on this machine only. The served page contains a token that every request needs; other pages in the same
 * browser can't read it.
 */
import { createReadStream, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { TokenError } from "../functions/src/domain/errors.js";
import { Api } from "../functions/src/operator-api/api.js";
import type { Ports } from "../functions/src/ports.js";
import { listenLocally } from "../harness/listen.js";
import { EventStream } from "./event-stream.js";
import type { ObservedStore } from "./observed-store.js";

const MAX_LOG_LINES = 500;

const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-cache",
};

const TYPES: { [ending: string]: string } = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** The page of each view, as firebase.json has them. */
const VIEWS = [
  [/^\/$/, "index"],
  [/^\/attention$/, "attention"],
  [/^\/orders$/, "orders"],
  [/^\/orders\/[^/]+$/, "order"],
  [/^\/flow$/, "flow"],
] as const;

export interface ConsoleOptions {
  ports: Ports;
  store: ObservedStore;
  /** The folder of the built console. */
  dist: string;
  /** The file of the functions' log. */
  log: string;
  port: number;
}

export class ConsoleServer {
  private readonly api: Api;
  private readonly token: string;
  private readonly streams = new Set<EventStream>();
  private readonly server: Server;

  /** Where it listens, http://host:port. */
  address = "";

  private constructor(private readonly options: ConsoleOptions) {
    this.token = options.ports.random.uuid();
    this.api = new Api(options.ports, {
      verify: async (token) => {
        if (token !== this.token) throw new TokenError("This token belongs to another run. Reload the page.");
        return { id: "local", name: "local", role: "operator" };
      },
    });
    this.server = createServer((request, response) => {
      this.answer(request, response).catch(() => response.destroy());
    });
  }

  /** Starts listening. Rejects when the port is taken. */
  static async start(options: ConsoleOptions): Promise<ConsoleServer> {
    const started = new ConsoleServer(options);
    started.address = `http://127.0.0.1:${await listenLocally(started.server, options.port)}`;
    return started;
  }

  async stop(): Promise<void> {
    for (const stream of this.streams) stream.end();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Prevents DNS rebinding: another site's name could point to this address.
    if (!/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(request.headers.host ?? "")) {
      response.writeHead(421, HEADERS).end("This server serves localhost only.");
      return;
    }
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    if (pathname.startsWith("/api/")) return this.answerApi(request, response);
    if (pathname === "/events") return this.openStream(request, response);
    if (pathname === "/logs") return this.sendLog(searchParams, response);
    this.sendFile(pathname, request, response);
  }

  private async answerApi(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = "", ...query] = (request.url ?? "").split("?");
    const { method = "GET", headers } = request;
    const answer = await this.api.answer({
      method,
      path,
      query: query.join("?"),
      headers,
      body: await buffer(request),
    });
    send(request, response, answer.status, answer.headers, JSON.stringify(answer.body));
  }

  private async openStream(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      response.writeHead(401, HEADERS).end();
      return;
    }
    response.writeHead(200, {
      ...HEADERS,
      "Content-Type": "text/event-stream",
      "Content-Encoding": "gzip",
      "Cache-Control": "no-store",
    });
    const stream = new EventStream(this.options.store, response);
    this.streams.add(stream);
    response.on("close", () => {
      stream.end();
      this.streams.delete(stream);
    });
    await stream.start();
  }

  /** The latest log lines that name an order; those of one stage in a time, if the query has them. */
  private async sendLog(query: URLSearchParams, response: ServerResponse): Promise<void> {
    if (query.get("token") !== this.token) {
      response.writeHead(401, HEADERS).end("Open the log from the console.");
      return;
    }
    const wanted = JSON.stringify(query.get("order") ?? "");
    const [stage, from = "", to = "~"] = ["stage", "from", "to"].map((name) => query.get(name) ?? undefined);
    const isWanted = (line: string) => {
      if (!line.includes(wanted)) return false;
      if (stage === undefined) return true;
      const { component, time } = JSON.parse(line) as { component?: string; time: string };
      return component === stage && from <= time && time <= to;
    };
    const lines: string[] = [];
    for await (const line of createInterface({ input: createReadStream(this.options.log) })) {
      if (!isWanted(line)) continue;
      lines.push(line);
      if (lines.length > MAX_LOG_LINES) lines.shift();
    }
    response.writeHead(200, { ...HEADERS, "Content-Type": "text/plain; charset=utf-8" }).end(`${lines.join("\n")}\n`);
  }

  private sendFile(pathname: string, request: IncomingMessage, response: ServerResponse): void {
    const [, asset, ending = ""] = /^\/((?:assets\/[\w-]+|icon)\.(js|css|svg))$/.exec(pathname) ?? [];
    if (asset === undefined) {
      const view = VIEWS.find(([address]) => address.test(pathname));
      const file = join(this.options.dist, "embedded", `${view?.[1] ?? "index"}.html`);
      const page = readFileSync(file, "utf8").replace("TOKEN", this.token);
      send(request, response, view ? 200 : 404, { ...HEADERS, "Content-Type": "text/html; charset=utf-8" }, page);
      return;
    }
    try {
      const contents = readFileSync(join(this.options.dist, asset));
      const cache = asset.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache";
      send(
        request,
        response,
        200,
        { ...HEADERS, "Content-Type": TYPES[ending] ?? "", "Cache-Control": cache },
        contents,
      );
    } catch {
      response.writeHead(404, HEADERS).end();
    }
  }
}

/** Sends a body, compressed if the browser accepts it. */
function send(
  { method, headers: { "accept-encoding": accepted } }: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: string | Buffer,
): void {
  const isCompressed = String(accepted).includes("gzip");
  response.writeHead(status, {
    ...headers,
    ...(isCompressed && { "Content-Encoding": "gzip" }),
    Vary: "Accept-Encoding",
  });
  if (method === "HEAD") response.end();
  else response.end(isCompressed ? gzipSync(body) : body);
}
