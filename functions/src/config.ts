/** The declared params and secrets; the only place that reads configuration. */
import {
  defineInt,
  defineSecret,
  defineString,
  type IntParam,
  type StringParam,
  select,
} from "firebase-functions/params";
import { ValidationError } from "./domain/errors.js";
import { parseSettings, type Settings, settingProblems } from "./settings.js";

const REGION = defineString("REGION", {
  default: "us-central1",
  description: "The region of the functions. Choose one near Firestore and the food service.",
});

export const POLL_SCHEDULE = defineString("POLL_SCHEDULE", {
  default: "* * * * *",
  description: "Cron schedule of the poll. One minute is the shortest interval; POLL_PASSES allows shorter ones.",
});

export const SWEEP_SCHEDULE = defineString("SWEEP_SCHEDULE", {
  default: "*/10 * * * *",
  description:
    "Cron schedule of the sweep, which closes relations of finished orders and logs orders that need an operator.",
});

const FOOD_SERVICE_CA = defineSecret("FOOD_SERVICE_CA", {
  description: "PEM certificates to verify the food service with, or the word system for the public roots.",
});

const FOOD_SERVICE_ADDRESS = defineString("FOOD_SERVICE_ADDRESS", {
  default: "localhost:50051",
  description: "The food service's address, as host:port.",
});

const FOOD_SERVICE_SECURITY = defineString("FOOD_SERVICE_SECURITY", {
  default: "tls",
  input: select(["tls", "plaintext"]),
  description: "tls, or plaintext, which is allowed only in the Emulator Suite.",
});

const FOOD_SERVICE_AUTH = defineString("FOOD_SERVICE_AUTH", {
  default: "none",
  input: select(["none", "bearer-token", "google-id-token"]),
  description:
    "How calls authenticate: none, bearer-token (the secret FOOD_SERVICE_TOKEN), or google-id-token (an ID token of the function's account for FOOD_SERVICE_AUDIENCE).",
});

const FOOD_SERVICE_AUDIENCE = defineString("FOOD_SERVICE_AUDIENCE", {
  default: "none",
  description: "The audience of the Google ID token, such as https://food.example.com.",
});

const FOOD_SERVICE_CLIENT_AUTH = defineString("FOOD_SERVICE_CLIENT_AUTH", {
  default: "none",
  input: select(["none", "certificate"]),
  description:
    "none, or certificate to connect with a client certificate (mTLS): the secrets FOOD_SERVICE_CLIENT_CERTIFICATE and FOOD_SERVICE_CLIENT_KEY.",
});

/** Secrets that only some deployments need, each with the param and the value that require it. */
export const OPTIONAL_SECRETS = [
  {
    name: "FOOD_SERVICE_TOKEN",
    if: { param: FOOD_SERVICE_AUTH, is: "bearer-token" },
    description: "The bearer token for the food service.",
  },
  {
    name: "FOOD_SERVICE_CLIENT_CERTIFICATE",
    if: { param: FOOD_SERVICE_CLIENT_AUTH, is: "certificate" },
    description: "The client certificate in PEM form, followed by the certificates that signed it.",
  },
  {
    name: "FOOD_SERVICE_CLIENT_KEY",
    if: { param: FOOD_SERVICE_CLIENT_AUTH, is: "certificate" },
    description: "The client certificate's private key in PEM form, not encrypted.",
  },
] as const;

const VPC_CONNECTOR = defineString("VPC_CONNECTOR", {
  default: "none",
  description:
    "Serverless VPC Access connector to reach a food service without a public address, as a name or as projects/…/connectors/…, or none.",
});

const VPC_NETWORK = defineString("VPC_NETWORK", {
  default: "none",
  description: "VPC network for direct VPC egress, instead of a connector, or none.",
});

const VPC_SUBNETWORK = defineString("VPC_SUBNETWORK", {
  default: "none",
  description: "Subnetwork for direct VPC egress, or none for the network's own in that region.",
});

const VPC_EGRESS = defineString("VPC_EGRESS", {
  default: "private-ranges-only",
  input: select(["private-ranges-only", "all-traffic"]),
  description: "Which traffic uses the VPC: private-ranges-only or all-traffic.",
});

const USERS_ADDRESS = defineString("USERS_ADDRESS", {
  default: "localhost:9000",
  description: "Address of orchestrator 1 of the user chain, as host:port.",
});

