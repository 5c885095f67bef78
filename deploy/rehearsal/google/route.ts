/** What the stand-in's APIs are made of: routes, and what a handler gets. */
import type { IncomingMessage } from "node:http";
import { GoogleError } from "./errors.js";
import { type Project, policyOf, setPolicy } from "./project.js";

/** How the stand-in differs from a Google on which everything works: for tests in which the rehearsal must fail. */
export interface Whims {
  /** How often a new metric is not found yet. */
  metricMisses: number;
}

/** What the APIs share. */
export interface Shared {
  readonly projects: Map<string, Project>;
  /** What was uploaded to Cloud Storage, by name. */
  readonly objects: Map<string, Buffer>;
  readonly operations: Map<string, object>;
  whims: Whims;
  /** In PEM form. */
  certificate: string;
  /** @throws GoogleError as the Resource Manager says it */
  find(idOrNumber: string): Project;
  /** A finished operation, which can be asked for. */
  operation(name: string, response: object, metadata?: object): object;
}

/** What a handler gets. Everything in it is as the client sent it. */
export interface Call {
  google: Shared;
  host: string;
  /** What the braces in the route's path stand for. */
  params: Record<string, string>;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  /** The body, parsed when it is JSON or a form. */
  // biome-ignore lint/suspicious/noExplicitAny: the handlers read bodies of many forms, each as its API defines it.
  body: any;
  bytes: Buffer;
  /** The project that the path names, by id or number. */
  project: Project;
  /** The resource that the path names, with the project's id, such as projects/your-project/topics/orders-new. */
  name: string;
}

export type Answer = object | string | Buffer | undefined;

type Handler = (call: Call) => Answer | Promise<Answer>;

export interface Route {
  method: string;
  /** The API, such as run.googleapis.com; a regional host is the same API. */
  host: string;
  /** Its groups are the call's params. */
  path: RegExp;
  answer: Handler;
}

/**
 * The routes of an API.
 * @param base its host and what all paths begin with, such as pubsub.googleapis.com/v1/projects/{project}
 * @param table handlers by method and path, such as "GET /topics/{topic}"; {name=**} spans slashes
 */
export function routes(base: string, table: Record<string, Handler>): Route[] {
  const [host = ""] = base.split("/", 1);
  return Object.entries(table).map(([key, answer]) => {
    const [method = "", path = ""] = key.split(" ");
    return { method, host, path: patternOf(base.slice(host.length) + path), answer };
  });
}

function patternOf(path: string): RegExp {
  const pattern = path
    .replace(/[.()*+]/g, (character) => (character === "*" ? "*" : `\\${character}`))
    .replace(/\{(\w+)=\*\*\}/g, "(?<$1>.+?)")
    .replace(/\{(\w+)\}/g, "(?<$1>[^/:]+)");
  return new RegExp(`^${pattern}$`);
}

/** Reads and replaces the policy of what the path names; some APIs read with POST. */
export function policyRoutes(path: string, read: "GET" | "POST", nameOf: (call: Call) => string) {
  return {
    [`${read} ${path}:getIamPolicy`]: (call: Call) => policyOf(call.project, nameOf(call)),
    [`POST ${path}:setIamPolicy`]: (call: Call) => setPolicy(call.project, nameOf(call), call.body.policy),
  };
}

/** @throws GoogleError as every API says it when it is not enabled */
export function checkEnabled(project: Project, api: string): void {
  if (project.apis.includes(api)) return;
  const message = `${api} API has not been used in project ${project.number} before or it is disabled. Enable it by visiting https://console.developers.google.com/apis/api/${api}/overview?project=${project.number} then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry.`;
  const metadata = { service: api, consumer: `projects/${project.number}` };
  throw new GoogleError(403, message, [
    {
      "@type": "type.googleapis.com/google.rpc.ErrorInfo",
      reason: "SERVICE_DISABLED",
      domain: "googleapis.com",
      metadata,
    },
  ]);
}
