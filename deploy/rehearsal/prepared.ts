/** What `npm run cloud` makes of a project, without gcloud: its own commands, carried out on the stand-in's data. */
import { invokerSteps, prepareSteps, type Step } from "../gcloud-steps.js";
import { computeAccount, type Project, policyOf, setPolicy } from "./google/project.js";

const AGENTS = {
  "pubsub.googleapis.com": "gcp-sa-pubsub",
  "eventarc.googleapis.com": "gcp-sa-eventarc",
  "cloudscheduler.googleapis.com": "gcp-sa-cloudscheduler",
};

/** As `npm run cloud -- prepare` leaves a project. */
export function prepare(project: Project, region = "us-central1"): void {
  for (const step of prepareSteps({ project: project.id, number: project.number, region })) carryOut(step, project);
}

/** As `npm run cloud -- invokers` leaves it, when the functions are there. */
export function letEventsIn(project: Project, region = "us-central1"): void {
  for (const step of invokerSteps({ project: project.id, number: project.number, region })) carryOut(step, project);
}

/** @throws Error for a command that is not known here */
function carryOut({ run }: Step, project: Project): void {
  const words = run.filter((word) => !word.startsWith("--"));
  const flag = (name: string) => {
    const at = run.findIndex((word) => word === name || word.startsWith(`${name}=`));
    return at < 0 ? "" : (run[at]?.split(/=(.*)/)[1] ?? run[at + 1] ?? "");
  };
  const line = words.join(" ");
  const named = (pattern: RegExp) => pattern.exec(line)?.[1] ?? "";
  const top = `projects/${project.id}`;
  const bind = (resource: string) => {
    const policy = structuredClone(policyOf(project, resource));
    const bindings = policy.bindings ?? [];
    const binding = bindings.find(({ role }) => role === flag("--role"));
    if (binding) binding.members = [...new Set([...binding.members, flag("--member")])];
    else bindings.push({ role: flag("--role"), members: [flag("--member")] });
    setPolicy(project, resource, { ...policy, bindings });
  };
  if (line.startsWith("services enable ")) {
    project.apis = [...new Set([...project.apis, ...words.filter((word) => word.endsWith(".googleapis.com"))])];
    if (!project.accounts.includes(computeAccount(project))) project.accounts.push(computeAccount(project));
  } else if (line.startsWith("firestore databases create")) {
    project.databases[`${top}/databases/(default)`] = { locationId: flag("--location"), type: "FIRESTORE_NATIVE" };
  } else if (line.startsWith("pubsub topics create ")) {
    project.topics.push(`${top}/topics/${named(/create (\S+)/)}`);
  } else if (line.startsWith("secrets create ")) {
    project.secrets[`${top}/secrets/${named(/create (\S+)/)}`] = {
      labels: { "firebase-managed": "functions" },
      versions: [],
    };
  } else if (line.startsWith("beta services identity create")) {
    const agent = AGENTS[flag("--service") as keyof typeof AGENTS];
    project.agents.push(`service-${project.number}@${agent}.iam.gserviceaccount.com`);
  } else if (line.startsWith("iam service-accounts create ")) {
    project.accounts.push(`${named(/create (\S+)/)}@${project.id}.iam.gserviceaccount.com`);
  } else if (line.startsWith("projects add-iam-policy-binding ")) {
    bind(top);
  } else if (line.startsWith("pubsub topics add-iam-policy-binding ")) {
    bind(`${top}/topics/${named(/binding (\S+)/)}`);
  } else if (line.startsWith("secrets add-iam-policy-binding ")) {
    bind(`${top}/secrets/${named(/binding (\S+)/)}`);
  } else if (line.startsWith("run services add-iam-policy-binding ")) {
    bind(`${top}/locations/${flag("--region")}/services/${named(/binding (\S+)/)}`);
  } else {
    throw new Error(`not known here: gcloud ${line}`);
  }
}
