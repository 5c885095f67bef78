/** Cloud Functions, the upload of their source, Cloud Run and Artifact Registry. */
import { randomUUID } from "node:crypto";
import { demand, exists, found, GoogleError, notFound } from "./errors.js";
import { checkAccount, computeAccount, type FunctionResource, hasRole, type Project, policyOf } from "./project.js";
import { type Call, checkEnabled, policyRoutes, type Route, routes } from "./route.js";

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

const ZIP_SIGNATURE = 0x504b0304;

/** Names that the platform sets itself. */
const RESERVED = ["K_SERVICE", "K_REVISION", "K_CONFIGURATION", "PORT", "FUNCTION_SIGNATURE_TYPE_"];

function create({ google, project, params, query, body }: Call): object {
  const id = query.get("functionId") ?? "";
  const name = `projects/${project.id}/locations/${params.location}/functions/${id}`;
  demand(NAME.test(id), `Could not create function: the name ${id} is invalid.`);
  demand(REGION.test(params.location ?? ""), `Location ${params.location} is not found or access is unauthorized.`);
  if (project.functions[name]) throw exists(name);
  return write(google, project, name, body as FunctionResource, undefined);
}

function update({ google, project, name, query, body }: Call): object {
  const current = found(project.functions, name);
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
  demand(RUNTIMES.includes(runtime), `Runtime ${runtime} is not supported or does not exist.`);
  demand(entryPoint, "buildConfig.entryPoint must be set.");
  const object = source?.storageSource?.object ?? "";
  demand(google.objects.has(object), `Build source object ${object} does not exist in the bucket.`);
  const builder = computeAccount(project);
  demand(
    hasRole(project, "", `serviceAccount:${builder}`, "roles/cloudbuild.builds.builder"),
    `Build failed: the service account ${builder} lacks the role roles/cloudbuild.builds.builder.`,
  );
}

function checkService({ serviceConfig, labels = {}, eventTrigger }: FunctionResource): void {
  for (const [name, value] of Object.entries(serviceConfig.environmentVariables ?? {})) {
    demand(/^[A-Za-z_]\w*$/.test(name), `Environment variable name ${name} is invalid.`);
    demand(!RESERVED.includes(name), `The environment variable ${name} is reserved.`);
    demand(typeof value === "string", `Invalid value at environment_variables[${name}] (TYPE_STRING): ${value}`);
  }
  for (const [key, value] of Object.entries(labels)) {
    const isValid = /^[a-z][a-z0-9_-]{0,62}$/.test(key) && /^[a-z0-9_-]{0,63}$/.test(value);
    demand(isValid, `Label ${key}=${value} is invalid.`);
  }
  checkResources(serviceConfig, eventTrigger ? 540 : 3600);
}

function checkResources(
  {
    timeoutSeconds = 60,
    maxInstanceRequestConcurrency = 1,
    availableCpu = "1",
    minInstanceCount = 0,
    maxInstanceCount = 100,
    availableMemory,
  }: FunctionResource["serviceConfig"],
  longestSeconds: number,
): void {
  demand(
    timeoutSeconds >= 1 && timeoutSeconds <= longestSeconds,
    `Invalid timeout ${timeoutSeconds}: it must be between 1 and ${longestSeconds} seconds.`,
  );
  const isOneAtATime = maxInstanceRequestConcurrency <= 1;
  demand(isOneAtATime || Number(availableCpu) >= 1, "Concurrency above 1 needs at least 1 CPU.");
  demand(minInstanceCount <= maxInstanceCount, "min_instance_count must not be above max_instance_count.");
  demand(/^\d+(Mi|Gi|M|G)$/.test(String(availableMemory)), `Invalid memory ${availableMemory}.`);
}

function checkSecrets(project: Project, { serviceConfig }: FunctionResource, account: string): void {
  for (const { projectId, secret, version } of serviceConfig.secretEnvironmentVariables ?? []) {
    demand([project.id, project.number].includes(projectId), denied(secret, version, account));
    const name = `projects/${project.id}/secrets/${secret}`;
    const versions = project.secrets[name]?.versions;
    const wanted = version === "latest" ? versions?.at(-1) : versions?.[Number(version) - 1];
    demand(wanted, `Secret ${name}/versions/${version} was not found.`);
    demand(wanted.state === "ENABLED", `Secret version ${name}/versions/${version} is in state ${wanted.state}.`);
    const mayRead = hasRole(project, name, `serviceAccount:${account}`, "roles/secretmanager.secretAccessor");
    demand(mayRead, denied(name, version, account));
  }
}

const denied = (secret: string, version: string, account: string) =>
  `Permission denied on secret: ${secret}/versions/${version} for Revision service account ${account}. The service account used must be granted the 'Secret Manager Secret Accessor' role (roles/secretmanager.secretAccessor) at the secret, project or higher level.`;

type Trigger = NonNullable<FunctionResource["eventTrigger"]>;

function checkTrigger(
  project: Project,
  { eventTrigger, serviceConfig }: FunctionResource,
  region: string,
  current: FunctionResource | undefined,
): void {
  if (!eventTrigger) return;
  const { eventType } = eventTrigger;
  checkEnabled(project, "eventarc.googleapis.com");
  const isOfSameType = !current?.eventTrigger || current.eventTrigger.eventType === eventType;
  demand(isOfSameType, "The trigger type of a function can't be changed.");
  const account = eventTrigger.serviceAccountEmail ?? serviceConfig.serviceAccountEmail ?? computeAccount(project);
  checkAccount(project, account);
  demand(
    hasRole(project, "", agent(project, "gcp-sa-eventarc"), "roles/eventarc.serviceAgent"),
    "Permission denied while using the Eventarc Service Agent. If you recently started to use Eventarc, it may take a few minutes before all necessary permissions are propagated to the Service Agent. Otherwise, verify that it has Eventarc Service Agent role.",
  );
  if (eventType === "google.cloud.pubsub.topic.v1.messagePublished") {
    checkTopic(project, eventTrigger.pubsubTopic ?? current?.eventTrigger?.pubsubTopic ?? "");
    return;
  }
  demand(eventType.startsWith("google.cloud.firestore.document.v1."), `Event type ${eventType} is unknown.`);
  checkDatabase(project, eventTrigger, region);
  demand(
    hasRole(project, "", `serviceAccount:${account}`, "roles/eventarc.eventReceiver"),
    `The principal ${account} lacks IAM permission "eventarc.events.receiveEvent".`,
  );
}

