/** Applies the commands of `npm run cloud` to the stand-in's data, without gcloud. */
import { invokerSteps, prepareSteps, type Step } from "../gcloud-steps.js";
import { AGENTS } from "./google/platform.js";
import { computeAccount, type Project, policyOf, setPolicy } from "./google/project.js";

/** As `npm run cloud -- prepare` leaves a project. */
export function prepare(project: Project, region = "us-central1"): void {
  for (const step of prepareSteps({ project: project.id, number: project.number, region })) apply(step, project);
}

/** As `npm run cloud -- invokers` leaves it, when the functions are there. */
export function letEventsIn(project: Project, region = "us-central1"): void {
  for (const step of invokerSteps({ project: project.id, number: project.number, region })) apply(step, project);
}

interface Command {
  project: Project;
  /** What it names, the first of its words that is no verb. */
  name: string;
  words: string[];
  /** The value of an option. */
  flag(name: string): string;
}

/** What each command leaves in a project, by the words that it begins with. */
const EFFECTS: Record<string, (command: Command) => void> = {
  "services enable": ({ project, words }) => {
    const apis = words.filter((word) => word.endsWith(".googleapis.com"));
    project.apis = [...new Set([...project.apis, ...apis])];
    project.accounts = [...new Set([...project.accounts, computeAccount(project)])];
  },
  "firestore databases create": ({ project, flag }) => {
    const name = `projects/${project.id}/databases/(default)`;
    project.databases[name] = { locationId: flag("--location"), type: "FIRESTORE_NATIVE" };
  },
  "pubsub topics create": ({ project, name }) => {
    project.topics.push(`projects/${project.id}/topics/${name}`);
  },
  "secrets create": ({ project, name }) => {
    const labels = { "firebase-managed": "functions" };
    project.secrets[`projects/${project.id}/secrets/${name}`] = { labels, versions: [] };
  },
  "beta services identity create": ({ project, flag }) => {
    project.agents.push(`service-${project.number}@${AGENTS[flag("--service")]}.iam.gserviceaccount.com`);
  },
  "iam service-accounts create": ({ project, name }) => {
    project.accounts.push(`${name}@${project.id}.iam.gserviceaccount.com`);
  },
  "projects add-iam-policy-binding": (command) => bind(command, ""),
  "pubsub topics add-iam-policy-binding": (command) => bind(command, `/topics/${command.name}`),
  "secrets add-iam-policy-binding": (command) => bind(command, `/secrets/${command.name}`),
  "run services add-iam-policy-binding": (command) =>
    bind(command, `/locations/${command.flag("--region")}/services/${command.name}`),
};

/** Gives a member a role on a resource of the project. */
function bind({ project, flag }: Command, resource: string): void {
  const name = `projects/${project.id}${resource}`;
  const policy = structuredClone(policyOf(project, name));
  const bindings = policy.bindings ?? [];
  const binding = bindings.find(({ role }) => role === flag("--role"));
  if (binding) binding.members = [...new Set([...binding.members, flag("--member")])];
  else bindings.push({ role: flag("--role"), members: [flag("--member")] });
  setPolicy(project, name, { ...policy, bindings });
}

/** @throws Error for an unsupported command */
function apply({ create: command }: Step, project: Project): void {
  const words = command.filter((word) => !word.startsWith("--"));
  const line = words.join(" ");
  const [verb, effect] = Object.entries(EFFECTS).find(([verb]) => line.startsWith(`${verb} `)) ?? [];
  if (!verb || !effect) throw new Error(`not known here: gcloud ${line}`);
  const flag = (name: string) => {
    const at = command.findIndex((word) => word === name || word.startsWith(`${name}=`));
    return at < 0 ? "" : (command[at]?.split(/=(.*)/)[1] ?? command[at + 1] ?? "");
  };
  effect({ project, name: words[verb.split(" ").length] ?? "", words, flag });
}
