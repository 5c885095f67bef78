/** The API for other programs, as OpenAPI 3.1 has it. A test holds it against the routes and what they answer. */

import { ATTEMPT_STATES } from "../attempts/attempt.js";
import { RESOLVED_STATES } from "../attempts/resolve-attempt.js";
import { CREATING_STAGES, ORDER_STATUSES, RELATION_STATES } from "../domain/order-lifecycle.js";
import { PROBLEMS, type ProblemKind } from "./problem.js";
import type { Json } from "./views.js";

const time = { type: "string", format: "date-time" };
const string = { type: "string" };
const states = Object.keys(RELATION_STATES);
const reason = { type: "object", required: ["code", "message"], properties: { code: string, message: string } };
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const listOf = (items: Json) => ({ type: "array", items });

const schemas = {
  Relation: {
    type: "object",
    required: ["id", "order", "times", "version"],
    properties: {
      id: { type: "string", description: "The order's name without orders/." },
      order: string,
      state: { enum: states },
      kitchen: { type: "string", description: "The kitchen order's name." },
      shipment: { type: "string", description: "The shipment's name." },
      customerId: string,
      placedAt: time,
      customer: {
        oneOf: [
          ref("User"),
          { type: "object", required: ["reason"], properties: { reason }, description: "Why there is no such user." },
        ],
      },
      times: { type: "object", propertyNames: { enum: states }, additionalProperties: time },
      version: string,
    },
    additionalProperties: false,
  },
  Attempt: {
    type: "object",
    required: ["order", "stage", "state", "tries", "policy", "version"],
    properties: {
      order: string,
      stage: { enum: CREATING_STAGES },
      state: { enum: Object.keys(ATTEMPT_STATES) },
      tries: { type: "integer", minimum: 0 },
      policy: { enum: ["park", "idempotency-key"] },
      reason,
      claimedAt: { ...time, description: "When it was asked for last." },
      nextTryAt: time,
      leaseUntil: time,
      version: { type: "string", description: "Send it back with a decision." },
    },
    additionalProperties: false,
  },
  HistoryEntry: {
    type: "object",
    required: ["state", "at"],
    properties: { state: { enum: states }, at: time, kitchen: string, shipment: string },
    additionalProperties: false,
  },
  AuditEntry: {
    type: "object",
    required: ["order", "stage", "action", "by", "reason", "at"],
    properties: {
      order: string,
      stage: { enum: CREATING_STAGES },
      action: { enum: ["link", "try again", "dismiss"] },
      name: { type: "string", description: "What was linked." },
      by: string,
      reason: string,
      at: time,
    },
    additionalProperties: false,
  },
  Unreadable: { type: "object", required: ["id", "reason"], properties: { id: string, reason: string } },
  User: {
    type: "object",
    required: ["name", "class", "roll"],
    properties: { name: string, class: string, roll: { type: "integer" } },
    additionalProperties: false,
  },
  Decision: {
    type: "object",
    required: ["decision", "state"],
    properties: { decision: ref("AuditEntry"), state: { enum: [...RESOLVED_STATES] } },
    additionalProperties: false,
  },
  Problem: {
    type: "object",
    description: "Problem details, RFC 9457.",
    required: ["type", "title", "status", "detail"],
    properties: { type: string, title: string, status: { type: "integer" }, detail: string },
    additionalProperties: false,
  },
};

const json = (schema: Json) => ({ "application/json": { schema } });

function problems(...kinds: ProblemKind[]): { [status: string]: Json } {
  const byStatus = new Map<number, string[]>();
  for (const kind of kinds) {
    const { status, title } = PROBLEMS[kind];
    byStatus.set(status, [...(byStatus.get(status) ?? []), title]);
  }
  const content = { "application/problem+json": { schema: ref("Problem") } };
  const responses = [...byStatus].map(([status, titles]) => [
    String(status),
    { description: `${titles.join(". ")}.`, content },
  ]);
  return Object.fromEntries(responses);
}

const SIGNED_IN: ProblemKind[] = ["sign-in", "role", "too-many", "unavailable"];

const inPath = (name: string, description: string) => ({
  name,
  in: "path",
  required: true,
  schema: string,
  description,
});
const id = inPath("id", "The order's name without orders/, percent-encoded.");

function reading(summary: string, schema: Json, parameters: Json[], ...kinds: ProblemKind[]): Json {
  const responses = {
    "200": { description: "As asked for.", content: json(schema) },
    ...problems(...SIGNED_IN, ...kinds),
  };
  return { summary, security: [{ token: [] }], parameters, responses };
}

