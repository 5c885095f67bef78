import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import fc from "fast-check";
import { CertificateMaker } from "../../harness/certificate-maker.js";
import { ValidationError } from "./domain/errors.js";
import { parseSettings, type Settings } from "./settings.js";
import { TEST_SETTINGS } from "./testing/test-bed.js";

const PEM = `${rootCertificates[0]}\n`;
const BROKEN_PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/** A client certificate with its key, and a key that is not its own. */
function clientPair(): { key: string; cert: string; otherKey: string } {
  const maker = new CertificateMaker();
  const [own, other] = [maker.issue({ subject: "orchestrator" }), maker.issue({ subject: "other" })];
  maker.close();
  return { key: own.key, cert: own.certificate, otherKey: other.key };
}

function messageFor(wrong: Record<string, unknown>): string {
  try {
    parseSettings({ ...TEST_SETTINGS, ...wrong });
  } catch (error) {
    assert.ok(error instanceof ValidationError);
    return error.message;
  }
  return assert.fail(`${JSON.stringify(wrong)} was taken`);
}

describe("settings", () => {
  it("are accepted unchanged if all are valid", () => {
    assert.deepEqual(parseSettings(TEST_SETTINGS), TEST_SETTINGS);
  });

  const allowed: { [N in keyof Settings]?: unknown[] } = {
    FOOD_SERVICE_ADDRESS: ["food.example.com:443", "10.0.0.7:1", "[::1]:50051", "localhost:65535"],
    FOOD_SERVICE_SECURITY: ["tls", "plaintext"],
    FOOD_SERVICE_CA: ["system", " system\n", PEM, PEM + PEM, PEM.replaceAll("\n", "\r\n")],
    USERS_ADDRESS: ["users.example.com:443"],
    USERS_SECURITY: ["tls", "plaintext"],
    CALL_DEADLINE_SECONDS: [1, 30],
    POLL_PASSES: [1, 12],
    POLL_PAGE_SIZE: [1, 10_000],
    CREATE_POLICY: ["park", "idempotency-key"],
    CREATE_LEASE_SECONDS: [20, 600],
    CREATE_TRIES: [1, 100],
    MISSING_AFTER_MINUTES: [1, 10_080],
  };
  for (const [name, values] of Object.entries(allowed)) {
    it(`accept the smallest and the largest allowed value of ${name}`, () => {
      for (const value of values) assert.doesNotThrow(() => parseSettings({ ...TEST_SETTINGS, [name]: value }));
    });
  }

  const wrong: [name: keyof Settings, says: RegExp, ...values: unknown[]][] = [
    [
      "FOOD_SERVICE_ADDRESS",
      /host:port/,
      ...["", "localhost", "localhost:", ":50051", "https://food:443", "food:44x", "a b:1", "food:443/", "food:443\n"],
    ],
    ["FOOD_SERVICE_ADDRESS", /host:port/, "localhost:0", "localhost:65536", "localhost:99999"],
    ["FOOD_SERVICE_SECURITY", /"tls" \| "plaintext"/, "", "TLS", "none", undefined],
    ["FOOD_SERVICE_CA", /PEM form, or the word system/, "", "System", "/etc/ssl/ca.crt", "roots"],
    ["FOOD_SERVICE_CA", /a certificate that can't be read: copy all of it again/, BROKEN_PEM],
    ["FOOD_SERVICE_AUTH", /"none" \| "bearer-token" \| "google-id-token"/, "", "token", "NONE"],
    ["FOOD_SERVICE_AUDIENCE", /an audience, or none/, "", "two words", "https://food.example.com?a&b"],
    ["FOOD_SERVICE_CLIENT_AUTH", /"none" \| "certificate"/, "", "mtls"],
    ["USERS_ADDRESS", /host:port/, "", "localhost"],
    ["USERS_SECURITY", /"tls" \| "plaintext"/, "", "none"],
    ["CALL_DEADLINE_SECONDS", /1|60/, 0, -1, 61],
    ["POLL_PASSES", /1|12/, 0, 13],
    ["POLL_PAGE_SIZE", /1|10000/, 0, 10_001],
    ["CREATE_POLICY", /"park" \| "idempotency-key"/, "", "Park", "retry", undefined],
    ["CREATE_LEASE_SECONDS", /2|600/, 0, 601, 1],
    ["CREATE_LEASE_SECONDS", /twice CALL_DEADLINE_SECONDS/, 19],
    ["CREATE_TRIES", /1|100/, 0, 101],
    ["MISSING_AFTER_MINUTES", /1|10080/, 0, 10_081],
  ];
  for (const [name, says, ...values] of wrong) {
    for (const value of values) {
      it(`name ${name} if it is ${JSON.stringify(value)}, with the allowed values`, () => {
        const message = messageFor({ [name]: value });
        assert.match(message, /^Wrong configuration\. /);
        assert.match(message, new RegExp(`\\b${name}\\b`));
        assert.match(message, says);
      });
    }
  }

  const { key, cert, otherKey } = clientPair();
  const mtls = {
    FOOD_SERVICE_CLIENT_AUTH: "certificate",
    FOOD_SERVICE_CLIENT_CERTIFICATE: cert,
    FOOD_SERVICE_CLIENT_KEY: key,
  };

  it("contain the parsed certificates, key and token", () => {
    const settings = parseSettings({
      ...TEST_SETTINGS,
      ...mtls,
      FOOD_SERVICE_CA: `"${PEM.trim()}${PEM.trim()}"`,
      FOOD_SERVICE_AUTH: "bearer-token",
      FOOD_SERVICE_TOKEN: "Bearer secret\n",
    });
    assert.ok(settings.FOOD_SERVICE_CA !== "system");
    assert.deepEqual(settings.FOOD_SERVICE_CA.map(String), [String(new X509Certificate(PEM))]);
    assert.deepEqual(settings.FOOD_SERVICE_CLIENT_CERTIFICATE?.map(String), [String(new X509Certificate(cert))]);
    assert.equal(settings.FOOD_SERVICE_CLIENT_KEY?.export({ format: "pem", type: "pkcs8" }), key);
    assert.equal(settings.FOOD_SERVICE_TOKEN, "secret");
  });

  const incomplete: [what: string, given: Record<string, unknown>, says: RegExp][] = [
    [
      "a token",
      { FOOD_SERVICE_AUTH: "bearer-token" },
      /FOOD_SERVICE_TOKEN is missing, and FOOD_SERVICE_AUTH is bearer-token/,
    ],
    [
      "an audience",
      { FOOD_SERVICE_AUTH: "google-id-token" },
      /FOOD_SERVICE_AUDIENCE is "none": FOOD_SERVICE_AUTH is google-id-token/,
    ],
    [
      "a client certificate",
      { ...mtls, FOOD_SERVICE_CLIENT_CERTIFICATE: undefined },
      /FOOD_SERVICE_CLIENT_CERTIFICATE is missing/,
    ],
    ["a client key", { ...mtls, FOOD_SERVICE_CLIENT_KEY: undefined }, /FOOD_SERVICE_CLIENT_KEY is missing/],
    [
      "the right key",
      { ...mtls, FOOD_SERVICE_CLIENT_KEY: otherKey },
      /FOOD_SERVICE_CLIENT_KEY is not the private key of/,
    ],
    [
      "TLS for a client certificate",
      { ...mtls, FOOD_SERVICE_SECURITY: "plaintext" },
      /FOOD_SERVICE_SECURITY .*over TLS only/,
    ],
    [
      "TLS for a token",
      { FOOD_SERVICE_AUTH: "bearer-token", FOOD_SERVICE_TOKEN: "secret", FOOD_SERVICE_SECURITY: "plaintext" },
      /FOOD_SERVICE_SECURITY .*over TLS only/,
    ],
  ];
  for (const [what, given, says] of incomplete) {
    it(`name the missing setting without ${what}`, () => {
      const message = messageFor(given);
      assert.match(message, says);
      assert.doesNotMatch(message, /PRIVATE KEY|secret\b(?! and)/);
    });
  }

  it("show the invalid value, even if it is invalid only in combination with another", () => {
    assert.match(messageFor({ CALL_DEADLINE_SECONDS: 61 }), /CALL_DEADLINE_SECONDS is 61/);
    assert.match(messageFor({ CREATE_POLICY: "retry" }), /CREATE_POLICY is "retry"/);
    assert.match(messageFor({ CREATE_LEASE_SECONDS: 19 }), /CREATE_LEASE_SECONDS is 19/);
  });

  it("say which numbers are allowed, even if the value is not a number", () => {
    for (const value of [Number.NaN, 1.5]) assert.match(messageFor({ POLL_PASSES: value }), /\b1\b.*\b12\b/);
  });

  it("name all invalid settings at once", () => {
    const message = messageFor({ POLL_PASSES: 0, CREATE_POLICY: "never", FOOD_SERVICE_ADDRESS: "nowhere" });
    for (const name of ["POLL_PASSES", "CREATE_POLICY", "FOOD_SERVICE_ADDRESS"])
      assert.match(message, new RegExp(name));
    assert.doesNotMatch(message, /CREATE_TRIES|CREATE_LEASE_SECONDS/);
  });

  it("never print a secret", () => {
    for (const name of ["FOOD_SERVICE_CA", "FOOD_SERVICE_CLIENT_CERTIFICATE", "FOOD_SERVICE_CLIENT_KEY"]) {
      assert.doesNotMatch(messageFor({ [name]: "my secret AAAA" }), /AAAA/);
    }
    assert.doesNotMatch(messageFor({ FOOD_SERVICE_TOKEN: "my secret AAAA" }), /AAAA/);
  });

  it("are rejected if there are none", () => {
    for (const given of [undefined, null, [], "settings"]) {
      assert.throws(() => parseSettings(given), ValidationError);
    }
  });

  it("are accepted or rejected by name, whatever they contain", () => {
    const some = fc.record(Object.fromEntries(Object.keys(TEST_SETTINGS).map((name) => [name, fc.anything()])), {
      requiredKeys: [],
    });
    fc.assert(
      fc.property(some, (given) => {
        try {
          parseSettings({ ...TEST_SETTINGS, ...given });
        } catch (error) {
          assert.ok(error instanceof ValidationError, String(error));
          assert.ok(Object.keys(given).some((name) => error.message.includes(name)));
        }
      }),
    );
  });
});
