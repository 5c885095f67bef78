/** The operator API: parses a request, authenticates its sender, and answers in JSON. It does not depend on an HTTP server. */
import { toErrorInfo } from "../domain/errors.js";
import type { Ports } from "../ports.js";
import type { Person, Tokens } from "./auth.js";
import { Problem, problemOf, unauthenticated } from "./problem.js";
import { RateLimit } from "./rate-limit.js";
import { ROLES, type Role } from "./roles.js";
import { type Endpoint, ROUTES } from "./routes.js";

export interface ApiRequest {
  method: string;
  /** Percent-encoded, without the query. */
  path: string;
  /** Percent-encoded, without the question mark. */
  query: string;
  /** By lower-case name. */
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Uint8Array;
}

export interface ApiResponse {
  status: number;
  headers: Record<string, string>;
  /** Sent as JSON. */
  body: unknown;
}

const MAX_BODY_BYTES = 16 * 1024;

const ALWAYS = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" };

/** The OpenAPI document and its modules are loaded at the first request for it. */
const ENDPOINTS: readonly Endpoint[] = [
  ...ROUTES,
  {
    method: "GET",
    path: "/api/openapi.json",
    role: undefined,
    answer: async () => (await import("./openapi.js")).openApiDocument(),
  },
];

/** Answers the requests of one instance. */
export class Api {
  private readonly limit: RateLimit;

  constructor(
    private readonly ports: Ports,
    private readonly tokens: Tokens,
  ) {
    this.limit = new RateLimit(ports.clock);
  }

  /** Never throws: an error becomes a problem response. */
  async answer(request: ApiRequest): Promise<ApiResponse> {
    try {
      const { route, params } = matchRoute(request);
      const person = route.role ? await this.authenticate(route.role, request) : undefined;
      const body = route.method === "POST" ? bodyOf(request) : undefined;
      const query = new URLSearchParams(request.query);
      const answer = await route.answer(
        { params, query, body, person, header: (name) => header(request, name) },
        this.ports,
      );
      return { status: 200, headers: { ...ALWAYS, "Content-Type": "application/json" }, body: answer };
    } catch (error) {
      return this.refuse(problemOf(error), error, request);
    }
  }

  private async authenticate(role: Role, request: ApiRequest): Promise<Person> {
    const [, token] = /^Bearer ([^\s]+)$/i.exec(header(request, "authorization") ?? "") ?? [];
    if (token === undefined)
      throw unauthenticated("Send the ID token of a signed-in person as Authorization: Bearer TOKEN.");
    const person = await this.tokens.verify(token);
    const rank = ROLES.indexOf(person.role as Role);
    if (rank < ROLES.indexOf(role)) {
      const has = rank < 0 ? "You have no role" : `You are ${person.role}`;
      throw new Problem("role", `${has}; this needs the role ${role}. Ask an administrator to grant it.`);
    }
    const wait = this.limit.consume(person.id);
    if (wait > 0)
      throw new Problem("too-many", `Rate limit exceeded. Retry after ${wait} s.`, { "Retry-After": String(wait) });
    return person;
  }

  private refuse(problem: Problem, error: unknown, { method, path }: ApiRequest): ApiResponse {
    const body = problem.view;
    const { status } = body;
    if (status >= 500) {
      const fields = {
        component: "api",
        method,
        path: path.slice(0, 200),
        status,
        outcome: "failed",
        reason: toErrorInfo(error),
      };
      this.ports.log.error(`api: ${problem.kind}`, fields);
    }
    const headers = { ...ALWAYS, "Content-Type": "application/problem+json", ...problem.headers };
    return { status, headers, body };
  }
}

function header({ headers }: ApiRequest, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** The route of a request, and the values in its path. */
function matchRoute({ method: given, path }: ApiRequest): { route: Endpoint; params: Record<string, string> } {
  // HEAD is allowed wherever GET is.
  const method = given === "HEAD" ? "GET" : given;
  const segments = path.split("/");
  const here = ENDPOINTS.filter(({ path: pattern }) => pathMatches(pattern.split("/"), segments));
  if (here.length === 0) throw new Problem("not-found", "No such endpoint. See GET /api/openapi.json.");
  const route = here.find((one) => one.method === method);
  if (!route) {
    const allowed = here.flatMap((one) => (one.method === "GET" ? ["GET", "HEAD"] : [one.method])).join(", ");
    throw new Problem("method", `Allowed methods: ${allowed}.`, { Allow: allowed });
  }
  const params: Record<string, string> = {};
  for (const [index, part] of route.path.split("/").entries()) {
    if (part.startsWith("{")) params[part.slice(1, -1)] = decoded(segments[index] ?? "");
  }
  return { route, params };
}

function pathMatches(pattern: string[], segments: string[]): boolean {
  return (
    pattern.length === segments.length &&
    pattern.every((part, index) => (part.startsWith("{") ? segments[index] !== "" : part === segments[index]))
  );
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new Problem("malformed", "The URL has an invalid % escape: it must be valid UTF-8.", {}, { cause });
  }
}

function bodyOf(request: ApiRequest): unknown {
  const [type = ""] = (header(request, "content-type") ?? "").split(";");
  if (type.trim().toLowerCase() !== "application/json") {
    throw new Problem("media-type", "Send the body as Content-Type: application/json.");
  }
  if (request.body.byteLength > MAX_BODY_BYTES) {
    throw new Problem("too-large", `The body may have at most ${MAX_BODY_BYTES} bytes.`);
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(request.body));
  } catch (cause) {
    throw new Problem("malformed", "The body is not valid JSON in UTF-8.", {}, { cause });
  }
}