function deciding(summary: string, properties: { [name: string]: Json }): Json {
  const body = { type: "object", required: Object.keys(properties), properties, additionalProperties: false };
  const key = {
    name: "Idempotency-Key",
    in: "header",
    required: true,
    schema: { type: "string", pattern: "^[\\x21-\\x7e]{1,200}$" },
    description: "New for each decision. The same request with the same key is carried out once and answered alike.",
  };
  const refusals: ProblemKind[] = ["malformed", "not-found", "changed", "not-waiting", "linked-already"];
  return {
    summary,
    security: [{ token: [] }],
    parameters: [id, { ...inPath("stage", "Which attempt."), schema: { enum: CREATING_STAGES } }, key],
    requestBody: { required: true, content: json(body) },
    responses: {
      "200": { description: "Carried out, and kept in the audit.", content: json(ref("Decision")) },
      ...problems(...SIGNED_IN, ...refusals, "too-large", "media-type", "key-reused", "unknown-name"),
    },
  };
}

const limitedText = { type: "string", minLength: 1, maxLength: 500 };
const seenVersion = { ...string, description: "The attempt's version as you saw it." };

export const OPENAPI = {
  openapi: "3.1.0",
  info: {
    title: "Operators' API of diet-orchestrator",
    version: "1",
    description: `Watch orders and decide about those that wait. Statuses of orders: ${Object.keys(ORDER_STATUSES).join(", ")}.`,
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  paths: {
    "/api/health": {
      get: {
        summary: "Whether the API answers. For everybody.",
        responses: {
          "200": {
            description: "It does.",
            content: json({ type: "object", required: ["status"], properties: { status: { const: "ok" } } }),
          },
        },
      },
    },
    "/api/openapi.json": {
      get: {
        summary: "This document. For everybody.",
        responses: { "200": { description: "As asked for.", content: json({ type: "object" }) } },
      },
    },
    "/api/relations": {
      get: reading(
        "Relations, a page at a time, by id.",
        {
          type: "object",
          required: ["relations", "unreadable", "nextPageToken"],
          properties: {
            relations: listOf(ref("Relation")),
            unreadable: listOf(ref("Unreadable")),
            nextPageToken: { type: "string", description: "Empty on the last page." },
          },
        },
        [
          {
            name: "state",
            in: "query",
            schema: { type: "array", items: { enum: states } },
            description: "May come more than once; all without it.",
          },
          { name: "pageSize", in: "query", schema: { type: "integer", minimum: 1, maximum: 300, default: 50 } },
          { name: "pageToken", in: "query", schema: string },
        ],
        "malformed",
      ),
    },
    "/api/relations/{id}": {
      get: reading(
        "All that is known of one order: its relation, its attempts, its history and what people decided.",
        {
          type: "object",
          required: ["order", "relation", "attempts", "history", "audit", "unreadable"],
          properties: {
            order: string,
            relation: { oneOf: [ref("Relation"), { type: "null" }] },
            attempts: listOf(ref("Attempt")),
            history: listOf(ref("HistoryEntry")),
            audit: listOf(ref("AuditEntry")),
            unreadable: listOf(ref("Unreadable")),
          },
        },
        [id],
        "malformed",
        "not-found",
      ),
    },
    "/api/relations/{id}/{stage}/link": {
      post: deciding("Link the kitchen order or shipment that was found. Operators only.", {
        name: { type: "string", description: "Such as kitchenorders/5678." },
        reason: limitedText,
        version: seenVersion,
      }),
    },
    "/api/relations/{id}/{stage}/retry": {
      post: deciding("Try the create again at the next poll: nothing was created. Operators only.", {
        reason: limitedText,
        version: seenVersion,
      }),
    },
    "/api/relations/{id}/{stage}/dismiss": {
      post: deciding("Dismiss the attempt: nothing more is to be done. Operators only.", {
        reason: limitedText,
        version: seenVersion,
      }),
    },
    "/api/customers/{name}": {
      get: reading(
        "Resolve a customer through the user orchestrators.",
        ref("User"),
        [inPath("name", "Percent-encoded.")],
        "malformed",
        "not-found",
      ),
    },
  },
  components: {
    schemas,
    securitySchemes: {
      token: {
        type: "http",
        scheme: "bearer",
        description: "A Firebase ID token whose claim role is viewer or operator.",
      },
    },
  },
};