const USERS_SECURITY = defineString("USERS_SECURITY", {
  default: "plaintext",
  input: select(["tls", "plaintext"]),
  description: "tls with the public roots, or plaintext, which is allowed only in the Emulator Suite.",
});

const CALL_DEADLINE_SECONDS = defineInt("CALL_DEADLINE_SECONDS", {
  default: 10,
  description: "Deadline of one call to the food service, in seconds, from 1 to 60.",
});

const POLL_PASSES = defineInt("POLL_PASSES", {
  default: 1,
  description: "Number of evenly spaced passes over all active orders in each poll, from 1 to 12.",
});

const POLL_PAGE_SIZE = defineInt("POLL_PAGE_SIZE", {
  default: 500,
  description: "Orders per page of a listing, from 1 to 10000. A food service may give fewer.",
});

const CREATE_POLICY = defineString("CREATE_POLICY", {
  default: "park",
  input: select(["park", "idempotency-key"]),
  description:
    "What to do about a create with an unknown outcome: park it for an operator, or resend it with the same idempotency-key.",
});

const CREATE_LEASE_SECONDS = defineInt("CREATE_LEASE_SECONDS", {
  default: 60,
  description: "Claim lease duration, in seconds, from twice CALL_DEADLINE_SECONDS to 600.",
});

const CREATE_TRIES = defineInt("CREATE_TRIES", {
  default: 8,
  description: "Rejected creates before an order is parked, from 1 to 100.",
});

export const STAGE_MAX_INSTANCES = defineInt("STAGE_MAX_INSTANCES", {
  default: 20,
  description:
    "Most instances of each stage and of onRelationWritten, from 1 to 1000. Cloud Run's quota of the region must allow as many.",
});

export const STAGE_CONCURRENCY = defineInt("STAGE_CONCURRENCY", {
  default: 80,
  description:
    "Events that an instance of sendToKitchen and of onRelationWritten handles at a time, from 1 to 1000. More need more memory.",
});

/** The limits of instances and concurrent events: whole numbers in this range. */
const SCALES = [STAGE_MAX_INSTANCES, STAGE_CONCURRENCY];
const MAX_SCALE = 1_000;

/** The params that the settings are built from. */
const MISSING_AFTER_MINUTES = defineInt("MISSING_AFTER_MINUTES", {
  default: 60,
  description:
    "How long the food service must report an order or its link as missing before we treat it as gone, in minutes, from 1 to 10080. Choose a value longer than an outage.",
});

const params: (StringParam | IntParam)[] = [
  FOOD_SERVICE_ADDRESS,
  FOOD_SERVICE_SECURITY,
  FOOD_SERVICE_AUTH,
  FOOD_SERVICE_AUDIENCE,
  FOOD_SERVICE_CLIENT_AUTH,
  USERS_ADDRESS,
  USERS_SECURITY,
  CALL_DEADLINE_SECONDS,
  POLL_PASSES,
  POLL_PAGE_SIZE,
  CREATE_POLICY,
  CREATE_LEASE_SECONDS,
  CREATE_TRIES,
  MISSING_AFTER_MINUTES,
];

/** All params, in the order of docs/deployment.md. */
export const ALL_PARAMS = [
  REGION,
  POLL_SCHEDULE,
  SWEEP_SCHEDULE,
  FOOD_SERVICE_CA,
  ...OPTIONAL_SECRETS.map(({ description, ...secret }) => ({ ...secret, options: { description } })),
  ...params,
  ...SCALES,
  VPC_CONNECTOR,
  VPC_NETWORK,
  VPC_SUBNETWORK,
  VPC_EGRESS,
];

type Environment = Record<string, string | undefined>;

/** The value of a param, or its default: the Firebase CLI sets defaults in the environment, other programs may not. */
export function configured(param: StringParam | IntParam, env: Environment = process.env): unknown {
  const given = env[param.name];
  if (given === undefined) return param.options.default;
  if (typeof param.options.default !== "number") return given;
  // The SDK would read "10s" as 10. Text other than digits stays unchanged, so the schema rejects it.
  return /^-?\d+$/.test(given) ? Number(given) : given;
}

/** The optional secrets that this deployment's params require. */
export function chosenSecrets(env: Environment = process.env): (typeof OPTIONAL_SECRETS)[number][] {
  return OPTIONAL_SECRETS.filter(({ if: { param, is } }) => configured(param, env) === is);
}

