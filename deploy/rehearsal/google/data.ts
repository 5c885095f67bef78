/** Pub/Sub, Secret Manager, Firestore's administration and the security rules. */
import { randomUUID } from "node:crypto";
import { exists, GoogleError, invalid, notFound } from "./errors.js";
import { type Project, policyOf, type SecretVersion, setPolicy } from "./project.js";
import type { Call, Route } from "./route.js";

const PUBSUB = "pubsub.googleapis.com";
const SECRETS = "secretmanager.googleapis.com";
const FIRESTORE = "firestore.googleapis.com";
const RULES = "firebaserules.googleapis.com";

const FIRESTORE_LOCATION = /^(nam5|nam7|eur3|(us|europe|asia|africa|australia|me|northamerica|southamerica)-[a-z]+\d)$/;

function topicOf({ project, params }: Call): string {
  const name = `projects/${project.id}/topics/${params.topic}`;
  if (!project.topics.includes(name)) throw new GoogleError(404, `Resource not found (resource=${params.topic}).`);
  return name;
}

function secretOf({ project, params }: Call) {
  const name = `projects/${project.id}/secrets/${params.secret}`;
  const secret = project.secrets[name];
  if (!secret) throw new GoogleError(404, `Secret [projects/${project.number}/secrets/${params.secret}] not found.`);
  return { name, secret };
}

function versionOf(call: Call) {
  const { name, secret } = secretOf(call);
  const { version = "" } = call.params;
  const number = version === "latest" ? secret.versions.length : Number(version);
  const found = secret.versions[number - 1];
  if (!found) throw new GoogleError(404, `Secret Version [${name}/versions/${version}] not found.`);
  return { found, resource: shownVersion(call.project, name, number, found) };
}

const shownVersion = (project: Project, name: string, number: number, { state, createTime }: SecretVersion) => ({
  name: `projects/${project.number}/secrets/${name.split("/")[3]}/versions/${number}`,
  createTime,
  state,
});

/** Whether a secret is shown under a filter such as labels.firebase-managed=true. */
function matchesLabels(labels: Record<string, string>, filter: string | null): boolean {
  const [, label = "", value] = /^labels\.([\w-]+)=(.*)$/.exec(filter ?? "") ?? [];
  return value === undefined || labels[label] === value;
}

function setState(call: Call, state: SecretVersion["state"]): object {
  const { found } = versionOf(call);
  if (found.state === "DESTROYED") throw invalid("The secret version is destroyed.");
  found.state = state;
  if (state === "DESTROYED") found.data = "";
  return versionOf(call).resource;
}

const databaseName = ({ project, params }: Call) => `projects/${project.id}/databases/${params.database}`;

function databaseOf(call: Call): object {
  const name = databaseName(call);
  const found = call.project.databases[name];
  if (!found) throw new GoogleError(404, `Database '${params(call)}' does not exist.`);
  return { name, ...found };
}

const params = ({ params: { database } }: Call) => database;

function createDatabase(call: Call): object {
  const { google, project, query, body } = call;
  const id = query.get("databaseId") ?? "";
  const name = `projects/${project.id}/databases/${id}`;
  if (project.databases[name]) throw exists(name);
  if (!FIRESTORE_LOCATION.test(body?.locationId ?? "")) throw invalid(`Invalid location ${body?.locationId}.`);
  project.databases[name] = { ...body, type: body.type ?? "FIRESTORE_NATIVE", uid: randomUUID() };
  return google.operation(`projects/${project.id}/databases/${id}/operations/${randomUUID()}`, {
    name,
    ...project.databases[name],
  });
}

function fieldNames({ google: _, project }: Call): object[] {
  return Object.entries(project.fields).map(([name, field]) => ({ name, ...field }));
}

