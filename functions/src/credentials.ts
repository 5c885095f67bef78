/**
 * Parses certificates, private keys and tokens as people paste them: from Windows, in quotes, on one line, without a newline
 * between two of them. Each is parsed once, certificates and keys by Node.js, and calls use the parsed form.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/** The trusted certificates that verify a server; "system" means Node.js' own roots. */
export type Trust = "system" | readonly X509Certificate[];

/** A client certificate with its key. */
export interface ClientIdentity {
  /** The client's certificate, followed by the certificates that signed it. */
  certificates: readonly X509Certificate[];
  key: KeyObject;
}

/** The text is not usable. The message says why and what to do, and follows the name of the text in a sentence. */
export class CredentialError extends Error {
  override readonly name = "CredentialError";
}

/**
 * The certificates to trust: PEM text, or the word system.
 * @throws CredentialError
 */
export function parseTrust(text: string): Trust {
  if (unwrapped(text) === "system") return "system";
  if (text.includes("-----BEGIN CERTIFICATE-----")) return parseCertificates(text);
  throw new CredentialError(`must be certificates in PEM form, or the word system for Node.js' own roots${hint(text)}`);
}

/**
 * All certificates in the text, without duplicates, in their order. Other text is ignored.
 * @throws CredentialError if there is none or one can't be parsed
 */
export function parseCertificates(text: string): X509Certificate[] {
  const blocks = blocksIn(text, "CERTIFICATE");
  if (blocks.length === 0) {
    throw new CredentialError(`has no certificate in PEM form (-----BEGIN CERTIFICATE-----)${hint(text)}`);
  }
  const certificates = new Map<string, X509Certificate>();
  for (const [index, block] of blocks.entries()) {
    const which = blocks.length === 1 ? "a certificate" : `certificate ${index + 1} of ${blocks.length}`;
    if (block === undefined)
      throw new CredentialError(`has ${which} that is truncated or damaged: copy all of it again`);
    try {
      const certificate = new X509Certificate(block);
      certificates.set(certificate.fingerprint256, certificate);
    } catch (cause) {
      throw new CredentialError(`has ${which} that can't be read: copy all of it again`, { cause });
    }
  }
  return [...certificates.values()];
}

/**
 * The private key in the text.
 * @throws CredentialError if there is none, it is encrypted or it can't be parsed
 */
export function parsePrivateKey(text: string): KeyObject {
  if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(text)) {
    throw new CredentialError("is an encrypted private key: decrypt it with `openssl pkey -in KEY -out DECRYPTED`");
  }
  for (const [label, type] of KEY_FORMS) {
    const [block] = blocksIn(text, label);
    if (block === undefined) continue;
    try {
      return createPrivateKey({ key: block, format: "der", type });
    } catch (cause) {
      throw new CredentialError("has a private key that can't be read: copy all of it again", { cause });
    }
  }
  const cut = text.includes("PRIVATE KEY-----")
    ? ", only one that is truncated or damaged: copy all of it again"
    : hint(text);
  throw new CredentialError(`has no private key in PEM form (-----BEGIN PRIVATE KEY-----)${cut}`);
}

/**
 * A bearer token, without surrounding quotes or the prefix Bearer.
 * @throws CredentialError if it is empty or has spaces in it
 */
export function parseBearerToken(text: string): string {
  const token = unwrapped(text).replace(/^Bearer(\s+|$)/i, "");
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new CredentialError(token === "" ? "contains no token" : "must be a token on one line, without spaces");
}

const KEY_FORMS = [
  ["PRIVATE KEY", "pkcs8"],
  ["EC PRIVATE KEY", "sec1"],
  ["RSA PRIVATE KEY", "pkcs1"],
] as const;

/** The certificates in PEM form, one after the other. */
export function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join("");
}

/** The text of a file, including UTF-16 files from Windows. */
export function textOf(bytes: Buffer): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.toString("utf16le");
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return Buffer.from(bytes).swap16().toString("utf16le");
  return bytes.toString("utf8");
}

/** The decoded contents of each PEM block with this label; undefined for a truncated block. */
function blocksIn(text: string, label: string): (Buffer | undefined)[] {
  // A value from JSON or an environment file may have escaped newlines.
  const parts = text.replace(/\\[rn]/g, "\n").split(`-----BEGIN ${label}-----`);
  return parts.slice(1).map((part) => {
    const end = part.indexOf(`-----END ${label}-----`);
    const base64 = part.slice(0, Math.max(end, 0)).replace(/\s+/g, "");
    return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? Buffer.from(base64, "base64") : undefined;
  });
}

/** Strips surrounding white space and quotes. */
function unwrapped(text: string): string {
  return text.replace(/^\s*(ca\s*=)?[\s"'\uFEFF]*|[\s"']*$/g, "");
}

/** What the text is instead, if that can be recognized. */
function hint(text: string): string {
  const [, found] = CONFUSED.find(([sign]) => sign.test(text)) ?? [];
  return found === undefined ? "" : `, but ${found}`;
}

const CONFUSED: [sign: RegExp, what: string][] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----/, "a private key, which only its owner may have"],
  [/-----BEGIN (NEW )?CERTIFICATE REQUEST-----/, "a certificate request: give the certificate that was made from it"],
  [/-----BEGIN PKCS7-----/, "PKCS #7: convert it with `openssl pkcs7 -print_certs`"],
  [/-----BEGIN TRUSTED CERTIFICATE-----/, "OpenSSL's own form: convert it with `openssl x509`"],
  [/-----BEGIN CERTIFICATE-----/, "a certificate"],
  [/^\s*LS0tLS1CRUdJTi/, "base64-encoded PEM: decode it with `base64 -d`"],
  // A DER sequence of more than 127 bytes, raw or decoded as UTF-8.
  [/^0[\u0082\uFFFD]/, "binary: convert it with `openssl x509 -inform der`"],
];
