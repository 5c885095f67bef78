/** The command-line options for the connection to a food service: address, trust and credentials. All programs share them. */
import type { Command } from "commander";
import type { FoodServiceConnection } from "../../functions/src/adapters/firebase/grpc-food-service.js";
import { parseBearerToken, parseCertificates, parsePrivateKey, pemOf } from "../../functions/src/credentials.js";
import type { CallError } from "../../functions/src/domain/errors.js";
import { readCredential } from "../read-credential.js";
import { StartError } from "../server.js";

/** Names of files, as given by flag. */
export interface ConnectionFlags {
  certificate?: string;
  clientCertificate?: string;
  clientKey?: string;
  tokenFile?: string;
  idTokenAudience?: string;
}

/** The names of these options in messages. */
export const CONNECTION_OPTIONS = { trust: "--certificate", client: "--client-certificate and --client-key" };

/** The deadline of one call, in seconds. */
const CALL_DEADLINE_SECONDS = 10;

/** Adds the options; `usual` describes the default of `--certificate`. */
export function addConnectionOptions(command: Command, usual: string): Command {
  return command
    .option("--certificate <file>", `the food service's certificate, or the one that signed it (default: ${usual})`)
    .option("--client-certificate <file>", "connect with this client certificate (mTLS)")
    .option("--client-key <file>", "its private key")
    .option("--token-file <file>", "send the bearer token in this file with each call")
    .option("--id-token-audience <audience>", "send a Google ID token for this audience with each call");
}

/** A food service with this certificate, in PEM form, that answers everyone. */
export function connectionTo(address: string, certificate: string): FoodServiceConnection {
  return {
    FOOD_SERVICE_ADDRESS: address,
    FOOD_SERVICE_SECURITY: "tls",
    FOOD_SERVICE_CA: parseCertificates(certificate),
    CALL_DEADLINE_SECONDS,
  };
}

/** The message if the food service rejects its caller; undefined for every other error. */
export function callerProblem(error: CallError, connection: FoodServiceConnection): string | undefined {
  const server = `The food service at ${connection.FOOD_SERVICE_ADDRESS}`;
  const { FOOD_SERVICE_AUTH: auth = "none" } = connection;
  const said = error.message.replace(/^\/\S+: /, "");
  if (error.code === "UNAUTHENTICATED") {
    return auth === "none"
      ? `${server} requires a token (it says: ${said}): give one with --token-file or --id-token-audience`
      : `${server} rejects the token (it says: ${said}): is it for this server, and not expired?`;
  }
  if (error.code === "PERMISSION_DENIED")
    return `${server} rejects this caller (it says: ${said}): grant it access there`;
  return undefined;
}

/** The names of these options, as they are given. */
export function givenConnectionFlags(flags: ConnectionFlags): string[] {
  const names = ["certificate", "clientCertificate", "clientKey", "tokenFile", "idTokenAudience"] as const;
  const given = names.filter((name) => flags[name] !== undefined);
  return given.map((name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
}

/**
 * The connection that the flags describe.
 * @throws StartError that names the file, what is wrong with it and what to do
 */
export function readConnection(address: string, flags: ConnectionFlags): FoodServiceConnection {
  const { certificate, clientCertificate, clientKey, tokenFile, idTokenAudience } = flags;
  if (tokenFile !== undefined && idTokenAudience !== undefined) {
    throw new StartError("Give --token-file or --id-token-audience, not both.");
  }
  return {
    FOOD_SERVICE_ADDRESS: address,
    FOOD_SERVICE_SECURITY: "tls",
    FOOD_SERVICE_CA:
      certificate === undefined ? "system" : readCredential("certificate", certificate, parseCertificates),
    CALL_DEADLINE_SECONDS,
    ...(tokenFile !== undefined && {
      FOOD_SERVICE_AUTH: "bearer-token",
      FOOD_SERVICE_TOKEN: readCredential("token file", tokenFile, parseBearerToken),
    }),
    ...(idTokenAudience !== undefined && {
      FOOD_SERVICE_AUTH: "google-id-token",
      FOOD_SERVICE_AUDIENCE: idTokenAudience,
    }),
    ...readClient(clientCertificate, clientKey),
  };
}

function readClient(certificate: string | undefined, key: string | undefined): Partial<FoodServiceConnection> {
  if (certificate === undefined && key === undefined) return {};
  if (certificate === undefined || key === undefined) {
    throw new StartError("A client certificate needs both: --client-certificate and --client-key.");
  }
  const certificates = readCredential("client certificate", certificate, parseCertificates);
  const privateKey = readCredential("client key", key, parsePrivateKey);
  if (!certificates[0]?.checkPrivateKey(privateKey)) {
    throw new StartError(`${key} is not the private key of the first certificate in ${certificate}.`);
  }
  return {
    FOOD_SERVICE_CLIENT_AUTH: "certificate",
    FOOD_SERVICE_CLIENT_CERTIFICATE: certificates,
    FOOD_SERVICE_CLIENT_KEY: privateKey,
  };
}

/** The connection as functions get it: params and secrets, by name. */
export function environmentOf(connection: FoodServiceConnection): {
  params: Record<string, string>;
  secrets: Record<string, string>;
} {
  const { FOOD_SERVICE_CA: trust, FOOD_SERVICE_TOKEN: token } = connection;
  const { FOOD_SERVICE_CLIENT_CERTIFICATE: certificates, FOOD_SERVICE_CLIENT_KEY: key } = connection;
  return {
    params: {
      FOOD_SERVICE_ADDRESS: connection.FOOD_SERVICE_ADDRESS,
      FOOD_SERVICE_AUTH: connection.FOOD_SERVICE_AUTH ?? "none",
      FOOD_SERVICE_AUDIENCE: connection.FOOD_SERVICE_AUDIENCE ?? "none",
      FOOD_SERVICE_CLIENT_AUTH: connection.FOOD_SERVICE_CLIENT_AUTH ?? "none",
    },
    secrets: {
      FOOD_SERVICE_CA: trust === "system" ? trust : pemOf(trust),
      ...(token !== undefined && { FOOD_SERVICE_TOKEN: token }),
      ...(certificates && { FOOD_SERVICE_CLIENT_CERTIFICATE: pemOf(certificates) }),
      ...(key && { FOOD_SERVICE_CLIENT_KEY: String(key.export({ format: "pem", type: "pkcs8" })) }),
    },
  };
}
