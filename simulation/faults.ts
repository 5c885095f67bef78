/** Every fault that the simulation knows, where it can strike, and how a schedule of faults is chosen. */
import type { Randomness } from "../functions/src/ports.js";

/** What the system does to the world around it, and the world to it. */
export type Operation =
  | "read"
  | "commit"
  | "query"
  | "ready"
  | "listOrders"
  | "getOrder"
  | "getKitchenOrder"
  | "getShipment"
  | "updateOrder"
  | "createKitchenOrder"
  | "createShipment"
  | "userByName"
  | "publish"
  | "start"
  | "deliver"
  | "react"
  | "tick"
  | "continue"
  | "link"
  | "retry"
  | "dismiss"
  | "deploy";

const INTERRUPTIONS = ["crash after", "hang", "pause", "suspend"] as const;
/** A crash before the effect and one after it differ only if it changes anything. */
const CRASHES = ["crash before", ...INTERRUPTIONS] as const;
/** A read changes nothing and has a deadline: a pause is a short suspension, and a call that hangs is slow. */
const READS = ["crash after", "suspend", "error", "slow", "outage"] as const;
/** "empty replica": for a while, the food service lists nothing and finds nothing. */
const LOOKUPS = [...READS, "empty replica"] as const;
/** What is read disappears for longer than MISSING_AFTER_MINUTES, for good, or several times for a short time. */
const LOSSES = ["lost for a while", "lost for good", "lost again and again"] as const;
/** For longer than MISSING_AFTER_MINUTES, or for good, the food service answers about another order than the one that it is asked for. */
export const FOREIGN_REPLIES = ["foreign replies for a while", "foreign replies for good"] as const;
/**
 * For a while: every page of the status fails; every page takes almost as long as a call may; the pages of the status never end; the food
 * service lists and finds nothing for longer than MISSING_AFTER_MINUTES.
 */
const LISTINGS = ["failing pages", "slow pages", "endless pages", "empty for long"] as const;
/** From now on, a page without orders comes before the first page of every list. */
const EMPTY_PAGES = "empty pages";
/** For a while, the food service rejects the updates of an order's status, or acknowledges and ignores them. */
const FAILING_REPORTS = ["rejected for long", "ignored for long"] as const;
const WRITES = [...CRASHES, "error", "error after", "late", "outage"] as const;
/**
 * "linked by others": another program creates and links a resource of its own at the same time, and the process may crash. "refused again":
 * the next tries are refused too. "overtaken": another program advances the order without a link, and the process is paused.
 */
const CREATES = [
  ...WRITES,
  "refused",
  "refused at length",
  "refused again",
  "unsent",
  "empty name",
  "foreign name",
  "doubled name",
  "cancel",
  "linked by others",
  "overtaken",
] as const;
/**
 * The same decision is sent twice at a time; another operator decides differently at the same time; the same decision is sent again
 * much later, from a page that was loaded long before.
 */
const DECISIONS = ["sent twice", "contradicted", "sent again later"] as const;

/** By operation, the faults that can strike there. */
export const FAULTS = {
  read: READS,
  query: READS,
  commit: WRITES,
  ready: [...INTERRUPTIONS, "error"],
  listOrders: [
    ...LOOKUPS,
    "page repeated",
    "page with gaps",
    "unusable orders",
    "page too large",
    "filter ignored",
    ...LISTINGS,
    EMPTY_PAGES,
  ],
  getOrder: [
    ...LOOKUPS,
    ...LOSSES,
    "cancel",
    "ended by others",
    "set back",
    "advanced by others",
    "foreign reply",
    ...FOREIGN_REPLIES,
    "unknown status",
    "unstorable order",
  ],
  getKitchenOrder: [...LOOKUPS, ...LOSSES, "cancel", "foreign reply", "unknown status"],
  getShipment: [...LOOKUPS, ...LOSSES, "foreign reply", "unknown status"],
  updateOrder: [...WRITES, "cancel", "rejected", "ignored", ...FAILING_REPORTS],
  createKitchenOrder: CREATES,
  createShipment: CREATES,
  userByName: [...READS, "refused"],
  publish: [...CRASHES, "error", "error after"],
  start: ["clock skew"],
  deliver: ["loss", "duplicate", "reorder", "poison"],
  react: ["loss", "duplicate", "reorder"],
  /** "meeting": several deliveries of a continuation at the same time. */
  continue: ["loss", "duplicate", "reorder", "meeting"],
  /**
   * "replaced": the food service loses an order and gives its name to a new one. "flapping": it shows a cancelled order as active twice,
   * each time briefly.
   */
  tick: ["missed", "doubled", "overlapping", "restore", "replaced", "flapping"],
  /** "wrong name": first, the operator links another order's resource, or one that does not exist. "overlooked": the operator retries instead. */
  link: [...DECISIONS, "wrong name", "overlooked"],
  retry: DECISIONS,
  /** "misread later": soon after, the food service answers about another order than the dismissed one for a while. */
  dismiss: [...DECISIONS, "misread later"],
  deploy: [],
} as const satisfies Record<Operation, readonly string[]>;