/**
 * The options of each function that depend on params. A declared secret must exist in the deployed project, so only the secrets
 * that the params require are declared. The Firebase CLI sets the project's params in the environment when it discovers the
 * functions.
 * @throws ValidationError if the VPC's params contradict each other
 */
export function deployOptions() {
  const optional = chosenSecrets().map(({ name, description }) => defineSecret(name, { description }));
  return { region: REGION, secrets: [FOOD_SERVICE_CA, ...optional], ...vpcOptions() };
}

const EGRESS = { "private-ranges-only": "PRIVATE_RANGES_ONLY", "all-traffic": "ALL_TRAFFIC" } as const;

function vpcOptions() {
  const [problem] = vpcProblems(process.env);
  if (problem !== undefined) throw new ValidationError(`Wrong configuration. ${problem}.`);
  const { connector, network, subnetwork, egress } = vpcIn(process.env);
  const vpcEgress = EGRESS[egress as keyof typeof EGRESS];
  if (connector !== undefined) return { vpcConnector: connector, vpcEgress };
  if (network === undefined && subnetwork === undefined) return {};
  return { networkInterface: { ...(network && { network }), ...(subnetwork && { subnetwork }) }, vpcEgress };
}

function vpcIn(env: Environment) {
  const given = (param: StringParam) => {
    const value = String(configured(param, env));
    return value === "none" ? undefined : value;
  };
  return {
    connector: given(VPC_CONNECTOR),
    network: given(VPC_NETWORK),
    subnetwork: given(VPC_SUBNETWORK),
    egress: String(configured(VPC_EGRESS, env)),
  };
}

function scaleProblems(env: Environment): string[] {
  return SCALES.flatMap((param) => {
    const value = configured(param, env);
    if (typeof value === "number" && value >= 1 && value <= MAX_SCALE) return [];
    return [`${param.name} is ${JSON.stringify(value)}: must be a whole number from 1 to ${MAX_SCALE}`];
  });
}

function vpcProblems(env: Environment): string[] {
  const { connector, network, subnetwork, egress } = vpcIn(env);
  const given = { VPC_CONNECTOR: connector, VPC_NETWORK: network, VPC_SUBNETWORK: subnetwork };
  const malformed = Object.entries(given).filter(([, value]) => value !== undefined && !/^[\w./-]+$/.test(value));
  return [
    ...malformed.map(([name, value]) => `${name} is ${JSON.stringify(value)}: it must be the name of one, or none`),
    ...(egress in EGRESS
      ? []
      : [`VPC_EGRESS is ${JSON.stringify(egress)}: it must be private-ranges-only or all-traffic`]),
    ...(connector !== undefined && (network ?? subnetwork) !== undefined
      ? ["VPC_CONNECTOR and VPC_NETWORK or VPC_SUBNETWORK are set: use the connector or direct VPC egress, not both"]
      : []),
  ];
}

const valuesIn = (env: Environment) => Object.fromEntries(params.map((param) => [param.name, configured(param, env)]));

/**
 * The settings of this deployment.
 * @throws ValidationError that names what is wrong and what is allowed
 */
export function readSettings(): Settings {
  const secrets = ["FOOD_SERVICE_CA", ...chosenSecrets().map(({ name }) => name)];
  const given = Object.fromEntries(secrets.map((name) => [name, process.env[name]]));
  const settings = parseSettings({ ...valuesIn(process.env), ...given, K_REVISION: process.env.K_REVISION });
  if (process.env.FUNCTIONS_EMULATOR === "true") return settings;
  const [problem] = plaintextProblems(settings);
  if (problem !== undefined) throw new ValidationError(`Wrong configuration. ${problem}.`);
  return settings;
}

/** The errors with which the functions would reject a deployment's params. Secrets are not checked. */
export function deploymentProblems(env: Environment): string[] {
  const values = valuesIn(env);
  const secrets = OPTIONAL_SECRETS.map(({ name }) => name);
  const problems = settingProblems({ ...values, FOOD_SERVICE_CA: "system" });
  return [
    ...problems.filter((problem) => !secrets.some((name) => problem.startsWith(`${name} `))),
    ...plaintextProblems(values),
    ...vpcProblems(env),
    ...scaleProblems(env),
  ];
}

function plaintextProblems(settings: Record<string, unknown>): string[] {
  const plain = ["FOOD_SERVICE_SECURITY", "USERS_SECURITY"].filter((name) => settings[name] === "plaintext");
  return plain.map((name) => `${name} is plaintext: only tls is allowed outside the emulator`);
}
