/** Service Usage, Resource Manager, IAM, OAuth, billing, Compute Engine, Firebase projects, Authentication and the metadata server. */
import { randomUUID } from "node:crypto";
import { exists, GoogleError, invalid, notFound } from "./errors.js";
import { computeAccount, type Project, policyOf, setPolicy } from "./project.js";
import type { Call, Route } from "./route.js";

const SERVICES = "serviceusage.googleapis.com";
const RESOURCES = "cloudresourcemanager.googleapis.com";
const IAM = "iam.googleapis.com";

/** Service Usage takes no more in one request. */
const MOST_ENABLED_AT_ONCE = 20;

/** The accounts that Google makes for some APIs when it is asked for them. */
const AGENTS: Record<string, string> = {
  "pubsub.googleapis.com": "gcp-sa-pubsub",
  "eventarc.googleapis.com": "gcp-sa-eventarc",
  "cloudscheduler.googleapis.com": "gcp-sa-cloudscheduler",
};

/** Who calls with a credential of `gcloud auth application-default login`. */
const USER_CREDENTIAL = "token-of-a-person";

function enable(project: Project, names: string[]): object[] {
  if (names.length > MOST_ENABLED_AT_ONCE) {
    throw invalid(`A maximum of ${MOST_ENABLED_AT_ONCE} services can be enabled at once; ${names.length} were given.`);
  }
  for (const name of names) {
    if (!/^[a-z]+\.googleapis\.com$/.test(name))
      throw new GoogleError(403, `Not found or permission denied for service(s): ${name}.`);
    if (!project.apis.includes(name)) project.apis.push(name);
    if (name === "compute.googleapis.com" || name === "run.googleapis.com" || name === "cloudbuild.googleapis.com") {
      if (!project.accounts.includes(computeAccount(project))) project.accounts.push(computeAccount(project));
    }
  }
  return names.map((name) => serviceOf(project, name));
}

const serviceOf = (project: Project, name: string) => ({
  name: `projects/${project.number}/services/${name}`,
  parent: `projects/${project.number}`,
  config: { name },
  state: project.apis.includes(name) ? "ENABLED" : "DISABLED",
});

function agent({ google, project, params }: Call): object {
  const { service = "" } = params;
  const name = AGENTS[service];
  if (!name) throw invalid(`Service ${service} has no account.`);
  const email = `service-${project.number}@${name}.iam.gserviceaccount.com`;
  if (!project.agents.includes(email)) project.agents.push(email);
  return google.operation(`operations/finished.DONE_OPERATION.${randomUUID()}`, {
    "@type": "type.googleapis.com/google.api.serviceusage.v1beta1.ServiceIdentity",
    email,
    uniqueId: "1",
  });
}

const projectOf = ({ id, number }: Project) => ({
  projectNumber: number,
  projectId: id,
  lifecycleState: "ACTIVE",
  name: id,
  createTime: "2025-01-01T00:00:00Z",
});

const firebaseOf = ({ id, number, sites }: Project) => {
  const [site] = Object.keys(sites).filter((name) => sites[name]?.type === "DEFAULT_SITE");
  return {
    projectId: id,
    projectNumber: number,
    displayName: id,
    name: `projects/${id}`,
    resources: site ? { hostingSite: site } : {},
    state: "ACTIVE",
  };
};

const accountOf = ({ id }: Project, email: string) => ({
  name: `projects/${id}/serviceAccounts/${email}`,
  projectId: id,
  uniqueId: String(email.length),
  email,
});

function accountIn({ project, params: { account = "" } }: Call): string {
  if (!project.accounts.includes(account)) throw notFound(`Unknown service account ${account}`);
  return account;
}

/** A person's own credentials count against a project only if the request says which. */
function checkQuota({ headers }: Call): void {
  if (headers.authorization === `Bearer ${USER_CREDENTIAL}` && !headers["x-goog-user-project"]) {
    throw new GoogleError(
      403,
      "Your application is authenticating by using local Application Default Credentials. The identitytoolkit.googleapis.com API requires a quota project, which is not set by default. To learn how to set your quota project, see https://cloud.google.com/docs/authentication/adc-troubleshooting/user-creds .",
    );
  }
}

