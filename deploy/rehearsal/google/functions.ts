/** Cloud Functions, the upload of their source, Cloud Run and Artifact Registry. */
import { randomUUID } from "node:crypto";
import { exists, GoogleError, invalid, notFound } from "./errors.js";
import {
  checkAccount,
  computeAccount,
  type FunctionResource,
  hasRole,
  type Project,
  policyOf,
  setPolicy,
} from "./project.js";
import { type Call, checkEnabled, type Route } from "./route.js";

const FUNCTIONS_API = "cloudfunctions.googleapis.com";
const RUN = "run.googleapis.com";
const REGISTRY = "artifactregistry.googleapis.com";
const LOCATION = "/projects/{project}/locations/{location}";

const RUNTIMES = ["nodejs20", "nodejs22", "nodejs24", "python312", "python313", "go124", "java21"];
const NEEDED = ["cloudbuild", "artifactregistry", "run", "storage", "pubsub"].map((name) => `${name}.googleapis.com`);

/** Firestore's places that are more than one region, and the regions that they consist of. */
const MULTI_REGIONS: Record<string, string[]> = {
  nam5: ["us-central1", "us-central2", "us-east1"],
  eur3: ["europe-west1", "europe-west4"],
};

/** What a function may be called, and its region. Cloud Run's name for it has small letters. */
const NAME = /^[a-zA-Z][a-zA-Z0-9_-]{0,62}$/;
const REGION = /^(us|europe|asia|africa|australia|me|northamerica|southamerica)-[a-z]+\d$/;

/** Names that the platform sets itself. */
const RESERVED = ["K_SERVICE", "K_REVISION", "K_CONFIGURATION", "PORT", "FUNCTION_SIGNATURE_TYPE_"];

function create({ google, project, params, query, body }: Call): object {
  const id = query.get("functionId") ?? "";
  const name = `projects/${project.id}/locations/${params.location}/functions/${id}`;
  if (!NAME.test(id)) throw invalid(`Could not create function: the name ${id} is invalid.`);
  if (!REGION.test(params.location ?? ""))
    throw invalid(`Location ${params.location} is not found or access is unauthorized.`);
  if (project.functions[name]) throw exists(name);
  return write(google, project, name, body as FunctionResource, undefined);
}

function update({ google, project, params, query, body }: Call): object {
  const name = `projects/${project.id}/locations/${params.location}/functions/${params.function}`;
  const current = project.functions[name];
  if (!current) throw notFound(name);
  const changed = structuredClone(current);
  for (const path of (query.get("updateMask") ?? "").split(",").filter(Boolean))
    copy(body, changed as unknown as Record<string, unknown>, path.split("."));
  return write(google, project, name, changed, current);
}

/** Takes one path of an update mask over; what the new state lacks is removed. */
function copy(from: Record<string, unknown>, to: Record<string, unknown>, [first = "", ...rest]: string[]): void {
  if (rest.length === 0) {
    if (from?.[first] === undefined || from[first] === null) delete to[first];
    else to[first] = structuredClone(from[first]);
    return;
  }
  to[first] = { ...(to[first] as object) };
  copy((from?.[first] ?? {}) as Record<string, unknown>, to[first] as Record<string, unknown>, rest);
}

function write(
  google: Call["google"],
  project: Project,
  name: string,
  wanted: FunctionResource,
  current: FunctionResource | undefined,
): object {
  for (const api of NEEDED) checkEnabled(project, api);
  const region = name.split("/")[3] ?? "";
  const id = name.split("/")[5] ?? "";
  checkBuild(google, project, wanted);
  const account = wanted.serviceConfig.serviceAccountEmail ?? computeAccount(project);
  checkAccount(project, account);
  checkService(wanted);
  checkSecrets(project, wanted, account);
  if (wanted.eventTrigger) checkTrigger(project, wanted, region, current);

  const service = `projects/${project.id}/locations/${region}/services/${id.toLowerCase()}`;
  const run = project.run[service] ?? { revisions: [], tags: {} };
  run.revisions.push(`${id.toLowerCase()}-${String(run.revisions.length + 1).padStart(5, "0")}-rev`);
  project.run[service] = run;
  const uri = `https://${id.toLowerCase()}-${project.number}.${region}.run.app`;
  const made: FunctionResource = {
    ...wanted,
    name,
    state: "ACTIVE",
    environment: "GEN_2",
    updateTime: new Date().toISOString(),
    url: `https://${region}-${project.id}.cloudfunctions.net/${id}`,
    serviceConfig: { ...wanted.serviceConfig, serviceAccountEmail: account, service, uri },
  };
  if (made.eventTrigger) made.eventTrigger.triggerRegion ??= region;
  project.functions[name] = made;
  // The first build makes the repository for its images.
  project.repositories[`projects/${project.id}/locations/${region}/repositories/gcf-artifacts`] ??= {
    format: "DOCKER",
    labels: {},
  };
  return google.operation(`projects/${project.id}/locations/${region}/operations/${randomUUID()}`, {
    "@type": "type.googleapis.com/google.cloud.functions.v2.Function",
    ...made,
  });
}

