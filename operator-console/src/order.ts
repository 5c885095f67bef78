/** One order: its way from placed to outcome, its customer, what was tried, and what an operator can do. */
import type { Firestore } from "firebase/firestore";
import { RELATION_STATES, type RelationState } from "../../functions/src/domain/order-lifecycle.js";
import { type Attempt, type Decision, type Detail, detailOf } from "./api.js";
import { askDecision } from "./decide.js";
import type { Relation } from "./documents.js";
import { element, setChildren, setText } from "./element.js";
import { ATTEMPT_WORDS, duration, moment, RELATION_WORDS, THINGS } from "./labels.js";
import { follow, type Live } from "./live.js";
import type { View } from "./overview.js";
import type { Session } from "./session.js";

const STATES = Object.keys(RELATION_STATES) as RelationState[];

/** The states by which a decision is waited for, and what may then be done. */
const DECIDABLE = { UNCERTAIN: true, PARKED: true } as const;

/** The view of one order. It follows the order's documents, and asks for the rest each time they change. */
export function orderView(id: string, session: Session, firestore: Firestore, live: Live): View {
  const status = element("p", { class: "result", role: "status" });
  const pill = element("span");
  const summary = element("p", { class: "quiet" });
  const timeline = element("ol", { class: "timeline" });
  const facts = element("dl", { class: "facts" });
  const attempts = element("div", { class: "attempts" });
  const decisions = element("ul", { class: "decisions" });
  const problem = element("p", { class: "problem", role: "alert" });
  const root = element(
    "main",
    { id: "content", class: "wide" },
    element("p", {}, element("a", { href: "#/" }, "← All orders")),
    element("header", { class: "order-head" }, element("h1", {}, id), pill),
    summary,
    status,
    problem,
    element(
      "section",
      { "aria-labelledby": "tried-title" },
      element("h2", { id: "tried-title" }, "What is asked for"),
      attempts,
    ),
    element(
      "div",
      { class: "columns" },
      element("section", { "aria-labelledby": "way-title" }, element("h2", { id: "way-title" }, "Its way"), timeline),
      element(
        "section",
        { "aria-labelledby": "facts-title" },
        element("h2", { id: "facts-title" }, "What is known"),
        facts,
      ),
    ),
    element(
      "section",
      { "aria-labelledby": "decisions-title" },
      element("h2", { id: "decisions-title" }, "What people decided"),
      decisions,
    ),
  );

  let relation: Relation | undefined;
  let detail: Detail | undefined;
  let waitingSeen = "";
  let asked = 0;

  async function look(): Promise<void> {
    const number = ++asked;
    try {
      const found = await detailOf(session.auth, id);
      if (number !== asked) return;
      detail = found;
      setText(problem, "");
    } catch (error) {
      if (number === asked) setText(problem, (error as Error).message);
    }
    show();
  }

  function show(): void {
    const state = relation?.state;
    pill.className = state ? `pill ${RELATION_WORDS[state].tone}` : "pill quiet";
    setText(pill, state ? RELATION_WORDS[state].title : "Not linked yet");
    setText(summary, summaryOf(relation));
    setChildren(timeline, relation ?? null, () => stepsOf(relation));
    setChildren(facts, relation ?? null, () => factsOf(relation));
    setChildren(attempts, detail && [detail.attempts, detail.unreadable], () => attemptsShown(detail));
    setChildren(decisions, detail?.audit, () => decisionsShown(detail));
  }

  function attemptsShown(known: Detail | undefined): HTMLElement[] {
    if (!known) return [element("p", { class: "quiet" }, "Looking …")];
    const unreadable = known.unreadable.map(({ reason }) =>
      element("p", { class: "problem" }, `A document can't be read: ${reason}`),
    );
    const cards = known.attempts.map((attempt) => attemptCard(attempt, session.role === "operator" ? act : undefined));
    const all = [...unreadable, ...cards];
    return all.length > 0 ? all : [element("p", { class: "quiet" }, "Nothing is open.")];
  }

  function decisionsShown(known: Detail | undefined): HTMLElement[] {
    const entries = (known?.audit ?? []).map(decisionItem);
    return entries.length > 0 ? entries : [element("li", { class: "quiet" }, "Nobody had to.")];
  }

  function act(attempt: Attempt, action: "link" | "retry"): void {
    void askDecision(session.auth, id, attempt, action).then(async (result) => {
      await look();
      if (result !== undefined) setText(status, result);
    });
  }

  const unfollow = follow(firestore, id, (found) => {
    relation = found;
    show();
    void look();
  });
  return {
    root,
    update: () => {
      const mine = [...live.waiting.values()].filter(({ order }) => order === id);
      const key = mine.map(({ id, state, reason }) => `${id} ${state} ${reason}`).join("\n");
      if (key === waitingSeen) return;
      waitingSeen = key;
      void look();
    },
    stop: unfollow,
  };
}

