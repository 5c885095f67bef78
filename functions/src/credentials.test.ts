import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import {
  CredentialError,
  parseBearerToken,
  parseCertificates,
  parsePrivateKey,
  parseTrust,
  pemOf,
  textOf,
} from "./credentials.js";

const [FIRST = "", SECOND = ""] = rootCertificates;
const BOTH = [FIRST, SECOND].map((pem) => new X509Certificate(pem).fingerprint256);

const fingerprints = (text: string) => parseCertificates(text).map(({ fingerprint256 }) => fingerprint256);

describe("certificates", () => {
  const forms: Record<string, string> = {
    "one after the other": `${FIRST}\n${SECOND}\n`,
    "without a newline between them": FIRST + SECOND,
    "with Windows line ends": `${FIRST}\n${SECOND}\n`.replaceAll("\n", "\r\n"),
    "with old Mac line ends": `${FIRST}\n${SECOND}\n`.replaceAll("\n", "\r"),
    "after a byte order mark": `\uFEFF${FIRST}\n${SECOND}`,
    "in double quotes": `"${FIRST}\n${SECOND}"`,
    "in single quotes, each": `'${FIRST}' '${SECOND}'`,
    "after ca=": `ca=${FIRST}\n${SECOND}`,
    "after FOOD_SERVICE_CA= and in quotes": `FOOD_SERVICE_CA="${FIRST}\n${SECOND}"`,
    "with newlines written as \\n": `${FIRST}\n${SECOND}`.replaceAll("\n", "\\n"),
    "on one line, spaces for newlines": `${FIRST} ${SECOND}`.replace(/\n/g, " "),
    "without any newline": `${FIRST}${SECOND}`.replace(/\n/g, ""),
    "indented as in YAML": `${FIRST}\n${SECOND}`.replace(/^/gm, "    "),
    "with text around them": `Certificate:\n  Data: v3\n${FIRST}\nsubject=x\n-----\n${SECOND}\nthe end -- really`,
    "with a key between them": `${FIRST}\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n${SECOND}`,
    "the first one twice": `${FIRST}\n${FIRST}\n${SECOND}`,
  };
  for (const [form, text] of Object.entries(forms)) {
    it(`are parsed ${form}`, () => {
      assert.deepEqual(fingerprints(text), BOTH);
      assert.deepEqual(fingerprints(pemOf(parseCertificates(text))), BOTH);
    });
  }

  it("are parsed from a file that PowerShell wrote", () => {
    const utf16 = Buffer.from(`\uFEFF${FIRST}\r\n${SECOND}\r\n`, "utf16le");
    assert.deepEqual(fingerprints(textOf(utf16)), BOTH);
    assert.deepEqual(fingerprints(textOf(Buffer.from(utf16).swap16())), BOTH);
  });

  const body = FIRST.split("\n").slice(1, -1);
  const bad: [what: string, text: string, says: RegExp][] = [
    ["nothing", "", /no certificate in PEM form/],
    ["a path", "/etc/ssl/ca.crt", /no certificate in PEM form/],
    ["a private key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", /but a private key/],
    [
      "a request",
      "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
      /certificate request/,
    ],
    ["PKCS #7", "-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----", /openssl pkcs7 -print_certs/],
    ["PEM in base64", Buffer.from(FIRST).toString("base64"), /decode it with `base64 -d`/],
    ["a cut one", FIRST.slice(0, 400), /a certificate that is truncated or damaged/],
    ["a cut one among two", `${FIRST.slice(0, 400)}\n${SECOND}`, /certificate 1 of 2 that is truncated or damaged/],
    ["one with a hole", FIRST.replace(body[3] ?? "", ""), /that can't be read: copy all of it again/],
    ["one with a foreign letter", FIRST.replace(body[3] ?? "", "ä"), /truncated or damaged/],
    ["an empty one", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", /truncated or damaged/],
    ["a broken second", `${FIRST}\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----`, /certificate 2 of 2/],
  ];
  for (const [what, text, says] of bad) {
    it(`are rejected if the text is ${what}`, () => {
      assert.throws(
        () => parseCertificates(text),
        (error) => error instanceof CredentialError && says.test(error.message),
      );
    });
  }

  it("are rejected in binary form, with the command that converts them", () => {
    const binary = Buffer.from(body.join(""), "base64");
    assert.throws(() => parseCertificates(textOf(binary)), /openssl x509 -inform der/);
  });
});

describe("trust", () => {
  it("accepts the word system, also in quotes and after ca=", () => {
    for (const text of ["system", " system\n", '"system"', "ca=system", "\uFEFFsystem\r\n"]) {
      assert.equal(parseTrust(text), "system");
    }
    for (const text of ["System", "systemic", "the system"]) assert.throws(() => parseTrust(text), CredentialError);
  });
});

describe("a private key", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const pem = (type: "pkcs8" | "sec1") => String(privateKey.export({ type, format: "pem" }));

  it("is parsed in every common form, with any text around it", () => {
    const same = [
      pem("pkcs8"),
      pem("sec1"),
      `"${pem("pkcs8")}"`,
      `\uFEFF${pem("sec1").replaceAll("\n", "\r\n")}`,
      FIRST + pem("pkcs8"),
    ];
    // What `openssl ecparam -genkey` writes.
    same.push(`-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${pem("sec1")}`);
    for (const text of same) assert.ok(parsePrivateKey(text).equals(privateKey), text.slice(0, 40));
    assert.ok(parsePrivateKey(String(rsa.export({ type: "pkcs1", format: "pem" }))).equals(rsa));
  });

  it("is rejected if it is encrypted, with the command that decrypts it", () => {
    const encrypted = privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" });
    assert.throws(() => parsePrivateKey(String(encrypted)), /encrypted private key: decrypt it with `openssl pkey/);
    const traditional = privateKey.export({ type: "sec1", format: "pem", cipher: "aes-256-cbc", passphrase: "xxxx" });
    assert.match(String(traditional), /^-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED/);
    assert.throws(() => parsePrivateKey(String(traditional)), /encrypted private key/);
  });

  it("is rejected if it is missing or truncated", () => {
    assert.throws(() => parsePrivateKey(FIRST), /no private key .*, but a certificate/);
    assert.throws(() => parsePrivateKey(pem("pkcs8").slice(0, 80)), /truncated or damaged/);
    assert.throws(
      () => parsePrivateKey("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
      /can't be read/,
    );
  });
});

describe("a bearer token", () => {
  it("is parsed without the quotes and prefixes that people paste with it", () => {
    for (const text of ["abc.def-1", " abc.def-1\r\n", '"abc.def-1"', "Bearer abc.def-1", "'Bearer  abc.def-1'\n"]) {
      assert.equal(parseBearerToken(text), "abc.def-1");
    }
  });

  it("is rejected if it is empty or more than one word", () => {
    for (const text of ["", "\n", "Bearer ", "two words", "two\nlines", "schlüssel"]) {
      assert.throws(() => parseBearerToken(text), CredentialError, text);
    }
  });
});