export const DATA: Route[] = [
  // Pub/Sub
  {
    method: "GET",
    host: PUBSUB,
    path: "/v1/projects/{project}/topics/{topic}",
    answer: (call) => ({ name: topicOf(call) }),
  },
  {
    method: "PUT",
    host: PUBSUB,
    path: "/v1/projects/{project}/topics/{topic}",
    answer: ({ project, params }) => {
      const name = `projects/${project.id}/topics/${params.topic}`;
      if (!/^[A-Za-z][\w.~+%-]{2,254}$/.test(params.topic ?? "")) throw invalid(`Invalid topic name ${params.topic}.`);
      if (project.topics.includes(name)) throw exists(name);
      project.topics.push(name);
      return { name };
    },
  },
  {
    method: "GET",
    host: PUBSUB,
    path: "/v1/projects/{project}/topics/{topic}:getIamPolicy",
    answer: (call) => policyOf(call.project, topicOf(call)),
  },
  {
    method: "POST",
    host: PUBSUB,
    path: "/v1/projects/{project}/topics/{topic}:setIamPolicy",
    answer: (call) => setPolicy(call.project, topicOf(call), call.body.policy),
  },

  // Secret Manager
  {
    method: "GET",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets",
    answer: ({ project, query }) => ({
      secrets: Object.entries(project.secrets)
        .filter(([, { labels }]) => matchesLabels(labels, query.get("filter")))
        .map(([name, { labels }]) => ({ name, labels, replication: { automatic: {} } })),
    }),
  },
  {
    method: "POST",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets",
    answer: ({ project, query, body }) => {
      const id = query.get("secretId") ?? "";
      if (!/^[\w-]{1,255}$/.test(id)) throw invalid(`Invalid secret id ${id}.`);
      if (!body?.replication) throw invalid("replication must be set.");
      const name = `projects/${project.id}/secrets/${id}`;
      if (project.secrets[name]) throw exists(name);
      project.secrets[name] = { labels: body.labels ?? {}, versions: [] };
      return { name, labels: body.labels ?? {}, replication: body.replication };
    },
  },
  {
    method: "GET",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets/{secret}",
    answer: (call) => {
      const { name, secret } = secretOf(call);
      return { name, labels: secret.labels, replication: { automatic: {} } };
    },
  },
  {
    method: "PATCH",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets/{secret}",
    answer: (call) => {
      const { name, secret } = secretOf(call);
      secret.labels = call.body.labels ?? secret.labels;
      return { name, labels: secret.labels, replication: { automatic: {} } };
    },
  },
  {
    method: "POST",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets/{secret}:addVersion",
    answer: (call) => {
      const { name, secret } = secretOf(call);
      const { data } = call.body?.payload ?? {};
      if (!data) throw invalid("Secret Payload cannot be empty.");
      secret.versions.push({ data, state: "ENABLED", createTime: new Date().toISOString() });
      return shownVersion(call.project, name, secret.versions.length, secret.versions.at(-1) as SecretVersion);
    },
  },
  {
    method: "GET",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets/{secret}/versions",
    answer: (call) => {
      const { name, secret } = secretOf(call);
      const versions = secret.versions.map((version, at) => shownVersion(call.project, name, at + 1, version));
      const isHidden = /NOT state: ?DESTROYED/.test(call.query.get("filter") ?? "");
      return { versions: versions.filter(({ state }) => !isHidden || state !== "DESTROYED").reverse() };
    },
  },
  {
    method: "GET",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets/{secret}/versions/{version}",
    answer: (call) => versionOf(call).resource,
  },
  {
    method: "GET",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets/{secret}/versions/{version}:access",
    answer: (call) => {
      const { found, resource } = versionOf(call);
      if (found.state !== "ENABLED")
        throw new GoogleError(400, `The secret version is ${found.state}.`, [], "FAILED_PRECONDITION");
      return { name: resource.name, payload: { data: found.data } };
    },
  },
  ...(
    [
      ["disable", "DISABLED"],
      ["enable", "ENABLED"],
      ["destroy", "DESTROYED"],
    ] as const
  ).map(
    ([verb, state]): Route => ({
      method: "POST",
      host: SECRETS,
      path: `/v1/projects/{project}/secrets/{secret}/versions/{version}:${verb}`,
      answer: (call) => setState(call, state),
    }),
  ),
  {
    method: "GET",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets/{secret}:getIamPolicy",
    answer: (call) => policyOf(call.project, secretOf(call).name),
  },
  {
    method: "POST",
    host: SECRETS,
    path: "/v1/projects/{project}/secrets/{secret}:setIamPolicy",
    answer: (call) => setPolicy(call.project, secretOf(call).name, call.body.policy),
  },

  // Firestore
  { method: "GET", host: FIRESTORE, path: "/v1/projects/{project}/databases/{database}", answer: databaseOf },
  { method: "POST", host: FIRESTORE, path: "/v1/projects/{project}/databases", answer: createDatabase },
  {
    method: "GET",
    host: FIRESTORE,
    path: "/v1/projects/{project}/databases/{database}/operations/{operation}",
    answer: ({ google, project, params }) =>
      google.operations.get(`projects/${project.id}/databases/${params.database}/operations/${params.operation}`) ?? {},
  },
  {
    method: "GET",
    host: FIRESTORE,
    path: "/v1/projects/{project}/databases/{database}/collectionGroups/{group}/indexes",
    answer: (call) => {
      databaseOf(call);
      return { indexes: [] };
    },
  },
  {
    method: "GET",
    host: FIRESTORE,
    path: "/v1/projects/{project}/databases/{database}/collectionGroups/{group}/fields",
    answer: (call) => {
      databaseOf(call);
      return { fields: fieldNames(call) };
    },
  },
  {
    method: "PATCH",
    host: FIRESTORE,
    path: "/v1/projects/{project}/databases/{database}/collectionGroups/{group}/fields/{field}",
    answer: (call) => {
      databaseOf(call);
      const { google, project, params, body } = call;
      const name = `${databaseName(call)}/collectionGroups/${params.group}/fields/${params.field}`;
      project.fields[name] = { ...project.fields[name], ...(body as object) };
      return google.operation(`${databaseName(call)}/operations/${randomUUID()}`, { name, ...project.fields[name] });
    },
  },

  // Rules
  { method: "POST", host: RULES, path: "/v1/projects/{project}:test", answer: () => ({ issues: [] }) },
  {
    method: "GET",
    host: RULES,
    path: "/v1/projects/{project}/releases",
    answer: ({ project }) => ({
      releases: Object.entries(project.releases).map(([name, rulesetName]) => ({ name, rulesetName })),
    }),
  },
  {
    method: "GET",
    host: RULES,
    path: "/v1/projects/{project}/rulesets/{ruleset}",
    answer: ({ project, params }) => {
      const name = `projects/${project.id}/rulesets/${params.ruleset}`;
      const found = project.rulesets[name];
      if (!found) throw notFound(name);
      return { name, ...found };
    },
  },
  {
    method: "GET",
    host: RULES,
    path: "/v1/projects/{project}/rulesets",
    answer: ({ project }) => ({
      rulesets: Object.keys(project.rulesets).map((name) => ({ name, createTime: new Date(0).toISOString() })),
    }),
  },
  {
    method: "POST",
    host: RULES,
    path: "/v1/projects/{project}/rulesets",
    answer: ({ project, body }) => {
      if (!body?.source?.files?.length) throw invalid("A ruleset needs a source.");
      const name = `projects/${project.id}/rulesets/${randomUUID()}`;
      project.rulesets[name] = body;
      return { name, ...body };
    },
  },
  {
    method: "POST",
    host: RULES,
    path: "/v1/projects/{project}/releases",
    answer: ({ project, body }) => {
      if (!project.rulesets[body.rulesetName]) throw notFound(body.rulesetName);
      if (project.releases[body.name]) throw exists(body.name);
      project.releases[body.name] = body.rulesetName;
      return body;
    },
  },
  {
    method: "PATCH",
    host: RULES,
    path: "/v1/projects/{project}/releases/{release=**}",
    answer: ({ project, body: { release } }) => {
      if (!project.releases[release.name]) throw notFound(release.name);
      project.releases[release.name] = release.rulesetName;
      return release;
    },
  },
];
