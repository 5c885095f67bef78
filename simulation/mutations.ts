/** Small mistakes in the protocol, each of which the simulation must find. */

export interface Mutation {
  name: string;
  edits: { file: string; from: string; to: string }[];
}

const one = (name: string, file: string, from: string, to: string): Mutation => ({ name, edits: [{ file, from, to }] });

const createOnce = "attempts/create-once.ts";

export const MUTATIONS: readonly Mutation[] = [
  one(
    "skip the claim",
    createOnce,
    'const [version = ""] = await ports.store.commit([write]);',
    'const version = "0";',
  ),
  one("take any claim for ours", createOnce, "if (snapshot && attempt?.id === claim.id)", "if (snapshot && attempt)"),
  one(
    "never know our own claim again",
    createOnce,
    "if (snapshot && attempt?.id === claim.id)",
    "if (snapshot && !attempt)",
  ),
  one(
    "send again after an unknown outcome",
    createOnce,
    "(!error.sent || error instanceof CallRejectedError);",
    "true;",
  ),
  one("doubt a refusal", createOnce, "(!error.sent || error instanceof CallRejectedError)", "!error.sent"),
  one(
    "doubt what was never sent",
    createOnce,
    "(!error.sent || error instanceof CallRejectedError)",
    "error instanceof CallRejectedError",
  ),
  one("forget an earlier doubt", createOnce, "if (claim.mayHaveBeenApplied || !wasNotApplied)", "if (!wasNotApplied)"),
  one("take a deadline for a refusal", "domain/errors.ts", '"UNIMPLEMENTED",', '"UNIMPLEMENTED", "UNAVAILABLE",'),
  one("take a refusal for a passing fault", "domain/errors.ts", '  "INVALID_ARGUMENT",', ""),
  one(
    "never let a lease run out",
    "attempts/attempt.ts",
    "attempt.leaseUntil.getTime() > now)",
    "attempt.leaseUntil.getTime() > 0)",
  ),
  one(
    "send again when a lease ran out",
    "attempts/attempt.ts",
    'if (keyed) return { action: "send"',
    'if (attempt) return { action: "send"',
  ),
  one(
    "send again when uncertain",
    "attempts/attempt.ts",
    "if (keyed && attempt.nextTryAt && attempt.nextTryAt.getTime() <= now)",
    "if (attempt)",
  ),
  one(
    "never try again",
    "attempts/attempt.ts",
    "if (attempt.nextTryAt && attempt.nextTryAt.getTime() > now) return",
    "if (attempt) return",
  ),
  one(
    "one key for both stages",
    "attempts/idempotency-key.ts",
    "return v5(`",
    "if (stage) return v5(order, NAMESPACE);\n  return v5(`",
  ),
  one("link at any time", "attempts/link.ts", "storableTime(order.placedAt)", "order.placedAt"),
  one("store any reason", "domain/errors.ts", "message: storableText(message)", "message"),
  one("link a name twice", createOnce, "if (owner !== undefined && owner !== ref.name) {", 'if (owner === "never") {'),
  one("link without history", createOnce, "...(plan.isRecorded ? [] : [linkEntry(", "...(name ? [] : [linkEntry("),
  one(
    "close without history",
    "relations/close-relation.ts",
    "await ports.store.commit([update, closingEntry(relation.order, state, at)]);",
    "await ports.store.commit([update]);",
  ),
  one("adopt without history", "relations/adopt-links.ts", "fields }, ...missing]", "fields }]"),
  one(
    "link without ending the attempt",
    createOnce,
    '{ kind: "delete", path: claim.path, version: plan.version },',
    "",
  ),
  one(
    "trust a first claim",
    createOnce,
    "if (claim.isFirst && (await releaseClaimIfLinked(",
    "if (claim.tries < 0 && (await releaseClaimIfLinked(",
  ),
  one("end the attempt without a link", createOnce, "linkWrite(request, plan.snapshot, name, ports),", ""),
  one(
    "link before sending",
    createOnce,
    "const acquired = await acquireClaim(request, ports);",
    'await ports.store.commit([{ kind: "create", path: relationPath(request.ref.id), fields: { kitchen: "kitchenorders/soon" } }]).catch(() => []); const acquired = await acquireClaim(request, ports);',
  ),
  one("accept any name", createOnce, "if (isPlausibleResourceName(stage, name))", "if (stage)"),
  one(
    "drop a late answer",
    createOnce,
    '(attempt.state === "SENDING" || attempt.state === "UNCERTAIN")',
    'attempt.state === "SENDING"',
  ),
  one("give a link up at once", createOnce, "const MAX_WRITE_TRIES = 5;", "const MAX_WRITE_TRIES = 1;"),
  one("send long after the lease", createOnce, "if (deadline > claim.leaseUntil) {", "if (deadline < 0) {"),
  one(
    "link whose attempt it is",
    createOnce,
    "if (!attemptSnapshot || !isStillOurs(attempt, claim)) {",
    "if (!attemptSnapshot) {",
  ),
  one(
    "record over another claim",
    createOnce,
    "if (!snapshot || !isStillOurs(attemptIn(snapshot), claim)) return;",
    "if (!snapshot) return;",
  ),
  one(
    "count what was never sent",
    createOnce,
    "const tries = error.sent ? claim.tries : claim.tries - 1;",
    "const tries = claim.tries;",
  ),
  one("park what was never sent", createOnce, "const isParked = error.sent && tries", "const isParked = claim.tries"),
  one("judge by today's policy", "attempts/attempt.ts", '&& attempt.policy === "idempotency-key";', ";"),
  one(
    "settle every claim with a link",
    "relations/sweep.ts",
    "return wasLinkedByUs(entry);",
    "return entry !== undefined || link !== undefined;",
  ),
  one(
    "retry without a decision",
    "attempts/resolve-attempt.ts",
    'const retry = { state: "FAILED", tries: 0,',
    'const retry = { state: "SENDING", tries: 0,',
  ),
  one(
    "decide about what has changed",
    "attempts/resolve-attempt.ts",
    "const isOther = (version ?? snapshot.version) !== snapshot.version ||",
    "const isOther = version === snapshot.path ||",
  ),
  one(
    "link without saving it",
    "attempts/resolve-attempt.ts",
    "    linkWrite({ stage, ref, order }, relation, link, ports),\n",
    "",
  ),
  one(
    "report backwards",
    "relations/report-status.ts",
    "const isDue = mayReport(order.status, target);",
    "const isDue = order.status !== target;",
  ),
  one(
    "report over a cancellation",
    "domain/order-lifecycle.ts",
    "return !ended && rank !== undefined && rank <",
    "return (rank ?? -1) <",
  ),
  one(
    "never report again",
    "relations/load-relation.ts",
    "outcome: await reportAgain(snapshot, relation, ports) };",
    'outcome: { outcome: "skipped", reason: "done" } };',
  ),
  one(
    "report the status first",
    "pipeline/send-to-kitchen.ts",
    "return createOnce(",
    'await ports.food.updateOrder(ref.name, "PREPARATION"); return createOnce(',
  ),
  one(
    "dispatch before the meal is packaged",
    "domain/order-lifecycle.ts",
    "PREPARATION: { code: 2, packaged: false }",
    "PREPARATION: { code: 2, packaged: true }",
  ),
  one(
    "dispatch what is unknown",
    "domain/order-lifecycle.ts",
    "UNKNOWN: { code: 0, packaged: false }",
    "UNKNOWN: { code: 0, packaged: true }",
  ),
  {
    name: "dispatch for an order that ended",
    edits: [
      {
        file: "pipeline/dispatch-shipment.ts",
        from: "if (isBefore(order.status, STAGES.shipment.takes)) return reportAgain(snapshot, relation, ports);\n  if (order.status !== STAGES.shipment.takes)",
        to: "if (isBefore(order.status, STAGES.shipment.takes)) return reportAgain(snapshot, relation, ports);\n  if (!order)",
      },
      {
        file: "pipeline/dispatch-shipment.ts",
        from: "if (finalState) return closeRelation(snapshot, finalState, ports);",
        to: "",
      },
    ],
  },
  one(
    "cook for an order that ended",
    "pipeline/send-to-kitchen.ts",
    "if (order.status !== STAGES.kitchen.takes)",
    "if (!order)",
  ),
  one(
    "poll all but the new",
    "domain/order-lifecycle.ts",
    ".map((stage) => stage.takes);",
    ".map((stage) => stage.takes).slice(1);",
  ),
  one(
    "poll the first page only",
    "list-orders.ts",
    'if (nextPageToken === "") this.isOver = true;',
    "if (position) this.isOver = true;",
  ),
  one(
    "retry what can't be read",
    "pipeline/run-stage.ts",
    "const willRetry = isRetryable(error);",
    "const willRetry = true;",
  ),
  one(
    "take a rejection for a delivery",
    "domain/order-lifecycle.ts",
    'REJECTED: { code: 4, outcome: "REJECTED" }',
    'REJECTED: { code: 4, outcome: "DELIVERED" }',
  ),
  one(
    "complete what is still flying",
    "pipeline/complete-order.ts",
    "if (outcome) return closeRelation(linked.snapshot, outcome, ports);",
    'if (linked) return closeRelation(linked.snapshot, outcome ?? "DELIVERED", ports);',
  ),
  one(
    "write over what can't be read",
    "relations/relation.ts",
    "return snapshot && parseRelation(snapshot.path, snapshot.fields);",
    "try { return snapshot && parseRelation(snapshot.path, snapshot.fields); } catch { return undefined; }",
  ),
  one("read newer schemas", "relations/relation.ts", "v.maxValue(RELATION_SCHEMA)", "v.maxValue(1000)"),
  one("sweep no relations", "relations/sweep.ts", "  await closeRelation(found, seen.state, ports);", ""),
  one(
    "sweep no expired attempts",
    "relations/sweep.ts",
    'if (next.action !== "declare uncertain" && !ended) return undefined;',
    "if (next) return undefined;",
  ),
  one(
    "sweep no failed attempts",
    "relations/sweep.ts",
    '  if (over) return { state: "CLOSED",',
    '  if (code === "none") return { state: "CLOSED",',
  ),
  one(
    "believe the first look for a link",
    "domain/absence.ts",
    "looks: 1 }, isBelieved: false };",
    "looks: 1 }, isBelieved: true };",
  ),
  one(
    "close what is missing at the first look",
    "relations/sweep.ts",
    "if (!isBelieved || absence) return absence !== undefined;",
    "if (isMass && isBelieved) return false;",
  ),
  one(
    "trust the list, not each order's status",
    "relations/sweep.ts",
    "for (const order of orders) if (stageOf(order.status)) statuses.set(",
    "for (const order of orders) if (order) statuses.set(",
  ),
  one(
    "never report after a rejection",
    "relations/report-status.ts",
    "if (report && report.nextTryAt.getTime() > ports.clock.now())",
    "if (report)",
  ),
  one(
    "believe foreign replies",
    "adapters/firebase/verified-replies.ts",
    "if (reply.name === asked) return reply;",
    "if (reply) return reply;",
  ),
];