function summaryOf(relation: Relation | undefined): string {
  if (!relation) return "No kitchen order is linked to this order yet.";
  const { since, state } = relation;
  if (!since) return "";
  return RELATION_STATES[state].open ? `For ${duration(Date.now() - since.getTime())}.` : `Since ${moment(since)}.`;
}

/** Each state that the order came to, with how long it took from the one before. */
function stepsOf(relation: Relation | undefined): HTMLElement[] {
  if (!relation) return [element("li", { class: "quiet" }, "It has not begun.")];
  const placed = relation.placedAt
    ? [{ title: "Placed", tone: "quiet", at: relation.placedAt, linked: undefined }]
    : [];
  const steps = STATES.flatMap((state) => {
    const at = relation.times[state];
    if (!at) return [];
    const linked = state === "PREPARATION" ? relation.kitchen : state === "IN_FLIGHT" ? relation.shipment : undefined;
    return [{ ...RELATION_WORDS[state], at, linked }];
  });
  const all = [...placed, ...steps].toSorted((one, other) => one.at.getTime() - other.at.getTime());
  return all.map(({ title, tone, at, linked }, index) => {
    const before = all[index - 1];
    return element(
      "li",
      { class: tone },
      element("strong", {}, title),
      element("time", { datetime: at.toISOString() }, moment(at)),
      before && element("span", { class: "quiet" }, `after ${duration(at.getTime() - before.at.getTime())}`),
      linked === undefined ? undefined : element("code", {}, linked),
    );
  });
}

function factsOf(relation: Relation | undefined): HTMLElement[] {
  const { customer, customerId, kitchen, shipment } = relation ?? {};
  const known =
    customer === undefined
      ? "not looked up yet"
      : "reason" in customer
        ? `unknown: ${customer.reason}`
        : `${customer.name}, class ${customer.class}, roll ${customer.roll}`;
  const facts: [string, string][] = [
    ["Customer", customerId ?? "not known"],
    ["Resolved", known],
    ["Kitchen order", kitchen ?? "none yet"],
    ["Shipment", shipment ?? "none yet"],
  ];
  return facts.flatMap(([title, fact]) => [element("dt", {}, title), element("dd", {}, fact)]);
}

function attemptCard(
  attempt: Attempt,
  act: ((attempt: Attempt, action: "link" | "retry") => void) | undefined,
): HTMLElement {
  const { stage, state, tries, reason, claimedAt, nextTryAt } = attempt;
  const { title, tone, explain } = ATTEMPT_WORDS[state];
  const thing = THINGS[stage];
  const isStranded = reason?.code === "STRANDED";
  const times = tries === 0 ? "Nothing was sent by us." : `Asked for ${tries === 1 ? "once" : `${tries} times`}.`;
  const last = claimedAt && tries > 0 ? ` Last at ${moment(new Date(claimedAt))}.` : "";
  const next = nextTryAt ? ` Next try ${moment(new Date(nextTryAt))}.` : "";
  const buttons =
    act && state in DECIDABLE
      ? [
          element("button", { type: "button", click: () => act(attempt, "link") }, "Link"),
          ...(isStranded
            ? []
            : [element("button", { type: "button", click: () => act(attempt, "retry") }, "Try again")]),
        ]
      : [];
  return element(
    "article",
    { class: `card attempt ${tone}` },
    element("h3", {}, thing, " ", element("span", { class: `pill ${tone}` }, title)),
    element("p", {}, explain(thing)),
    element("p", { class: "quiet" }, times + last + next),
    reason && element("p", { class: "reason" }, `${reason.code}: ${reason.message}`),
    buttons.length > 0 ? element("div", { class: "buttons" }, ...buttons) : undefined,
  );
}

function decisionItem({ stage, action, name, by, reason, at }: Decision): HTMLElement {
  const did = action === "link" ? `linked ${name}` : `had the ${THINGS[stage]} tried again`;
  return element(
    "li",
    {},
    element("strong", {}, by),
    ` ${did}: “${reason}” `,
    element("time", { class: "quiet", datetime: at }, moment(new Date(at))),
  );
}
