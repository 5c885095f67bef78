/** Service Usage, Resource Manager, IAM, OAuth, billing, Compute Engine, Firebase projects, Authentication and the metadata server. */
import { randomUUID } from "node:crypto";
import { demand, exists, GoogleError, invalid, notFound } from "./errors.js";
import { computeAccount, type Project } from "./project.js";
import { type Call, policyRoutes, type Route, routes } from "./route.js";

/** Service Usage takes no more in one request. */
const MOST_ENABLED_AT_ONCE = 20;

/** The accounts that Google makes for some APIs when it is asked for them. */
export const AGENTS: Record<string, string> = {
  "pubsub.googleapis.com": "gcp-sa-pubsub",
  "eventarc.googleapis.com": "gcp-sa-eventarc",
  "cloudscheduler.googleapis.com": "gcp-sa-cloudscheduler",
};

/** Who calls with a credential of `gcloud auth application-default login`. */
const USER_CREDENTIAL = "token-of-a-person";

/** The APIs that make the default account of Compute Engine. */
const BRING_COMPUTE_ACCOUNT = ["compute", "run", "cloudbuild"].map((name) => `${name}.googleapis.com`);

function addTo(list: string[], entry: string): void {
  if (!list.includes(entry)) list.push(entry);
}

function enable(project: Project, names: string[]): object[] {
  demand(
    names.length <= MOST_ENABLED_AT_ONCE,
    `A maximum of ${MOST_ENABLED_AT_ONCE} services can be enabled at once; ${names.length} were given.`,
  );
  for (const name of names) {
    if (!/^[a-z]+\.googleapis\.com$/.test(name))
      throw new GoogleError(403, `Not found or permission denied for service(s): ${name}.`);
    addTo(project.apis, name);
    if (BRING_COMPUTE_ACCOUNT.includes(name)) addTo(project.accounts, computeAccount(project));
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
  addTo(project.agents, email);
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

const operation = ({ google, params }: Call) => google.operations.get(params.name ?? "") ?? {};

const SERVICES = [
  ...routes("serviceusage.googleapis.com/v1", {
    "GET /projects/{project}/services/{service}": ({ project, params }) => serviceOf(project, params.service ?? ""),
    "GET /projects/{project}/services": ({ project }) => ({
      services: project.apis.map((name) => serviceOf(project, name)),
    }),
    "POST /projects/{project}/services/{service}:enable": ({ google, project, params }) => {
      const [service] = enable(project, [params.service ?? ""]);
      return google.operation(`operations/acat.${randomUUID()}`, { service });
    },
    "POST /projects/{project}/services:batchEnable": ({ google, project, body }) => {
      const services = enable(project, body.serviceIds);
      return google.operation(`operations/acat.${randomUUID()}`, { services });
    },
    "GET /{name=**}": operation,
  }),
  ...routes("serviceusage.googleapis.com/v1beta1", {
    "GET /{name=**}": operation,
    "POST /projects/{project}/services/{service}:generateServiceIdentity": agent,
  }),
];

const ACCESS = [
  ...routes("cloudresourcemanager.googleapis.com/v1/projects/{project}", {
    "GET ": ({ project }) => projectOf(project),
    ...policyRoutes("", "POST", ({ project }) => `projects/${project.id}`),
    "POST :testIamPermissions": ({ body }) => ({ permissions: body.permissions }),
  }),
  ...routes("iam.googleapis.com/v1/projects/{project}/serviceAccounts", {
    "POST /{account}:testIamPermissions": ({ body }) => ({ permissions: body.permissions }),
    "GET /{account}": (call) => accountOf(call.project, accountIn(call)),
    "POST ": ({ project, body: { accountId } }) => {
      demand(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/.test(accountId), `Invalid service account id ${accountId}.`);
      const email = `${accountId}@${project.id}.iam.gserviceaccount.com`;
      if (project.accounts.includes(email)) throw exists(email);
      project.accounts.push(email);
      return accountOf(project, email);
    },
    ...policyRoutes("/{account}", "POST", (call) => `serviceAccounts/${accountIn(call)}`),
  }),
];

/** An access token, with what makes another of it and says whose it is. */
const signedIn = (name: string) => () => ({
  ...token(name),
  refresh_token: "refresh",
  id_token: idToken("owner@example.com"),
});

const TOKENS = [
  ...routes("oauth2.googleapis.com", { "POST /token": signedIn(USER_CREDENTIAL) }),
  ...routes("accounts.google.com", { "POST /o/oauth2/token": signedIn(USER_CREDENTIAL) }),
  ...routes("www.googleapis.com", {
    "POST /oauth2/v3/token": signedIn("cli"),
    "GET /robot/v1/metadata/x509/securetoken@system.gserviceaccount.com": ({ google }) => ({
      "stand-in": google.certificate,
    }),
  }),
  ...["oauth2.googleapis.com", "www.googleapis.com"].flatMap((host) =>
    routes(host, {
      "POST /tokeninfo": () => ({
        email: "owner@example.com",
        scope: "https://www.googleapis.com/auth/cloud-platform",
      }),
      "POST /oauth2/v1/tokeninfo": () => ({ email: "owner@example.com" }),
      "GET /oauth2/v1/userinfo": () => ({ email: "owner@example.com", id: "1" }),
    }),
  ),
  ...routes("metadata.google.internal/computeMetadata/v1", {
    "GET /instance/service-accounts/default/token": () => token("token-of-an-instance"),
    "GET /instance": () => "",
    "GET /universe/universe-domain": () => "googleapis.com",
  }),
];

const PROJECTS = [
  ...routes("cloudbilling.googleapis.com/v1/projects/{project}", {
    "GET /billingInfo": ({ name }) => ({ name, billingEnabled: true, billingAccountName: "billingAccounts/1" }),
  }),
  ...routes("compute.googleapis.com/compute/v1/projects/{project}", {
    "GET ": ({ project }) => ({ name: project.id, defaultServiceAccount: computeAccount(project) }),
  }),
  ...routes("firebaseextensions.googleapis.com/v1beta/projects/{project}", { "GET /instances": () => ({}) }),
  ...routes("firebase.googleapis.com/v1beta1/projects/{project}", {
    "GET ": ({ project }) => firebaseOf(project),
    "GET /adminSdkConfig": ({ project: { id } }) => ({ projectId: id, storageBucket: `${id}.firebasestorage.app` }),
    "GET /webApps/-/config": ({ project: { id, number } }) => ({
      projectId: id,
      appId: `1:${number}:web:1`,
      apiKey: "key",
    }),
  }),
];

const AUTHENTICATION = routes("identitytoolkit.googleapis.com/v1/projects/{project}", {
  "POST /accounts:lookup": users,
  "POST /accounts:query": users,
  "POST /accounts:update": (call) => {
    checkQuota(call);
    const { project, body } = call;
    const user = Object.values(project.users).find(({ localId }) => localId === body.localId);
    if (!user) throw new GoogleError(400, "USER_NOT_FOUND");
    if (body.customAttributes) user.customAttributes = body.customAttributes;
    if (body.validSince) user.validSince = String(body.validSince);
    return { localId: body.localId };
  },
});

/** Where the CLI reports its use. */
const ANALYTICS = routes("www.google-analytics.com", { "POST /{path=**}": () => ({}) });

export const PLATFORM: Route[] = [...SERVICES, ...ACCESS, ...TOKENS, ...PROJECTS, ...AUTHENTICATION, ...ANALYTICS];