function users(call: Call): object {
  checkQuota(call);
  const { project, body } = call;
  const emails = Object.keys(project.users).filter(
    (email) => !body || body.email?.includes(email) || body.localId?.includes(project.users[email]?.localId),
  );
  return {
    kind: "identitytoolkit#GetAccountInfoResponse",
    users: emails.map((email) => ({ email, ...project.users[email] })),
  };
}

/** What gcloud asks a person to allow; it insists on getting just that. */
const SCOPES = [
  "openid",
  ...["userinfo.email", "cloud-platform", "sqlservice.login"].map((name) => `https://www.googleapis.com/auth/${name}`),
];

const token = (name: string) => ({
  access_token: name,
  expires_in: 3600,
  token_type: "Bearer",
  scope: SCOPES.join(" "),
});

const idToken = (email: string) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256" })}.${part({ email, sub: "1", aud: "x", iss: "https://accounts.google.com", exp: 4e9 })}.x`;
};

export const PLATFORM: Route[] = [
  // Service Usage
  {
    method: "GET",
    host: SERVICES,
    path: "/v1/projects/{project}/services/{service}",
    answer: ({ project, params }) => serviceOf(project, params.service ?? ""),
  },
  {
    method: "GET",
    host: SERVICES,
    path: "/v1/projects/{project}/services",
    answer: ({ project }) => ({ services: project.apis.map((name) => serviceOf(project, name)) }),
  },
  {
    method: "POST",
    host: SERVICES,
    path: "/v1/projects/{project}/services/{service}:enable",
    answer: ({ google, project, params }) => {
      const [service] = enable(project, [params.service ?? ""]);
      return google.operation(`operations/acat.${randomUUID()}`, { service });
    },
  },
  {
    method: "POST",
    host: SERVICES,
    path: "/v1/projects/{project}/services:batchEnable",
    answer: ({ google, project, body }) => {
      const services = enable(project, body.serviceIds);
      return google.operation(`operations/acat.${randomUUID()}`, { services });
    },
  },
  ...["v1", "v1beta1"].map(
    (version): Route => ({
      method: "GET",
      host: SERVICES,
      path: `/${version}/{name=**}`,
      answer: ({ google, params }) => google.operations.get(params.name ?? "") ?? {},
    }),
  ),
  {
    method: "POST",
    host: SERVICES,
    path: "/v1beta1/projects/{project}/services/{service}:generateServiceIdentity",
    answer: agent,
  },

  // Resource Manager
  { method: "GET", host: RESOURCES, path: "/v1/projects/{project}", answer: ({ project }) => projectOf(project) },
  {
    method: "POST",
    host: RESOURCES,
    path: "/v1/projects/{project}:getIamPolicy",
    answer: ({ project }) => policyOf(project, `projects/${project.id}`),
  },
  {
    method: "POST",
    host: RESOURCES,
    path: "/v1/projects/{project}:setIamPolicy",
    answer: ({ project, body }) => setPolicy(project, `projects/${project.id}`, body.policy),
  },
  {
    method: "POST",
    host: RESOURCES,
    path: "/v1/projects/{project}:testIamPermissions",
    answer: ({ body }) => ({ permissions: body.permissions }),
  },

  // IAM
  {
    method: "POST",
    host: IAM,
    path: "/v1/projects/{project}/serviceAccounts/{account}:testIamPermissions",
    answer: ({ body }) => ({ permissions: body.permissions }),
  },
  {
    method: "GET",
    host: IAM,
    path: "/v1/projects/{project}/serviceAccounts/{account}",
    answer: (call) => accountOf(call.project, accountIn(call)),
  },
  {
    method: "POST",
    host: IAM,
    path: "/v1/projects/{project}/serviceAccounts",
    answer: ({ project, body: { accountId } }) => {
      if (!/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/.test(accountId)) throw invalid(`Invalid service account id ${accountId}.`);
      const email = `${accountId}@${project.id}.iam.gserviceaccount.com`;
      if (project.accounts.includes(email)) throw exists(email);
      project.accounts.push(email);
      return accountOf(project, email);
    },
  },
  {
    method: "POST",
    host: IAM,
    path: "/v1/projects/{project}/serviceAccounts/{account}:getIamPolicy",
    answer: (call) => policyOf(call.project, `serviceAccounts/${accountIn(call)}`),
  },
  {
    method: "POST",
    host: IAM,
    path: "/v1/projects/{project}/serviceAccounts/{account}:setIamPolicy",
    answer: (call) => setPolicy(call.project, `serviceAccounts/${accountIn(call)}`, call.body.policy),
  },

  // OAuth and the metadata server
  ...[
    ["oauth2.googleapis.com", "/token"],
    ["www.googleapis.com", "/oauth2/v3/token"],
    ["accounts.google.com", "/o/oauth2/token"],
  ].map(
    ([host = "", path = ""]): Route => ({
      method: "POST",
      host,
      path,
      answer: () => ({
        ...token(host === "www.googleapis.com" ? "cli" : USER_CREDENTIAL),
        refresh_token: "refresh",
        id_token: idToken("owner@example.com"),
      }),
    }),
  ),
  ...["oauth2.googleapis.com", "www.googleapis.com"].flatMap((host): Route[] => [
    {
      method: "POST",
      host,
      path: "/tokeninfo",
      answer: () => ({ email: "owner@example.com", scope: "https://www.googleapis.com/auth/cloud-platform" }),
    },
    { method: "POST", host, path: "/oauth2/v1/tokeninfo", answer: () => ({ email: "owner@example.com" }) },
    { method: "GET", host, path: "/oauth2/v1/userinfo", answer: () => ({ email: "owner@example.com", id: "1" }) },
  ]),
  {
    method: "GET",
    host: "metadata.google.internal",
    path: "/computeMetadata/v1/instance/service-accounts/default/token",
    answer: () => token("token-of-an-instance"),
  },
  { method: "GET", host: "metadata.google.internal", path: "/computeMetadata/v1/instance", answer: () => "" },
  {
    method: "GET",
    host: "metadata.google.internal",
    path: "/computeMetadata/v1/universe/universe-domain",
    answer: () => "googleapis.com",
  },
  {
    method: "GET",
    host: "www.googleapis.com",
    path: "/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com",
    answer: ({ google }) => ({ "stand-in": google.certificate }),
  },

  // Billing, Compute Engine, extensions, Firebase
  {
    method: "GET",
    host: "cloudbilling.googleapis.com",
    path: "/v1/projects/{project}/billingInfo",
    answer: ({ project }) => ({
      name: `projects/${project.id}/billingInfo`,
      billingEnabled: true,
      billingAccountName: "billingAccounts/1",
    }),
  },
  {
    method: "GET",
    host: "compute.googleapis.com",
    path: "/compute/v1/projects/{project}",
    answer: ({ project }) => ({ name: project.id, defaultServiceAccount: computeAccount(project) }),
  },
  {
    method: "GET",
    host: "firebaseextensions.googleapis.com",
    path: "/v1beta/projects/{project}/instances",
    answer: () => ({}),
  },
  {
    method: "GET",
    host: "firebase.googleapis.com",
    path: "/v1beta1/projects/{project}",
    answer: ({ project }) => firebaseOf(project),
  },
  {
    method: "GET",
    host: "firebase.googleapis.com",
    path: "/v1beta1/projects/{project}/adminSdkConfig",
    answer: ({ project }) => ({ projectId: project.id, storageBucket: `${project.id}.firebasestorage.app` }),
  },
  {
    method: "GET",
    host: "firebase.googleapis.com",
    path: "/v1beta1/projects/{project}/webApps/-/config",
    answer: ({ project }) => ({ projectId: project.id, appId: `1:${project.number}:web:1`, apiKey: "key" }),
  },

  // Authentication
  ...["accounts:lookup", "accounts:query"].map(
    (method): Route => ({
      method: "POST",
      host: "identitytoolkit.googleapis.com",
      path: `/v1/projects/{project}/${method}`,
      answer: users,
    }),
  ),
  {
    method: "POST",
    host: "identitytoolkit.googleapis.com",
    path: "/v1/projects/{project}/accounts:update",
    answer: (call) => {
      checkQuota(call);
      const { project, body } = call;
      const user = Object.values(project.users).find(({ localId }) => localId === body.localId);
      if (!user) throw new GoogleError(400, "USER_NOT_FOUND");
      Object.assign(
        user,
        body.customAttributes && { customAttributes: body.customAttributes },
        body.validSince && { validSince: String(body.validSince) },
      );
      return { localId: body.localId };
    },
  },

  // What the CLI tells and asks besides
  { method: "POST", host: "www.google-analytics.com", path: "/{path=**}", answer: () => ({}) },
];
