/** The settings of a deployment, and their allowed values. `config.ts` declares the params that they come from. */
import { inspect } from "node:util";
import * as v from "valibot";
import { parseAddress } from "./address.js";
import { CredentialError, parseBearerToken, parseCertificates, parsePrivateKey, parseTrust } from "./credentials.js";
import { ValidationError } from "./domain/errors.js";

const wholeNumber = (least: number, most: number) => {
  const allowed = `must be a whole number from ${least} to ${most}`;
  return v.pipe(v.number(allowed), v.integer(allowed), v.minValue(least, allowed), v.maxValue(most, allowed));
};

const address = v.pipe(
  v.string("must be host:port, such as food.example.com:443"),
  v.check((text) => (parseAddress(text)?.port ?? 0) > 0, "must be host:port, such as food.example.com:443"),
);

/** Text that `parse` accepts. It throws a CredentialError for other text. */
const credential = <T>(parse: (text: string) => T) =>
  v.pipe(
    v.string("is missing"),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch (error) {
        if (!(error instanceof CredentialError)) throw error;
        addIssue({ message: error.message });
        return NEVER;
      }
    }),
  );

const schema = v.pipe(
  v.object({
    FOOD_SERVICE_ADDRESS: address,
    FOOD_SERVICE_SECURITY: v.picklist(["tls", "plaintext"]),
    FOOD_SERVICE_CA: credential(parseTrust),
    FOOD_SERVICE_AUTH: v.optional(v.picklist(["none", "bearer-token", "google-id-token"]), "none"),
    FOOD_SERVICE_TOKEN: v.optional(credential(parseBearerToken)),
    FOOD_SERVICE_AUDIENCE: v.optional(
      v.pipe(v.string(), v.regex(/^[^\s&#]+$/, "must be an audience, or none")),
      "none",
    ),
    FOOD_SERVICE_CLIENT_AUTH: v.optional(v.picklist(["none", "certificate"]), "none"),
    FOOD_SERVICE_CLIENT_CERTIFICATE: v.optional(credential(parseCertificates)),
    FOOD_SERVICE_CLIENT_KEY: v.optional(credential(parsePrivateKey)),
    USERS_ADDRESS: address,
    USERS_SECURITY: v.picklist(["tls", "plaintext"]),
    CALL_DEADLINE_SECONDS: wholeNumber(1, 60),
    POLL_PASSES: wholeNumber(1, 12),
    POLL_PAGE_SIZE: wholeNumber(1, 10_000),
    CREATE_POLICY: v.picklist(["park", "idempotency-key"]),
    CREATE_LEASE_SECONDS: wholeNumber(2, 600),
    CREATE_TRIES: wholeNumber(1, 100),
    MISSING_AFTER_MINUTES: wholeNumber(1, 10_080),
    /** The deployed revision; Cloud Run sets it. */
    K_REVISION: v.optional(v.string()),
  }),
  v.forward(
    v.check(
      (given) => given.CREATE_LEASE_SECONDS >= 2 * given.CALL_DEADLINE_SECONDS,
      "must be at least twice CALL_DEADLINE_SECONDS, so no create is in progress when its lease expires",
    ),
    ["CREATE_LEASE_SECONDS"],
  ),
  v.forward(
    v.check(
      ({ FOOD_SERVICE_AUTH, FOOD_SERVICE_TOKEN }) => FOOD_SERVICE_AUTH !== "bearer-token" || !!FOOD_SERVICE_TOKEN,
      "is missing, and FOOD_SERVICE_AUTH is bearer-token: set the secret and deploy again",
    ),
    ["FOOD_SERVICE_TOKEN"],
  ),
  v.forward(
    v.check(
      ({ FOOD_SERVICE_AUTH, FOOD_SERVICE_AUDIENCE }) =>
        FOOD_SERVICE_AUTH !== "google-id-token" || FOOD_SERVICE_AUDIENCE !== "none",
      "FOOD_SERVICE_AUTH is google-id-token, so it must be the audience that the food service expects",
    ),
    ["FOOD_SERVICE_AUDIENCE"],
  ),
  v.forward(
    v.check(
      ({ FOOD_SERVICE_AUTH, FOOD_SERVICE_CLIENT_AUTH, FOOD_SERVICE_SECURITY }) =>
        FOOD_SERVICE_SECURITY === "tls" || (FOOD_SERVICE_AUTH === "none" && FOOD_SERVICE_CLIENT_AUTH === "none"),
      "tokens and client certificates are sent over TLS only: it must be tls, or FOOD_SERVICE_AUTH and FOOD_SERVICE_CLIENT_AUTH none",
    ),
    ["FOOD_SERVICE_SECURITY"],
  ),
  v.forward(
    v.check(
      (given) => given.FOOD_SERVICE_CLIENT_AUTH === "none" || !!given.FOOD_SERVICE_CLIENT_CERTIFICATE,
      "is missing, and FOOD_SERVICE_CLIENT_AUTH is certificate: set the secret and deploy again",
    ),
    ["FOOD_SERVICE_CLIENT_CERTIFICATE"],
  ),
  v.forward(
    v.check(
      (given) => given.FOOD_SERVICE_CLIENT_AUTH === "none" || !!given.FOOD_SERVICE_CLIENT_KEY,
      "is missing, and FOOD_SERVICE_CLIENT_AUTH is certificate: set the secret and deploy again",
    ),
    ["FOOD_SERVICE_CLIENT_KEY"],
  ),
  v.forward(
    v.check(({ FOOD_SERVICE_CLIENT_CERTIFICATE: certificates, FOOD_SERVICE_CLIENT_KEY: key }) => {
      const [own] = certificates ?? [];
      return own === undefined || key === undefined || own.checkPrivateKey(key);
    }, "is not the private key of the first certificate in FOOD_SERVICE_CLIENT_CERTIFICATE: set a matching pair"),
    ["FOOD_SERVICE_CLIENT_KEY"],
  ),
);

/** The settings, by the names of their params. */
export type Settings = v.InferOutput<typeof schema>;

/** The settings whose values never appear in messages. */
const SECRET = new Set([
  "FOOD_SERVICE_CA",
  "FOOD_SERVICE_TOKEN",
  "FOOD_SERVICE_CLIENT_CERTIFICATE",
  "FOOD_SERVICE_CLIENT_KEY",
]);

/**
 * Parses the settings.
 * @throws ValidationError that names each invalid setting and the allowed values
 */
export function parseSettings(given: unknown): Settings {
  const parsed = v.safeParse(schema, given);
  if (parsed.success) return parsed.output;
  throw new ValidationError(`Wrong configuration. ${settingProblems(given).join(". ")}.`);
}

/** The errors in the settings, each as `NAME is VALUE: what is allowed`; empty if all are valid. */
export function settingProblems(given: unknown): string[] {
  const { issues = [] } = v.safeParse(schema, given);
  return issues.map((issue) => {
    const name = v.getDotPath(issue) ?? "the configuration";
    const value = (given as Record<string, unknown> | null)?.[name];
    return SECRET.has(name) ? `${name} ${issue.message}` : `${name} is ${shown(value)}: ${issue.message}`;
  });
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : inspect(value, { breakLength: Number.POSITIVE_INFINITY });
}