function checkBuild(google: Call["google"], project: Project, { buildConfig }: FunctionResource): void {
  const { runtime, entryPoint, source } = buildConfig ?? {};
  if (!RUNTIMES.includes(runtime)) throw invalid(`Runtime ${runtime} is not supported or does not exist.`);
  if (!entryPoint) throw invalid("buildConfig.entryPoint must be set.");
  const object = source?.storageSource?.object ?? "";
  if (!google.objects.has(object)) throw invalid(`Build source object ${object} does not exist in the bucket.`);
  const builder = computeAccount(project);
  if (!hasRole(project, "", `serviceAccount:${builder}`, "roles/cloudbuild.builds.builder")) {
    throw invalid(`Build failed: the service account ${builder} lacks the role roles/cloudbuild.builds.builder.`);
  }
}

function checkService({ serviceConfig, labels = {}, eventTrigger }: FunctionResource): void {
  const {
    environmentVariables = {},
    timeoutSeconds = 60,
    maxInstanceRequestConcurrency = 1,
    availableCpu = "1",
  } = serviceConfig;
  for (const [name, value] of Object.entries(environmentVariables)) {
    if (!/^[A-Za-z_]\w*$/.test(name)) throw invalid(`Environment variable name ${name} is invalid.`);
    if (RESERVED.includes(name)) throw invalid(`The environment variable ${name} is reserved.`);
    if (typeof value !== "string")
      throw invalid(`Invalid value at environment_variables[${name}] (TYPE_STRING): ${value}`);
  }
  for (const [key, value] of Object.entries(labels)) {
    if (!/^[a-z][a-z0-9_-]{0,62}$/.test(key) || !/^[a-z0-9_-]{0,63}$/.test(value))
      throw invalid(`Label ${key}=${value} is invalid.`);
  }
  const most = eventTrigger ? 540 : 3600;
  if (timeoutSeconds > most || timeoutSeconds < 1)
    throw invalid(`Invalid timeout ${timeoutSeconds}: it must be between 1 and ${most} seconds.`);
  if (maxInstanceRequestConcurrency > 1 && Number(availableCpu) < 1)
    throw invalid("Concurrency above 1 needs at least 1 CPU.");
  const { minInstanceCount = 0, maxInstanceCount = 100 } = serviceConfig;
  if (minInstanceCount > maxInstanceCount) throw invalid("min_instance_count must not be above max_instance_count.");
  if (!/^\d+(Mi|Gi|M|G)$/.test(String(serviceConfig.availableMemory)))
    throw invalid(`Invalid memory ${serviceConfig.availableMemory}.`);
}

function checkSecrets(project: Project, { serviceConfig }: FunctionResource, account: string): void {
  for (const { projectId, secret, version } of serviceConfig.secretEnvironmentVariables ?? []) {
    if (projectId !== project.id && projectId !== project.number) throw denied(secret, version, account);
    const name = `projects/${project.id}/secrets/${secret}`;
    const versions = project.secrets[name]?.versions;
    const found = version === "latest" ? versions?.at(-1) : versions?.[Number(version) - 1];
    if (!found) throw invalid(`Secret ${name}/versions/${version} was not found.`);
    if (found.state !== "ENABLED")
      throw invalid(`Secret version ${name}/versions/${version} is in state ${found.state}.`);
    if (!hasRole(project, name, `serviceAccount:${account}`, "roles/secretmanager.secretAccessor"))
      throw denied(name, version, account);
  }
}

const denied = (secret: string, version: string, account: string) =>
  invalid(
    `Permission denied on secret: ${secret}/versions/${version} for Revision service account ${account}. The service account used must be granted the 'Secret Manager Secret Accessor' role (roles/secretmanager.secretAccessor) at the secret, project or higher level.`,
  );

