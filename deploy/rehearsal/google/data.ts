/** Pub/Sub, Secret Manager, Firestore's administration and the security rules. */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { demand, exists, found, GoogleError } from "./errors.js";
import type { Project, SecretVersion } from "./project.js";
import { type Call, policyRoutes, type Route, routes } from "./route.js";

const FIRESTORE_LOCATION = /^(nam5|nam7|eur3|(us|europe|asia|africa|australia|me|northamerica|southamerica)-[a-z]+\d)$/;

function topicOf({ project, name, params }: Call): string {
  if (!project.topics.includes(name)) throw new GoogleError(404, `Resource not found (resource=${params.topic}).`);
  return name;
}

/** A secret by its id: its name, and what is known of it. */
function secretOf({ project, params }: Call) {
  const name = `projects/${project.id}/secrets/${params.secret}`;
  const missing = new GoogleError(404, `Secret [projects/${project.number}/secrets/${params.secret}] not found.`);
  return { name, secret: found(project.secrets, name, missing) };
}

function versionOf(call: Call) {
  const { name, secret } = secretOf(call);
  const { version = "" } = call.params;
  const number = version === "latest" ? secret.versions.length : Number(version);
  const wanted = secret.versions[number - 1];
  if (!wanted) throw new GoogleError(404, `Secret Version [${name}/versions/${version}] not found.`);
  return { version: wanted, resource: shownVersion(call.project, name, number, wanted) };
}

const shownVersion = (project: Project, name: string, number: number, { state, createTime }: SecretVersion) => ({
  name: `projects/${project.number}/secrets/${name.split("/")[3]}/versions/${number}`,
  createTime,
  state,
});

const shownSecret = (name: string, labels: Record<string, string>, replication: object = { automatic: {} }) => ({
  name,
  labels,
  replication,
});

/** Whether a secret is shown under a filter such as labels.firebase-managed=true. */
function matchesLabels(labels: Record<string, string>, filter: string | null): boolean {
  const [, label = "", value] = /^labels\.([\w-]+)=(.*)$/.exec(filter ?? "") ?? [];
  return value === undefined || labels[label] === value;
}

const setState = (state: SecretVersion["state"]) => (call: Call) => {
  const { version } = versionOf(call);
  demand(version.state !== "DESTROYED", "The secret version is destroyed.");
  version.state = state;
  if (state === "DESTROYED") version.data = "";
  return versionOf(call).resource;
};

const databaseName = ({ project, params }: Call) => `projects/${project.id}/databases/${params.database}`;

function databaseOf(call: Call): object {
  const name = databaseName(call);
  const missing = new GoogleError(404, `Database '${call.params.database}' does not exist.`);
  return { name, ...found(call.project.databases, name, missing) };
}

const PUBSUB = routes("pubsub.googleapis.com/v1/projects/{project}", {
  "GET /topics/{topic}": (call) => ({ name: topicOf(call) }),
  "PUT /topics/{topic}": ({ project, name, params }) => {
    demand(/^[A-Za-z][\w.~+%-]{2,254}$/.test(params.topic ?? ""), `Invalid topic name ${params.topic}.`);
    if (project.topics.includes(name)) throw exists(name);
    project.topics.push(name);
    return { name };
  },
  ...policyRoutes("/topics/{topic}", "GET", topicOf),
});

const SECRETS = routes("secretmanager.googleapis.com/v1/projects/{project}", {
  "GET /secrets": ({ project, query }) => ({
    secrets: Object.entries(project.secrets)
      .filter(([, { labels }]) => matchesLabels(labels, query.get("filter")))
      .map(([name, { labels }]) => shownSecret(name, labels)),
  }),
  "POST /secrets": ({ project, query, body }) => {
    const id = query.get("secretId") ?? "";
    demand(/^[\w-]{1,255}$/.test(id), `Invalid secret id ${id}.`);
    demand(body?.replication, "replication must be set.");
    const name = `projects/${project.id}/secrets/${id}`;
    if (project.secrets[name]) throw exists(name);
    project.secrets[name] = { labels: body.labels ?? {}, versions: [] };
    return shownSecret(name, body.labels ?? {}, body.replication);
  },
  "GET /secrets/{secret}": (call) => {
    const { name, secret } = secretOf(call);
    return shownSecret(name, secret.labels);
  },
  "PATCH /secrets/{secret}": (call) => {
    const { name, secret } = secretOf(call);
    secret.labels = call.body.labels ?? secret.labels;
    return shownSecret(name, secret.labels);
  },
  "POST /secrets/{secret}:addVersion": (call) => {
    const { name, secret } = secretOf(call);
    const { data } = call.body?.payload ?? {};
    demand(data, "Secret Payload cannot be empty.");
    const version: SecretVersion = { data, state: "ENABLED", createTime: new Date().toISOString() };
    return shownVersion(call.project, name, secret.versions.push(version), version);
  },
  "GET /secrets/{secret}/versions": (call) => {
    const { name, secret } = secretOf(call);
    const versions = secret.versions.map((version, at) => shownVersion(call.project, name, at + 1, version));
    const isHidden = /NOT state: ?DESTROYED/.test(call.query.get("filter") ?? "");
    return { versions: versions.filter(({ state }) => !isHidden || state !== "DESTROYED").reverse() };
  },
  "GET /secrets/{secret}/versions/{version}": (call) => versionOf(call).resource,
  "GET /secrets/{secret}/versions/{version}:access": (call) => {
    const { version, resource } = versionOf(call);
    if (version.state !== "ENABLED")
      throw new GoogleError(400, `The secret version is ${version.state}.`, [], "FAILED_PRECONDITION");
    return { name: resource.name, payload: { data: version.data } };
  },
  "POST /secrets/{secret}/versions/{version}:disable": setState("DISABLED"),
  "POST /secrets/{secret}/versions/{version}:enable": setState("ENABLED"),
  "POST /secrets/{secret}/versions/{version}:destroy": setState("DESTROYED"),
  ...policyRoutes("/secrets/{secret}", "GET", (call) => secretOf(call).name),
});

