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

export const REGION = defineString("REGION", {
  default: "us-central1",
  description: "Where the functions run. Firestore and the food service should be near.",
});

export const POLL_SCHEDULE = defineString("POLL_SCHEDULE", {
  default: "* * * * *",
  description: "When orders are polled, in cron form. A minute is the finest step; POLL_PASSES makes it finer.",
});

export const SWEEP_SCHEDULE = defineString("SWEEP_SCHEDULE", {
  default: "*/10 * * * *",
  description: "When relations of orders that have ended are closed and waiting orders are said, in cron form.",
});

export const FOOD_SERVICE_CA = defineSecret("FOOD_SERVICE_CA", {
  description: "The certificates that the food service's own is checked with, in PEM form, or the word system.",
});

const FOOD_SERVICE_ADDRESS = defineString("FOOD_SERVICE_ADDRESS", {
  default: "localhost:50051",
  description: "The food service, as host:port.",
});

const FOOD_SERVICE_SECURITY = defineString("FOOD_SERVICE_SECURITY", {
  default: "tls",
  input: select(["tls", "plaintext"]),
  description: "tls, or plaintext, which is refused outside the Emulator Suite.",
});

const USERS_ADDRESS = defineString("USERS_ADDRESS", {
  default: "localhost:9000",
  description: "Orchestrator 1 of the user chain, as host:port.",
});

const USERS_SECURITY = defineString("USERS_SECURITY", {
  default: "plaintext",
  input: select(["tls", "plaintext"]),
  description: "tls with the system's roots, or plaintext, which is refused outside the Emulator Suite.",
});

const CALL_DEADLINE_SECONDS = defineInt("CALL_DEADLINE_SECONDS", {
  default: 10,
  description: "How long one call to the food service may take, in seconds, from 1 to 60.",
});

const POLL_PASSES = defineInt("POLL_PASSES", {
  default: 1,
  description: "Evenly spaced passes over all orders within each run of the poll, from 1 to 12.",
});

const POLL_PAGE_SIZE = defineInt("POLL_PAGE_SIZE", {
  default: 500,
  description: "Orders asked for at a time, from 1 to 1000.",
});

const CREATE_POLICY = defineString("CREATE_POLICY", {
  default: "park",
  input: select(["park", "idempotency-key"]),
  description:
    "What follows a create with an unknown outcome: park for an operator, or send again with the same idempotency-key.",
});

const CREATE_LEASE_SECONDS = defineInt("CREATE_LEASE_SECONDS", {
  default: 60,
  description: "How long a claim keeps others from sending, in seconds, from twice CALL_DEADLINE_SECONDS to 600.",
});

const CREATE_TRIES = defineInt("CREATE_TRIES", {
  default: 8,
  description: "How often a create may be refused before its order is parked, from 1 to 100.",
});

const params: (StringParam | IntParam)[] = [
  FOOD_SERVICE_ADDRESS,
  FOOD_SERVICE_SECURITY,
  USERS_ADDRESS,
  USERS_SECURITY,
  CALL_DEADLINE_SECONDS,
  POLL_PASSES,
  POLL_PAGE_SIZE,
  CREATE_POLICY,
  CREATE_LEASE_SECONDS,
  CREATE_TRIES,
];

/** Everything that a deployment may choose, in the order in which the README shows it. */
export const ALL_PARAMS = [REGION, POLL_SCHEDULE, SWEEP_SCHEDULE, FOOD_SERVICE_CA, ...params];

type Environment = Record<string, string | undefined>;

/** The value of a param, its default when the environment has none: the Firebase CLI fills defaults in, others need not. */
export function configured(param: StringParam | IntParam, env: Environment = process.env): unknown {
  const given = env[param.name];
  if (given === undefined) return param.options.default;
  // The SDK reads "10s" as 10; what is not wholly a number must be refused.
  return typeof param.options.default === "number" ? Number(given) : given;
}

const valuesIn = (env: Environment) => Object.fromEntries(params.map((param) => [param.name, configured(param, env)]));

/**
 * The settings of this deployment.
 * @throws ValidationError that names what is wrong and what is allowed
 */
export function readSettings(): Settings {
  const settings = parseSettings({ ...valuesIn(process.env), FOOD_SERVICE_CA: FOOD_SERVICE_CA.value() });
  if (process.env.FUNCTIONS_EMULATOR === "true") return settings;
  const [problem] = plaintextProblems(settings);
  if (problem !== undefined) throw new ValidationError(`Wrong configuration. ${problem}.`);
  return settings;
}

/** What is wrong with the params that a deployment gives, as the functions would refuse them; secrets are not looked at. */
export function deploymentProblems(env: Environment): string[] {
  const values = valuesIn(env);
  return [...settingProblems({ ...values, FOOD_SERVICE_CA: "system" }), ...plaintextProblems(values)];
}

function plaintextProblems(settings: Record<string, unknown>): string[] {
  const plain = ["FOOD_SERVICE_SECURITY", "USERS_SECURITY"].filter((name) => settings[name] === "plaintext");
  return plain.map((name) => `${name} is plaintext: only tls is allowed outside the emulator`);
}