function checkTrigger(
  project: Project,
  { eventTrigger, serviceConfig }: FunctionResource,
  region: string,
  current: FunctionResource | undefined,
): void {
  if (!eventTrigger) return;
  checkEnabled(project, "eventarc.googleapis.com");
  if (current?.eventTrigger && current.eventTrigger.eventType !== eventTrigger.eventType)
    throw invalid("The trigger type of a function can't be changed.");
  const account = eventTrigger.serviceAccountEmail ?? serviceConfig.serviceAccountEmail ?? computeAccount(project);
  checkAccount(project, account);
  const agent = (name: string) => `serviceAccount:service-${project.number}@${name}.iam.gserviceaccount.com`;
  if (!hasRole(project, "", agent("gcp-sa-eventarc"), "roles/eventarc.serviceAgent")) {
    throw invalid(
      "Permission denied while using the Eventarc Service Agent. If you recently started to use Eventarc, it may take a few minutes before all necessary permissions are propagated to the Service Agent. Otherwise, verify that it has Eventarc Service Agent role.",
    );
  }
  if (eventTrigger.eventType === "google.cloud.pubsub.topic.v1.messagePublished") {
    const topic = eventTrigger.pubsubTopic ?? current?.eventTrigger?.pubsubTopic ?? "";
    if (!project.topics.includes(topic)) throw new GoogleError(404, `Topic not found: ${topic}`);
    if (!hasRole(project, "", agent("gcp-sa-pubsub"), "roles/iam.serviceAccountTokenCreator")) {
      throw invalid(
        "The Pub/Sub service agent needs the role roles/iam.serviceAccountTokenCreator to make tokens for pushes.",
      );
    }
    return;
  }
  if (!eventTrigger.eventType.startsWith("google.cloud.firestore.document.v1."))
    throw invalid(`Event type ${eventTrigger.eventType} is unknown.`);
  const filter = (attribute: string) => eventTrigger.eventFilters?.find((one) => one.attribute === attribute);
  const database = project.databases[`projects/${project.id}/databases/${filter("database")?.value}`];
  if (!database) throw new GoogleError(404, `Database ${filter("database")?.value} does not exist.`);
  if (filter("document")?.operator !== "match-path-pattern")
    throw invalid("A document filter with a wildcard needs the operator match-path-pattern.");
  if ((eventTrigger.triggerRegion ?? region) !== database.locationId) {
    throw invalid(
      `Invalid resource state: the trigger's location ${eventTrigger.triggerRegion ?? region} must be the location of the database, ${database.locationId}.`,
    );
  }
  if (region !== database.locationId && !MULTI_REGIONS[database.locationId]?.includes(region)) {
    throw invalid(`The function's region ${region} must be in the location of the database, ${database.locationId}.`);
  }
  if (!hasRole(project, "", `serviceAccount:${account}`, "roles/eventarc.eventReceiver")) {
    throw invalid(`The principal ${account} lacks IAM permission "eventarc.events.receiveEvent".`);
  }
}

function uploadUrl({ google, project, params }: Call): object {
  const object = `${randomUUID()}.zip`;
  project.uploads.push(object);
  const bucket = `gcf-v2-uploads-${project.number}.${params.location}.cloudfunctions.appspot.com`;
  google.objects.delete(object);
  return {
    uploadUrl: `https://storage.googleapis.com/${bucket}/${object}?X-Goog-Signature=x`,
    storageSource: { bucket, object, generation: "1" },
  };
}

/** A service as Cloud Run's API shows it. */
function serviceOf(project: Project, name: string): object {
  const run = project.run[name];
  if (!run)
    throw new GoogleError(
      404,
      `Resource '${name.split("/")[5]}' of kind 'SERVICE' in region '${name.split("/")[3]}' in project '${project.id}' does not exist.`,
    );
  const latest = run.revisions.at(-1);
  return {
    apiVersion: "serving.knative.dev/v1",
    kind: "Service",
    metadata: {
      name: name.split("/")[5],
      namespace: project.number,
      generation: run.revisions.length,
      labels: { "cloud.googleapis.com/location": name.split("/")[3] },
    },
    spec: { template: { metadata: { name: latest }, spec: {} }, traffic: [{ latestRevision: true, percent: 100 }] },
    status: {
      observedGeneration: run.revisions.length,
      latestReadyRevisionName: latest,
      latestCreatedRevisionName: latest,
      conditions: [{ type: "Ready", status: "True" }],
      traffic: [
        { latestRevision: true, percent: 100, revisionName: latest },
        ...Object.entries(run.tags).map(([tag, revisionName]) => ({ tag, revisionName, percent: 0 })),
      ],
    },
  };
}

const serviceName = ({ project, params }: Call) =>
  `projects/${project.id}/locations/${params.location}/services/${params.service}`;

