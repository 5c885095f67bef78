/** TLS by flag, and plaintext on loopback only unless it is asked for. Used by the servers and their callers. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { createSecureContext } from "node:tls";
import { ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";
import { expectAddress, StartError } from "../server.js";

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
    const cert = read("certificate", tlsCertificate);
    const key = read("key", tlsKey);
    try {
      createSecureContext({ cert, key });
    } catch (cause) {
      throw new StartError(`${tlsCertificate} and ${tlsKey} are no PEM certificate and its key`, { cause });
    }
    return ServerCredentials.createSsl(null, [{ cert_chain: cert, private_key: key }], false);
  }
  if (tlsCertificate !== undefined || tlsKey !== undefined) {
    throw new StartError("TLS needs both: --tls-certificate and --tls-key");
  }
  if (!mayBePlaintext(address, security)) {
    throw new StartError(
      `Not listening on ${address} in plaintext, it is off loopback: give --tls-certificate and --tls-key, or --plaintext`,
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
  const loopbackOrAsked = mayBePlaintext(address, security);
  if (ca === "system") return withoutIpAsServerName(address, ChannelCredentials.createSsl());
  if (ca !== undefined) {
    const trusted = read("CA", ca);
    if (!trusted.includes("-----BEGIN CERTIFICATE-----")) throw new StartError(`${ca} holds no PEM certificate`);
    return withoutIpAsServerName(address, ChannelCredentials.createSsl(trusted));
  }
  if (!loopbackOrAsked) {
    throw new StartError(`Not calling ${address} in plaintext, it is off loopback: give --ca, or --plaintext`);
  }
  return ChannelCredentials.createInsecure();
}

function mayBePlaintext(address: string, security: Security): boolean {
  const { host } = expectAddress(address);
  return security.plaintext === true || /^(localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(host);
}

function read(what: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new StartError(`Can't read the ${what} file ${file}`, { cause });
  }
}

/** RFC 6066 knows no IP address as a server name, and Node.js warns of one (DEP0123). grpc-js sets it all the same. */
function withoutIpAsServerName(address: string, credentials: ChannelCredentials): ChannelCredentials {
  if (isIP(expectAddress(address).host) === 0) return credentials;
  const create = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...given) => {
    const connector = create(...given);
    // The certificate is checked for the address, which stays in these options as the host.
    const { connectionOptions } = connector as { connectionOptions?: { servername?: string } };
    delete connectionOptions?.servername;
    return connector;
  };
  return credentials;
}
