/** The certificate of a server on this machine: created at the first start, and reused afterwards. */
import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { generate } from "selfsigned";
import { toErrorInfo } from "../../functions/src/domain/errors.js";
import { StartError } from "../server.js";

const TEN_YEARS = 10 * 365 * 24 * 3_600_000;

/** Both in PEM form. */
interface Identity {
  key: Buffer;
  certificate: Buffer;
  /** The certificate's file, which clients need. */
  path: string;
}

/**
 * The key and the certificate in this directory, created for localhost if they do not exist.
 * @throws StartError if they can't be read, created or used
 */
export async function identityIn(directory: string): Promise<Identity> {
  const path = join(directory, "localhost.crt");
  const keyPath = join(directory, "localhost.key");
  const remedy = `Remove ${path} and ${keyPath}, and the next start creates new ones`;
  try {
    if (!existsSync(path) && !existsSync(keyPath)) await make(directory, path, keyPath);
    const identity = { key: readFileSync(keyPath), certificate: readFileSync(path), path };
    const { validTo } = new X509Certificate(identity.certificate);
    if (Date.parse(validTo) < Date.now()) throw new Error(`it was valid until ${validTo}`);
    createSecureContext({ key: identity.key, cert: identity.certificate });
    return identity;
  } catch (error) {
    const message = `The certificate ${path} can't be used: ${toErrorInfo(error).message}. ${remedy}.`;
    throw new StartError(message, { cause: error });
  }
}

async function make(directory: string, path: string, keyPath: string): Promise<void> {
  const made = await generate([{ name: "commonName", value: "localhost" }], {
    keyType: "ec",
    algorithm: "sha256",
    notAfterDate: new Date(Date.now() + TEN_YEARS),
    extensions: [
      // Clients trust it as their only root, and some require a root to be an authority.
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", digitalSignature: true, keyCertSign: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "localhost" },
          { type: 7, ip: "127.0.0.1" },
          { type: 7, ip: "::1" },
        ],
      },
    ],
  });
  mkdirSync(directory, { recursive: true });
  writeFileSync(keyPath, made.private, { mode: 0o600 });
  writeFileSync(path, made.cert);
}
