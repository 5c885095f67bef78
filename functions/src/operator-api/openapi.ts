/** The API for other programs: OpenAPI 3.1, derived from the routes and their schemas. */
import { toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import { CREATING_STAGES } from "../domain/order-lifecycle.js";
import { PROBLEMS, type ProblemKind } from "./problem.js";
import { ROUTES, type Route } from "./routes.js";
import { ANSWERS, type AnswerName } from "./schemas.js";
import type { Json } from "./views.js";

type JsonObject = { [name: string]: Json };

/** The error responses of every endpoint that needs a role. */
const SIGNED_IN: readonly ProblemKind[] = ["sign-in", "role", "too-many", "unavailable"];

const PARAMETERS: { [name: string]: string } = {
  id: "The order's name without orders/, percent-encoded.",
  stage: `Which attempt: ${CREATING_STAGES.join(" or ")}.`,
  name: "The customer's name, percent-encoded.",
};

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header",
  required: true,
  schema: { type: "string", pattern: "^[\\x21-\\x7e]{1,200}$" },
  description: "New for each decision. The same request with the same key is applied once and gets the same response.",
};

let document: JsonObject | undefined;

/** The document, generated at the first request to keep cold starts short. */
export function openApiDocument(): JsonObject {
  document ??= {
    openapi: "3.1.0",
    info: {
      title: "Operator API of diet-orchestrator",
      version: "2",
      description: "Watch and find orders, and decide about those that need attention.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths: pathsOf([...ROUTES, OPENAPI_OPERATION]),
    components: {
      schemas: Object.fromEntries(Object.entries(ANSWERS).map(([name, schema]) => [name, schemaOf(schema, name)])),
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: "A Firebase ID token whose claim role is viewer or operator.",
        },
      },
    },
  };
  return document;
}

/** The endpoint of the document itself. */
const OPENAPI_OPERATION: Operation = {
  method: "GET",
  path: "/api/openapi.json",
  role: undefined,
  summary: "This document. Public.",
  answers: undefined,
  problems: [],
};

type Operation = Omit<Route, "answers" | "answer"> & { answers: AnswerName | undefined };

function pathsOf(routes: readonly Operation[]): JsonObject {
  const paths: { [path: string]: JsonObject } = {};
  for (const route of routes)
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  return paths;
}

function operationOf({ path, role, summary, method, query, body, answers, problems }: Operation): JsonObject {
  const schema: Json = answers === undefined ? { type: "object" } : ref(answers);
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
    description: PARAMETERS[name] ?? "",
  }));
  const parameters = [
    ...inPath,
    ...(query ? queryParameters(query) : []),
    ...(method === "POST" ? [IDEMPOTENCY_KEY] : []),
  ];
  return {
    summary: role === "operator" ? `${summary} Operators only.` : summary,
    ...(role && { security: [{ token: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: json(schemaOf(body)) } }),
    responses: {
      "200": {
        description: method === "POST" ? "Decision applied and recorded in the audit log." : "OK",
        content: json(schema),
      },
      ...problemResponses([...(role ? SIGNED_IN : []), ...problems]),
    },
  };
}

function queryParameters(query: NonNullable<Route["query"]>): JsonObject[] {
  const { properties = {}, required = [] } = schemaOf(query) as { properties?: JsonObject; required?: string[] };
  return Object.entries(properties).map(([name, property]) => {
    const { description = "", ...schema } = property as JsonObject;
    return { name, in: "query", required: required.includes(name), schema, description };
  });
}

function problemResponses(kinds: readonly ProblemKind[]): JsonObject {
  const titles = new Map<number, string[]>();
  for (const kind of kinds) {
    const { status, title } = PROBLEMS[kind];
    titles.set(status, [...(titles.get(status) ?? []), title]);
  }
  const content = { "application/problem+json": { schema: ref("Problem") } };
  return Object.fromEntries(
    [...titles].map(([status, all]) => [String(status), { description: `${all.join(". ")}.`, content }]),
  );
}

const ref = (name: AnswerName): JsonObject => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Json): JsonObject => ({ "application/json": { schema } });

/** A JSON Schema with references to the named responses. */
function schemaOf(schema: v.GenericSchema, name?: string): JsonObject {
  const definitions = Object.fromEntries(Object.entries(ANSWERS).filter(([other]) => other !== name));
  const {
    $schema: _$schema,
    $defs: _$defs,
    ...converted
  } = toJsonSchema(schema, {
    target: "draft-2020-12",
    typeMode: "input",
    // JSON Schema can't express checks in code, such as for control characters.
    errorMode: "ignore",
    definitions,
    overrideRef: ({ referenceId }) => `#/components/schemas/${referenceId.split("/").at(-1)}`,
  });
  return converted as JsonObject;
}