const agent = ({ number }: Project, name: string) => `serviceAccount:service-${number}@${name}.iam.gserviceaccount.com`;

function checkTopic(project: Project, topic: string): void {
  if (!project.topics.includes(topic)) throw new GoogleError(404, `Topic not found: ${topic}`);
  demand(
    hasRole(project, "", agent(project, "gcp-sa-pubsub"), "roles/iam.serviceAccountTokenCreator"),
    "The Pub/Sub service agent needs the role roles/iam.serviceAccountTokenCreator to make tokens for pushes.",
  );
}

/** A trigger, and its function, must be where the database is whose documents it watches. */
function checkDatabase(project: Project, { eventFilters, triggerRegion }: Trigger, region: string): void {
  const filter = (attribute: string) => eventFilters?.find((one) => one.attribute === attribute);
  const database = filter("database")?.value;
  const missing = new GoogleError(404, `Database ${database} does not exist.`);
  const { locationId } = found(project.databases, `projects/${project.id}/databases/${database}`, missing);
  const isPattern = filter("document")?.operator === "match-path-pattern";
  demand(isPattern, "A document filter with a wildcard needs the operator match-path-pattern.");
  demand(
    (triggerRegion ?? region) === locationId,
    `Invalid resource state: the trigger's location ${triggerRegion ?? region} must be the location of the database, ${locationId}.`,
  );
  demand(
    region === locationId || MULTI_REGIONS[locationId]?.includes(region),
    `The function's region ${region} must be in the location of the database, ${locationId}.`,
  );
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
  const [, , , region, , service] = name.split("/");
  const missing = `Resource '${service}' of kind 'SERVICE' in region '${region}' in project '${project.id}' does not exist.`;
  const run = found(project.run, name, new GoogleError(404, missing));
  const latest = run.revisions.at(-1);
  return {
    apiVersion: "serving.knative.dev/v1",
    kind: "Service",
    metadata: {
      name: service,
      namespace: project.number,
      generation: run.revisions.length,
      labels: { "cloud.googleapis.com/location": region },
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

function knownService({ project, name }: Call): string {
  serviceOf(project, name);
  return name;
}

const noFunctionsOfVersion1 = () => ({ functions: [] });

const CLOUD_FUNCTIONS = [
  ...routes(`cloudfunctions.googleapis.com/v1${LOCATION}`, { "GET /functions": noFunctionsOfVersion1 }),
  ...routes(`cloudfunctions.googleapis.com/v2${LOCATION}`, {
    "GET /functions": ({ project, params }) => ({
      functions: Object.values(project.functions).filter(
        ({ name }) => params.location === "-" || name.split("/")[3] === params.location,
      ),
    }),
    "GET /functions/{function}": ({ project, name }) => found(project.functions, name),
    "POST /functions:generateUploadUrl": uploadUrl,
    "POST /functions": create,
    "PATCH /functions/{function}": update,
    "DELETE /functions/{function}": ({ google, project, name, params }) => {
      delete project.functions[name];
      return google.operation(`projects/${project.id}/locations/${params.location}/operations/${randomUUID()}`, {});
    },
    "GET /operations/{operation}": ({ google, name }) => {
      const operation = google.operations.get(name);
      if (!operation) throw notFound("operation");
      return operation;
    },
  }),
  ...routes("storage.googleapis.com", {
    "PUT /{bucket}/{object}": ({ google, params, bytes }) => {
      demand(bytes.readUInt32BE(0) === ZIP_SIGNATURE, "The source is no zip archive.");
      google.objects.set(params.object ?? "", bytes);
      return "";
    },
  }),
];

const RUN = [
  ...routes(`run.googleapis.com/v1${LOCATION}`, {
    "GET /services/{service}": ({ project, name }) => serviceOf(project, name),
    "GET /services/{service}:getIamPolicy": (call) => policyOf(call.project, knownService(call)),
    ...policyRoutes("/services/{service}", "POST", knownService),
    "PUT /services/{service}": (call) => {
      const name = knownService(call);
      const run = call.project.run[name];
      for (const { tag, revisionName } of call.body.spec?.traffic ?? []) {
        if (tag && run) run.tags[tag] = revisionName ?? run.revisions.at(-1);
      }
      return serviceOf(call.project, name);
    },
  }),
  ...routes(`run.googleapis.com/v2${LOCATION}`, { "GET /services": () => ({ services: [] }) }),
];

const REGISTRY = routes(`artifactregistry.googleapis.com/v1${LOCATION}`, {
  "GET /repositories/{repository}": ({ project, name }) => ({ name, ...found(project.repositories, name) }),
  "PATCH /repositories/{repository}": ({ project, name, body }) => {
    project.repositories[name] = { ...found(project.repositories, name), ...body };
    return { name, ...project.repositories[name] };
  },
});

export const FUNCTIONS: Route[] = [...CLOUD_FUNCTIONS, ...RUN, ...REGISTRY];
