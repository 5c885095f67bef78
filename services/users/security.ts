/** TLS by flag, and plaintext on loopback only unless it is asked for. Used by the servers and their callers. */
import { CallCredentials, ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";
import { plaintextCredentials, tlsCredentials } from "../../functions/src/adapters/firebase/grpc-credentials.js";
import { parseCertificates, parsePrivateKey, pemOf, type Trust } from "../../functions/src/credentials.js";
import { readCredential } from "../read-credential.js";
import { expectAddress, StartError } from "../server.js";

/** What messages call these options. */
const OPTIONS = { trust: "--ca", client: "the address of one that requires none" };

const GRPC = { ChannelCredentials, CallCredentials };

/** Names of PEM files, as given by flag. */
export interface Security {
  /** The server's certificate and its key: both or none. */
  tlsCertificate?: string | undefined;
  tlsKey?: string | undefined;
  /** Whom a caller trusts, a file or the word `system`; it makes the caller speak TLS. */
  ca?: string | undefined;
  /** Allows plaintext off loopback. */
  plaintext?: boolean | undefined;
}

/**
 * How a server at this address speaks.
 * @throws StartError if a file can't be used, or if it would be plaintext off loopback
 */
export function serverCredentials(address: string, security: Security): ServerCredentials {
  const { tlsCertificate, tlsKey } = security;
  if (tlsCertificate !== undefined && tlsKey !== undefined) {
    const certificates = readCredential("TLS certificate", tlsCertificate, parseCertificates);
    const key = readCredential("TLS key", tlsKey, parsePrivateKey);
    if (!certificates[0]?.checkPrivateKey(key)) {
      throw new StartError(`${tlsKey} is not the private key of the first certificate in ${tlsCertificate}.`);
    }
    const pair = {
      cert_chain: Buffer.from(pemOf(certificates)),
      private_key: Buffer.from(key.export({ format: "pem", type: "pkcs8" })),
    };
    return ServerCredentials.createSsl(null, [pair], false);
  }
  if (tlsCertificate !== undefined || tlsKey !== undefined) {
    throw new StartError("TLS needs both: --tls-certificate and --tls-key");
  }
  if (!mayBePlaintext(address, security)) {
    throw new StartError(
      `Not listening on ${address} in plaintext, since it is not a loopback address: pass --tls-certificate and --tls-key, or --plaintext`,
    );
  }
  return ServerCredentials.createInsecure();
}

/**
 * How to speak to a server at this address.
 * @throws StartError if the file can't be used, or if it would be plaintext off loopback
 */
export function channelCredentials(address: string, security: Security): ChannelCredentials {
  const { ca } = security;
  if (ca !== undefined) {
    const { host, port } = expectAddress(address);
    const trust: Trust = ca === "system" ? ca : readCredential("CA", ca, parseCertificates);
    const target = { name: "the server", host, port, trust, client: undefined, options: OPTIONS };
    return tlsCredentials(target, undefined, undefined, GRPC);
  }
  if (!mayBePlaintext(address, security)) {
    throw new StartError(
      `Not calling ${address} in plaintext, since it is not a loopback address: pass --ca, or --plaintext`,
    );
  }
  return plaintextCredentials(GRPC);
}

function mayBePlaintext(address: string, security: Security): boolean {
  const { host } = expectAddress(address);
  return security.plaintext === true || /^(localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(host);
}
