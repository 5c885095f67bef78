/** Looks whether somebody's food service can be reached over TLS with their certificate, before anything is started. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, rootCertificates } from "node:tls";
import { expectAddress, StartError } from "../services/server.js";

/** How long the server may take to answer, in milliseconds. */
const PATIENCE = 10_000;

/** By which codes Node.js says that a certificate is not signed by one that is trusted. */
const UNTRUSTED = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_SIGNATURE_FAILURE",
];

/** By which codes Node.js says that nothing answers at an address. It may only be starting. */
const UNREACHABLE = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"];

/** Nothing answers at the food service's address yet. */
export class UnreachableError extends StartError {}

/**
 * The certificates in a file, in PEM form.
 * @throws StartError where there is no such file, or no certificate in it
 */
export function readCertificate(file: string): string {
  let pem: string;
  try {
    pem = readFileSync(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new StartError(code === "ENOENT" ? `There is no certificate ${file}.` : `${file} can't be read: ${message}.`);
  }
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
  } catch {
    blocks.length = 0;
  }
  if (blocks.length === 0) {
    const hint = pem.includes("PRIVATE KEY-----") ? " It is a private key: the server keeps that one to itself." : "";
    throw new StartError(`${file} is not a certificate in PEM form (-----BEGIN CERTIFICATE-----).${hint}`);
  }
  return blocks.join("\n");
}

/**
 * Connects once.
 * @param certificate in PEM form; undefined for the roots that come with Node.js
 * @throws StartError that tells what is in the way: nobody there, no TLS, or a certificate that does not fit
 */
export async function checkServer(address: string, certificate: string | undefined): Promise<void> {
  const { host, port } = expectAddress(address);
  const failure = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const socket = connect({
      host,
      port,
      // An IP address is no server name, but is checked against the certificate all the same.
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      ca: certificate ?? [...rootCertificates],
      ALPNProtocols: ["h2"],
      timeout: PATIENCE,
    });
    const end = (error?: NodeJS.ErrnoException) => {
      socket.destroy();
      resolve(error);
    };
    socket.once("secureConnect", () => end());
    socket.once("error", end);
    socket.once("timeout", () =>
      end(Object.assign(new Error(`no answer within ${PATIENCE / 1000} s`), { code: "ETIMEDOUT" })),
    );
    socket.once("close", () => end(Object.assign(new Error("it closed the connection"), { code: "ECONNRESET" })));
  });
  if (!failure) return;
  const Kind = UNREACHABLE.includes(failure.code ?? "") ? UnreachableError : StartError;
  throw new Kind(explain(address, host, certificate, failure), { cause: failure });
}

function explain(
  address: string,
  host: string,
  certificate: string | undefined,
  failure: NodeJS.ErrnoException,
): string {
  const { code = "", message } = failure;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `There is no host of the name ${host}.`;
  if (code === "ECONNREFUSED") return `Nothing listens on ${address}: is the food service running there?`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `The food service's certificate does not fit the name ${host}: ${message}.`;
  }
  if (UNTRUSTED.includes(code)) {
    return certificate === undefined
      ? `The food service on ${address} has a certificate that no public authority signed: give it with --certificate.`
      : `The certificate that you gave is not the one of the food service on ${address}, nor the one that signed it.`;
  }
  if (code.startsWith("CERT_")) return `The certificate of the food service on ${address} is of no use: ${message}.`;
  if (code.startsWith("ERR_SSL") || code === "EPROTO" || code === "ECONNRESET") {
    return `What listens on ${address} does not speak TLS, as a food service must.`;
  }
  return `The food service on ${address} can't be reached: ${message}.`;
}
