/** The account of each function with only the access that it needs. All grants derive from this table. */

import { FUNCTION_OPTIONS, type FunctionName } from "../functions/src/adapters/firebase/function-options.js";
import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import { CONTINUATION_TOPIC } from "../functions/src/pipeline/messages.js";

interface Access {
  /** What the function is for, as its account is shown in the console. */
  work: string;
  /** The topics that it publishes to. */
  publishes: readonly string[];
  /** What calls it: Eventarc brings events, Cloud Scheduler ticks; people's requests carry a token that the function checks. */
  calledBy: "events" | "schedule" | "people";
  /** Whether it looks up who signed in. */
  signIns?: true;
}

const STAGE_TOPICS = Object.values(STAGES).map(({ topic }) => topic);
const POLLED = [...STAGE_TOPICS, CONTINUATION_TOPIC];

export const ACCESS: Record<FunctionName, Access> = {
  pollOrders: { work: "publishes every active order", publishes: POLLED, calledBy: "schedule" },
  continuePoll: { work: "continues a poll that ran out of time", publishes: POLLED, calledBy: "events" },
  sendToKitchen: { work: "creates kitchen orders", publishes: [], calledBy: "events" },
  dispatchShipment: { work: "creates shipments", publishes: [], calledBy: "events" },
  completeOrder: { work: "records the outcome of shipments", publishes: [], calledBy: "events" },
  onRelationWritten: { work: "reports statuses to the food service", publishes: [], calledBy: "events" },
  onRelationCreated: { work: "resolves customers", publishes: [], calledBy: "events" },
  sweep: {
    work: "closes relations of ended orders and logs orders awaiting an operator",
    publishes: [],
    calledBy: "schedule",
  },
  api: { work: "serves the operator API", publishes: [], calledBy: "people", signIns: true },
};

/** Every function reads and writes documents, and calls the food service. */
const EVERY_ROLE = ["roles/datastore.user"];
export const SECRETS = ["FOOD_SERVICE_CA"];
export const TOPICS = [...new Set(Object.values(ACCESS).flatMap(({ publishes }) => publishes))];
export const FUNCTION_NAMES = Object.keys(ACCESS) as FunctionName[];

/** The roles that a function's account has on the whole project. */
export function projectRoles(name: FunctionName): string[] {
  const { calledBy, signIns } = ACCESS[name];
  return [
    ...EVERY_ROLE,
    ...(calledBy === "events" ? ["roles/eventarc.eventReceiver"] : []),
    ...(signIns ? ["roles/firebaseauth.viewer"] : []),
  ];
}

/** The name of the function's account: its address up to the @. */
export function accountOf(name: FunctionName): string {
  return FUNCTION_OPTIONS[name].account;
}

/** The whole address of the function's account in a project. */
export function accountAddress(name: FunctionName, project: string): string {
  return `${accountOf(name)}@${project}.iam.gserviceaccount.com`;
}

/** Whether the function's own account must be allowed to call it: Eventarc and Cloud Scheduler call as this account. */
export function callsItself(name: FunctionName): boolean {
  return ACCESS[name].calledBy !== "people";
}

/** The table of accounts in docs/operations.md. */
export function accessTable(): string {
  const rows = FUNCTION_NAMES.map((name) => {
    const { work, publishes } = ACCESS[name];
    const cells = [
      `\`${name}\`: ${work}`,
      `\`${accountOf(name)}\``,
      projectRoles(name)
        .map((role) => `\`${role.slice("roles/".length)}\``)
        .join(", "),
      [
        ...SECRETS.map((secret) => `reads the secret \`${secret}\``),
        ...(publishes.length === 0 ? [] : [`publishes to ${publishes.map((topic) => `\`${topic}\``).join(", ")}`]),
        ...(callsItself(name) ? ["calls the function itself"] : []),
      ].join("; "),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return ["| function | account | on the project | on single resources |", "|---|---|---|---|", ...rows].join("\n");
}
