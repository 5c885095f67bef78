/** What the stand-in's APIs are made of: routes, and what a handler gets. */
import type { IncomingMessage } from "node:http";
import { GoogleError } from "./errors.js";
import type { Project } from "./project.js";

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
}

export type Answer = object | string | Buffer | undefined;

export interface Route {
  method: string;
  /** The API, such as run.googleapis.com; a regional host is the same API. */
  host: string;
  /** A path with {names}; {name=**} spans slashes. */
  path: string;
  /** The API that must be enabled, when it is not the host's own; null for none. */
  api?: string | null;
  answer(call: Call): Answer | Promise<Answer>;
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
