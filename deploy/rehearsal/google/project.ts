/** What the stand-in knows of a project: plain data, so a rehearsal can be set back to an earlier moment. */
import { GoogleError, invalid } from "./errors.js";

export interface Policy {
  etag?: string;
  version?: number;
  bindings?: { role: string; members: string[] }[];
}

export interface SecretVersion {
  /** In base64. */
  data: string;
  state: "ENABLED" | "DISABLED" | "DESTROYED";
  createTime: string;
}

export interface FunctionResource {
  name: string;
  state: string;
  updateTime: string;
  labels?: Record<string, string>;
  buildConfig: {
    runtime: string;
    entryPoint: string;
    source: { storageSource: { bucket: string; object: string } };
    environmentVariables?: Record<string, string>;
  };
  serviceConfig: {
    service: string;
    uri: string;
    serviceAccountEmail?: string;
    environmentVariables?: Record<string, string>;
    secretEnvironmentVariables?: { key: string; projectId: string; secret: string; version: string }[];
    timeoutSeconds?: number;
    availableMemory?: string;
    availableCpu?: string;
    minInstanceCount?: number;
    maxInstanceCount?: number;
    maxInstanceRequestConcurrency?: number;
    [more: string]: unknown;
  };
  eventTrigger?: {
    eventType: string;
    pubsubTopic?: string;
    triggerRegion?: string;
    serviceAccountEmail?: string;
    retryPolicy?: string;
    eventFilters?: { attribute: string; value: string; operator?: string }[];
  };
  environment: "GEN_2";
  url: string;
}

export interface Job {
  name: string;
  schedule: string;
  timeZone?: string;
  attemptDeadline?: string;
  state: string;
  httpTarget: { uri: string; httpMethod: string; oidcToken: { serviceAccountEmail: string } };
  retryConfig?: object;
}

interface Run {
  /** The name of each revision, the newest last. */
  revisions: string[];
  /** Revisions by tag. */
  tags: Record<string, string>;
}

interface IndexField {
  fieldPath: string;
  order: string;
}

/** Everything by its resource name unless said otherwise. */
export interface Project {
  id: string;
  number: string;
  /** Names such as run.googleapis.com. */
  apis: string[];
  /** Whole addresses. */
  accounts: string[];
  /** Google's own accounts of this project. */
  agents: string[];
  policies: Record<string, Policy>;
  /** Firestore databases. */
  databases: Record<string, { locationId: string; type: string; [more: string]: unknown }>;
  /** Firestore fields with settings of their own. */
  fields: Record<string, object>;
  /** Composite indexes of Firestore. */
  indexes: Record<string, { queryScope: string; fields: IndexField[] }>;
  topics: string[];
  secrets: Record<string, { labels: Record<string, string>; versions: SecretVersion[] }>;
  functions: Record<string, FunctionResource>;
  run: Record<string, Run>;
  jobs: Record<string, Job>;
  repositories: Record<string, Record<string, unknown>>;
  /** Names of objects in the bucket for function sources. */
  uploads: string[];
  sites: Record<string, { type: string; liveVersion?: string }>;
  versions: Record<string, { status: string; config?: object; files: Record<string, string> }>;
  rulesets: Record<string, object>;
  releases: Record<string, string>;
  metrics: Record<string, { body: object; askedFor: number }>;
  alertPolicies: Record<string, object>;
  channels: Record<string, object>;
  dashboards: Record<string, object>;
  /** Entries of Cloud Logging. */
  log: Record<string, unknown>[];
  /** Who signed up, by email address. */
  users: Record<string, { localId: string; customAttributes?: string; validSince?: string }>;
  webApps: number;
}

/** A project as steps 1 to 3 of the deployment guide leave it. */
export function newProject(id: string, number: string): Project {
  return {
    id,
    number,
    apis: [
      ...["firebase", "firebasehosting", "firebaserules", "identitytoolkit", "cloudresourcemanager", "serviceusage"],
      ...["logging", "storage", "iam", "iamcredentials", "cloudapis"],
    ].map((name) => `${name}.googleapis.com`),
    accounts: [`firebase-adminsdk-x@${id}.iam.gserviceaccount.com`],
    agents: [],
    policies: {},
    databases: {},
    fields: {},
    indexes: {},
    topics: [],
    secrets: {},
    functions: {},
    run: {},
    jobs: {},
    repositories: {},
    uploads: [],
    sites: { [id]: { type: "DEFAULT_SITE" } },
    versions: {},
    rulesets: {},
    releases: {},
    metrics: {},
    alertPolicies: {},
    channels: {},
    dashboards: {},
    log: [],
    users: {},
    webApps: 1,
  };
}

export const computeAccount = ({ number }: Project) => `${number}-compute@developer.gserviceaccount.com`;

/** Whether a service account is known, by its whole address. */
function isAccount(project: Project, address: string): boolean {
  return project.accounts.includes(address) || project.agents.includes(address);
}

/**
 * Makes sure that a service account can be used.
 * @throws GoogleError as IAM refuses a short or an unknown one
 */
export function checkAccount(project: Project, address: string): void {
  if (!/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(address)) throw invalid(`Invalid service account (${address}).`);
  if (!isAccount(project, address)) throw new GoogleError(404, `Service account ${address} does not exist.`);
}

/** Whether a member has a role on a resource or on the whole project. */
export function hasRole(project: Project, resource: string, member: string, role: string): boolean {
  return [resource, `projects/${project.id}`].some((name) =>
    (project.policies[name]?.bindings ?? []).some(
      (binding) => binding.role === role && (binding.members.includes(member) || binding.members.includes("allUsers")),
    ),
  );
}

/**
 * Replaces a policy.
 * @throws GoogleError for members and roles that IAM refuses
 */
export function setPolicy(project: Project, resource: string, policy: Policy): Policy {
  const current = project.policies[resource];
  if (policy.etag && current?.etag && policy.etag !== current.etag) {
    throw new GoogleError(
      409,
      "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
      [],
      "ABORTED",
    );
  }
  for (const { role, members } of policy.bindings ?? []) {
    if (!/^(roles|projects\/[^/]+\/roles|organizations\/[^/]+\/roles)\/[\w.]+$/.test(role))
      throw invalid(`Role (${role}) does not exist in the resource's hierarchy.`);
    for (const member of members) checkMember(project, member);
  }
  const etag = Buffer.from(String(Number(Buffer.from(current?.etag ?? FIRST_ETAG, "base64")) + 1)).toString("base64");
  project.policies[resource] = { ...policy, etag };
  return project.policies[resource];
}

function checkMember(project: Project, member: string): void {
  if (member === "allUsers" || member === "allAuthenticatedUsers") return;
  const [, kind, address = ""] = /^(user|group|domain|serviceAccount|deleted:serviceAccount):(.+)$/.exec(member) ?? [];
  if (!kind) throw invalid(`Invalid member: ${member}. Members must have a type prefix, such as serviceAccount:.`);
  if (kind !== "serviceAccount") return;
  if (!/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(address)) throw invalid(`Invalid service account (${address}).`);
  if (!isAccount(project, address)) throw invalid(`Service account ${address} does not exist.`);
}

const FIRST_ETAG = Buffer.from("0").toString("base64");

export const policyOf = (project: Project, resource: string): Policy =>
  project.policies[resource] ?? { etag: FIRST_ETAG, version: 1 };

/** Whether a URL is one of the two that a function has: of Cloud Functions, and of its Cloud Run service. */
export const isCalledAt = ({ url, serviceConfig }: FunctionResource, address: string): boolean =>
  address === url || address === serviceConfig.uri;
