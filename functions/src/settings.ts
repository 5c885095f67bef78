/** What a deployment may choose, with what is allowed. `config.ts` declares the params that they come from. */
import { X509Certificate } from "node:crypto";
import { inspect } from "node:util";
import * as v from "valibot";
import { ValidationError } from "./domain/errors.js";

const wholeNumber = (least: number, most: number) => {
  const allowed = `must be a whole number from ${least} to ${most}`;
  return v.pipe(v.number(allowed), v.integer(allowed), v.minValue(least, allowed), v.maxValue(most, allowed));
};

const address = v.pipe(
  v.string(),
  v.check((text) => {
    const [, port] = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(text) ?? [];
    return Number(port) >= 1 && Number(port) <= 65_535;
  }, "must be host:port, such as food.example.com:443"),
);

const schema = v.pipe(
  v.object({
    FOOD_SERVICE_ADDRESS: address,
    FOOD_SERVICE_SECURITY: v.picklist(["tls", "plaintext"]),
    FOOD_SERVICE_CA: v.pipe(
      v.string(),
      v.check(
        (ca) => ca.trim() === "system" || holdsCertificates(ca),
        "must be certificates in PEM form, or the word system for the roots that come with Node.js",
      ),
    ),
    USERS_ADDRESS: address,
    USERS_SECURITY: v.picklist(["tls", "plaintext"]),
    CALL_DEADLINE_SECONDS: wholeNumber(1, 60),
    POLL_PASSES: wholeNumber(1, 12),
    POLL_PAGE_SIZE: wholeNumber(1, 1000),
    CREATE_POLICY: v.picklist(["park", "idempotency-key"]),
    CREATE_LEASE_SECONDS: wholeNumber(2, 600),
    CREATE_TRIES: wholeNumber(1, 100),
  }),
  v.forward(
    v.check(
      (given) => given.CREATE_LEASE_SECONDS >= 2 * given.CALL_DEADLINE_SECONDS,
      "must be at least twice CALL_DEADLINE_SECONDS, so that no create is still under way when its lease ends",
    ),
    ["CREATE_LEASE_SECONDS"],
  ),
);

/** The settings under the names of their params. */
export type Settings = v.InferOutput<typeof schema>;

/**
 * The settings, checked.
 * @throws ValidationError that names each wrong one and what is allowed
 */
export function parseSettings(given: unknown): Settings {
  const parsed = v.safeParse(schema, given);
  if (parsed.success) return parsed.output;
  throw new ValidationError(`Wrong configuration. ${settingProblems(given).join(". ")}.`);
}

/** What is wrong with the settings, each as `NAME is VALUE: what is allowed`; none when all are right. */
export function settingProblems(given: unknown): string[] {
  const { issues = [] } = v.safeParse(schema, given);
  return issues.map((issue) => {
    const name = v.getDotPath(issue) ?? "the configuration";
    const value = (given as Record<string, unknown> | null)?.[name];
    return name === "FOOD_SERVICE_CA" ? `${name} ${issue.message}` : `${name} is ${shown(value)}: ${issue.message}`;
  });
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : inspect(value, { breakLength: Number.POSITIVE_INFINITY });
}

function holdsCertificates(pem: string): boolean {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    return found.map((certificate) => new X509Certificate(certificate)).length > 0;
  } catch {
    return false;
  }
}