export type Fault = (typeof FAULTS)[Operation][number];

/** Every kind of fault, once. */
export const FAULT_KINDS = [...new Set(Object.values(FAULTS).flat())] as Fault[];

/** The key with which another program creates a resource for the order and the stage of our key. */
export const keyOfOthers = (key: string) => `others ${key}`;

/** After these the process can say for certain that a create was not carried out. */
export const DECIDABLE: readonly Fault[] = ["refused", "refused at length", "refused again", "unsent", "outage"];

/** Which fault strikes at which effect; effects are numbered as they come. */
export type Schedule = ReadonlyMap<number, Fault>;

/** Chooses the fault of each effect as it comes. */
export type Choose = (effect: number, operation: Operation) => Fault | undefined;

/** Follows a schedule; a fault that can't strike at that effect is left out. */
export function following(schedule: Schedule): Choose {
  return (effect, operation) => {
    const fault = schedule.get(effect);
    return fault && (FAULTS[operation] as readonly Fault[]).includes(fault) ? fault : undefined;
  };
}

/**
 * The exhaustive search tries these only alone: what they lead to together with others is left to the random search. A slow read fails as
 * one with an error does, only later.
 */
const ALONE: readonly Fault[] = [
  EMPTY_PAGES,
  ...FAILING_REPORTS,
  "advanced by others",
  "slow",
  "refused again",
  "overtaken",
];
export const strikesAlone = (fault: Fault) => ALONE.includes(fault);

/** Faults after which a run takes many times as long as others; they strike in this share of the cases only. */
const LONG: readonly Fault[] = [
  ...LOSSES,
  ...FOREIGN_REPLIES,
  "empty for long",
  "restore",
  "replaced",
  "flapping",
  ...FAILING_REPORTS,
];
const isLong = (fault: Fault) => LONG.includes(fault);
const LONG_SHARE = 0.4;

/** Follows a schedule up to an effect, and chooses at random from there on. */
export function branching(schedule: Schedule, from: number, choose: Choose): Choose {
  const follow = following(schedule);
  return (effect, operation) => (effect < from ? follow : choose)(effect, operation);
}

/**
 * How much more often than others an operation is struck. What decides about an order is rare, and what merely finds that nothing has
 * changed is frequent.
 */
const WEIGHTS: { readonly [O in Operation]?: number } = {
  read: 0.4,
  query: 0.4,
  userByName: 0.2,
  listOrders: 0.8,
  deliver: 0.4,
  tick: 3,
  react: 0.4,
  commit: 1.5,
  updateOrder: 3,
  createKitchenOrder: 6,
  createShipment: 6,
  continue: 20,
  link: 20,
  retry: 20,
  dismiss: 20,
};

/**
 * How many times more often than others these are chosen: only slow or endless pages lead to polls that several runs continue, and a loss
 * that comes back again and again needs an order that waits for long.
 */
const FAVORED: { readonly [F in Fault]?: number } = { "slow pages": 5, "endless pages": 5, "lost again and again": 3 };

/** The share of the choices in which only a few kinds of faults strike, and then more often: together they lead further. */
const FOCUSED_SHARE = 0.5;
const FOCUSED_KINDS = 6;
const FOCUSED_WEIGHT = 4;

/** Strikes at so large a share of the effects, at random, at most so many times. */
export function choosing(random: Randomness, share: number, most: number): Choose {
  let struck = 0;
  const isFocused = random.fraction() < FOCUSED_SHARE;
  const oneKind = () => FAULT_KINDS[Math.floor(random.fraction() * FAULT_KINDS.length)];
  const focus = isFocused ? Array.from({ length: FOCUSED_KINDS }, oneKind) : FAULT_KINDS;
  const weighted = (kind: Fault) => Array.from({ length: FAVORED[kind] ?? 1 }, () => kind);
  const kindsOf = (operation: Operation) =>
    (FAULTS[operation] as readonly Fault[]).filter((kind) => focus.includes(kind)).flatMap(weighted);
  const kindsByOperation = new Map((Object.keys(FAULTS) as Operation[]).map((name) => [name, kindsOf(name)]));
  const weight = share * (isFocused ? FOCUSED_WEIGHT : 1);
  return (_effect, operation) => {
    if (struck >= most || random.fraction() >= weight * (WEIGHTS[operation] ?? 1)) return undefined;
    const kinds = kindsByOperation.get(operation) ?? [];
    const fault = kinds[Math.floor(random.fraction() * kinds.length)];
    if (fault && isLong(fault) && random.fraction() >= LONG_SHARE) return undefined;
    struck++;
    return fault;
  };
}