function knownService(call: Call): string {
  const name = serviceName(call);
  serviceOf(call.project, name);
  return name;
}

export const FUNCTIONS: Route[] = [
  {
    method: "GET",
    host: FUNCTIONS_API,
    path: `/v1${LOCATION}/functions`,
    answer: () => ({ functions: [] }),
  },
  {
    method: "GET",
    host: FUNCTIONS_API,
    path: `/v2${LOCATION}/functions`,
    answer: ({ project, params }) => ({
      functions: Object.values(project.functions).filter(
        ({ name }) => params.location === "-" || name.split("/")[3] === params.location,
      ),
    }),
  },
  {
    method: "GET",
    host: FUNCTIONS_API,
    path: `/v2${LOCATION}/functions/{function}`,
    answer: ({ project, params }) => {
      const name = `projects/${project.id}/locations/${params.location}/functions/${params.function}`;
      return project.functions[name] ?? refuse(notFound(name));
    },
  },
  { method: "POST", host: FUNCTIONS_API, path: `/v2${LOCATION}/functions:generateUploadUrl`, answer: uploadUrl },
  { method: "POST", host: FUNCTIONS_API, path: `/v2${LOCATION}/functions`, answer: create },
  { method: "PATCH", host: FUNCTIONS_API, path: `/v2${LOCATION}/functions/{function}`, answer: update },
  {
    method: "DELETE",
    host: FUNCTIONS_API,
    path: `/v2${LOCATION}/functions/{function}`,
    answer: ({ google, project, params }) => {
      const name = `projects/${project.id}/locations/${params.location}/functions/${params.function}`;
      delete project.functions[name];
      return google.operation(`projects/${project.id}/locations/${params.location}/operations/${randomUUID()}`, {});
    },
  },
  {
    method: "GET",
    host: FUNCTIONS_API,
    path: `/v2${LOCATION}/operations/{operation}`,
    answer: ({ google, project, params }) =>
      google.operations.get(`projects/${project.id}/locations/${params.location}/operations/${params.operation}`) ??
      refuse(notFound("operation")),
  },
  {
    method: "PUT",
    host: "storage.googleapis.com",
    path: "/{bucket}/{object}",
    answer: ({ google, params, bytes }) => {
      if (bytes.readUInt32BE(0) !== 0x504b0304) throw invalid("The source is no zip archive.");
      google.objects.set(params.object ?? "", bytes);
      return "";
    },
  },

  // Cloud Run
  {
    method: "GET",
    host: RUN,
    path: `/v1${LOCATION}/services/{service}`,
    answer: (call) => serviceOf(call.project, serviceName(call)),
  },
  { method: "GET", host: RUN, path: `/v2${LOCATION}/services`, answer: () => ({ services: [] }) },
  ...(["GET", "POST"] as const).map(
    (method): Route => ({
      method,
      host: RUN,
      path: `/v1${LOCATION}/services/{service}:getIamPolicy`,
      answer: (call) => policyOf(call.project, knownService(call)),
    }),
  ),
  {
    method: "POST",
    host: RUN,
    path: `/v1${LOCATION}/services/{service}:setIamPolicy`,
    answer: (call) => setPolicy(call.project, knownService(call), call.body.policy),
  },
  {
    method: "PUT",
    host: RUN,
    path: `/v1${LOCATION}/services/{service}`,
    answer: (call) => {
      const name = knownService(call);
      const run = call.project.run[name];
      for (const { tag, revisionName } of call.body.spec?.traffic ?? []) {
        if (tag && run) run.tags[tag] = revisionName ?? run.revisions.at(-1);
      }
      return serviceOf(call.project, name);
    },
  },

  // Artifact Registry
  {
    method: "GET",
    host: REGISTRY,
    path: `/v1${LOCATION}/repositories/{repository}`,
    answer: ({ project, params }) => {
      const name = `projects/${project.id}/locations/${params.location}/repositories/${params.repository}`;
      return { name, ...(project.repositories[name] ?? refuse(notFound(name))) };
    },
  },
  {
    method: "PATCH",
    host: REGISTRY,
    path: `/v1${LOCATION}/repositories/{repository}`,
    answer: ({ project, params, body }) => {
      const name = `projects/${project.id}/locations/${params.location}/repositories/${params.repository}`;
      project.repositories[name] = { ...(project.repositories[name] ?? refuse(notFound(name))), ...body };
      return { name, ...project.repositories[name] };
    },
  },
];

function refuse(error: Error): never {
  throw error;
}