const FIRESTORE = routes("firestore.googleapis.com/v1/projects/{project}", {
  "GET /databases/{database}": databaseOf,
  "POST /databases": ({ google, project, query, body }) => {
    const name = `projects/${project.id}/databases/${query.get("databaseId") ?? ""}`;
    if (project.databases[name]) throw exists(name);
    demand(FIRESTORE_LOCATION.test(body?.locationId ?? ""), `Invalid location ${body?.locationId}.`);
    project.databases[name] = { ...body, type: body.type ?? "FIRESTORE_NATIVE", uid: randomUUID() };
    return google.operation(`${name}/operations/${randomUUID()}`, { name, ...project.databases[name] });
  },
  "GET /databases/{database}/operations/{operation}": ({ google, name }) => google.operations.get(name) ?? {},
  "GET /databases/{database}/collectionGroups/{group}/indexes": (call) => {
    databaseOf(call);
    return {
      indexes: Object.entries(call.project.indexes).map(([name, index]) => ({ name, state: "READY", ...index })),
    };
  },
  "POST /databases/{database}/collectionGroups/{group}/indexes": (call) => {
    databaseOf(call);
    const { google, project, name, body } = call;
    const { queryScope, fields } = body as Project["indexes"][string];
    demand(fields?.length > 1, "A composite index needs two fields.");
    // Firestore ends every index with the document's name, in the direction of the field before it.
    const last = fields.at(-1);
    const whole =
      last?.fieldPath === "__name__" ? fields : [...fields, { fieldPath: "__name__", order: last?.order ?? "" }];
    const isSame = ([there, index]: [string, Project["indexes"][string]]) =>
      there.startsWith(`${name}/`) && index.queryScope === queryScope && isDeepStrictEqual(index.fields, whole);
    if (Object.entries(project.indexes).some(isSame)) throw exists(name);
    const index = `${name}/${randomUUID()}`;
    project.indexes[index] = { queryScope, fields: whole };
    return google.operation(`${databaseName(call)}/operations/${randomUUID()}`, {
      name: index,
      ...project.indexes[index],
    });
  },
  "GET /databases/{database}/collectionGroups/{group}/fields": (call) => {
    databaseOf(call);
    return { fields: Object.entries(call.project.fields).map(([name, field]) => ({ name, ...field })) };
  },
  "PATCH /databases/{database}/collectionGroups/{group}/fields/{field}": (call) => {
    databaseOf(call);
    const { google, project, name, body } = call;
    project.fields[name] = { ...project.fields[name], ...(body as object) };
    return google.operation(`${databaseName(call)}/operations/${randomUUID()}`, { name, ...project.fields[name] });
  },
});

const RULES = routes("firebaserules.googleapis.com/v1/projects/{project}", {
  "POST :test": () => ({ issues: [] }),
  "GET /releases": ({ project }) => ({
    releases: Object.entries(project.releases).map(([name, rulesetName]) => ({ name, rulesetName })),
  }),
  "GET /rulesets/{ruleset}": ({ project, name }) => ({ name, ...found(project.rulesets, name) }),
  "GET /rulesets": ({ project }) => ({
    rulesets: Object.keys(project.rulesets).map((name) => ({ name, createTime: new Date(0).toISOString() })),
  }),
  "POST /rulesets": ({ project, body }) => {
    demand(body?.source?.files?.length, "A ruleset needs a source.");
    const name = `projects/${project.id}/rulesets/${randomUUID()}`;
    project.rulesets[name] = body;
    return { name, ...body };
  },
  "POST /releases": ({ project, body }) => {
    found(project.rulesets, body.rulesetName);
    if (project.releases[body.name]) throw exists(body.name);
    project.releases[body.name] = body.rulesetName;
    return body;
  },
  "PATCH /releases/{release=**}": ({ project, body: { release } }) => {
    found(project.releases, release.name);
    project.releases[release.name] = release.rulesetName;
    return release;
  },
});

export const DATA: Route[] = [...PUBSUB, ...SECRETS, ...FIRESTORE, ...RULES];
