/** Compares what was deployed with the reviewed manifest: nothing may be missing, different or additional. */
import type { Manifest } from "../cli-manifest.js";
import { type FunctionResource, hasRole, isCalledAt, type Project } from "./google/project.js";

type Endpoint = Manifest["endpoints"][string];

/** The project's id in deploy/manifest.json. */
const MANIFEST_PROJECT = "demo-manifest";

/** What the CLI sets beside the params. */
const PLATFORM_VARIABLES = [
  "EVENTARC_CLOUD_EVENT_SOURCE",
  "FIREBASE_CONFIG",
  "FUNCTION_REGION",
  "FUNCTION_SIGNATURE_TYPE",
  "FUNCTION_TARGET",
  "GCLOUD_PROJECT",
  "LOG_EXECUTION_ID",
];

/** What differs, one sentence each. */
export function checkSent(project: Project, manifest: Manifest): string[] {
  const wanted = JSON.parse(JSON.stringify(manifest).replaceAll(MANIFEST_PROJECT, project.id)) as Manifest;
  const found = new Map(
    Object.values(project.functions).map((resource) => [resource.name.split("/").at(-1) ?? "", resource]),
  );
  const problems = Object.keys(wanted.endpoints)
    .filter((name) => !found.has(name))
    .map((name) => `${name} is missing`);
  const params = wanted.params.flatMap(({ name, default: usual }) => (usual === undefined ? [] : [name]));
  for (const [name, resource] of found) {
    const endpoint = wanted.endpoints[name];
    if (!endpoint) problems.push(`${name} is more than was reviewed`);
    else problems.push(...differences(name, endpoint, resource, project, params));
  }
  return problems;
}

function differences(
  name: string,
  endpoint: Endpoint,
  resource: FunctionResource,
  project: Project,
  params: string[],
): string[] {
  const { serviceConfig, buildConfig, eventTrigger } = resource;
  const variables = Object.keys(serviceConfig.environmentVariables ?? {});
  const job = Object.values(project.jobs).find(({ httpTarget }) => isCalledAt(resource, httpTarget.uri));
  const member = `serviceAccount:${endpoint.serviceAccount}`;
  const pairs: [what: string, sent: unknown, wanted: unknown][] = [
    ["region", resource.name.split("/")[3], endpoint.region],
    ["runtime", buildConfig.runtime, endpoint.runtime],
    ["account", serviceConfig.serviceAccountEmail, endpoint.serviceAccount],
    ["memory", megabytes(serviceConfig.availableMemory), endpoint.availableMemoryMb],
    ["cpu", Number(serviceConfig.availableCpu), endpoint.cpu],
    ["concurrency", serviceConfig.maxInstanceRequestConcurrency, endpoint.concurrency],
    ["least instances", serviceConfig.minInstanceCount ?? 0, endpoint.minInstances],
    ["most instances", serviceConfig.maxInstanceCount, endpoint.maxInstances],
    ["time", serviceConfig.timeoutSeconds, endpoint.timeoutSeconds],
    [
      "secrets",
      serviceConfig.secretEnvironmentVariables?.map(({ key }) => key).sort(),
      endpoint.secretEnvironmentVariables?.map(({ key }) => key).sort(),
    ],
    ["variables", variables.filter((one) => !PLATFORM_VARIABLES.includes(one)).sort(), [...params].sort()],
    ["event", eventTrigger?.eventType, endpoint.eventTrigger?.eventType],
    ["topic", eventTrigger?.pubsubTopic, endpoint.eventTrigger?.eventFilters?.topic],
    ["account of the events", eventTrigger?.serviceAccountEmail, eventTrigger && endpoint.serviceAccount],
    ["retries of events", eventTrigger?.retryPolicy, eventTrigger && "RETRY_POLICY_RETRY"],
    ["schedule", Boolean(job), Boolean(endpoint.scheduleTrigger)],
    ["account of the schedule", job?.httpTarget.oidcToken.serviceAccountEmail, job && endpoint.serviceAccount],
    [
      "calls by everybody",
      hasRole(project, serviceConfig.service, "allUsers", "roles/run.invoker"),
      Boolean(endpoint.httpsTrigger),
    ],
    ["calls by its schedule", job && hasRole(project, serviceConfig.service, member, "roles/run.invoker"), job && true],
  ];
  return pairs.flatMap(([what, sent, wanted]) =>
    JSON.stringify(sent) === JSON.stringify(wanted)
      ? []
      : [`${name}: ${what} is ${JSON.stringify(sent)}, and was reviewed as ${JSON.stringify(wanted)}`],
  );
}

function megabytes(memory = ""): number {
  const [, amount, unit] = /^(\d+)(Mi|Gi)$/.exec(memory) ?? [];
  return Number(amount) * (unit === "Gi" ? 1024 : 1);
}
