/**
 * TLS connections for gRPC: Node.js verifies the server with the trusted certificates, a client certificate is sent if there
 * is one, and each failure is one line that says what is wrong and what to do.
 */
import type { X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { type ClientIdentity, pemOf, type Trust } from "../../credentials.js";

/** The timeout of a handshake with a server that accepts the connection but sends nothing. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A server that closes a new connection within this time rejected its caller. */
const REFUSAL_WINDOW_MS = 5_000;

/** How long a check waits for the server to send first, as HTTP/2 servers do, or to reject its caller. */
const FIRST_WORD_TIMEOUT_MS = 2_000;

/** The errors of a connection that the other side has closed. The alert with the reason may be lost. */
const CLOSED_BY_PEER = ["ECONNRESET", "EPIPE", "ECONNABORTED"];

export interface TlsTarget {
  /** The server in messages, such as "the food service". */
  name: string;
  /** A name or an IP address, without brackets. */
  host: string;
  port: number;
  trust: Trust;
  client: ClientIdentity | undefined;
  /** The settings that error messages name. */
  options?: { trust: string; client: string };
}

/** A failed connection. The message is one line for people. */
export class TlsError extends Error {
  override readonly name = "TlsError";
}

/** Upgrades TCP connections to one server to TLS. */
export class TlsConnector {
  /** The TLS context of the last successful verification. */
  private context: SecureContext;

  /** @param onFailure called with the reason when a connection fails, also when the server closes it after the handshake */
  constructor(
    private readonly target: TlsTarget,
    private readonly onFailure: (error: TlsError) => void = () => {},
  ) {
    this.context = contextOf(target, target.trust);
  }

  /**
   * Encrypts the connection and verifies the server.
   * @param again opens another TCP connection to the same server, if possible
   * @throws TlsError
   */
  async secure(socket: Socket, again?: () => Promise<Socket>): Promise<TLSSocket> {
    try {
      return this.watched(await this.verified(socket, again));
    } catch (error) {
      const failure = error instanceof TlsError ? error : new TlsError(explain(error, this.target), { cause: error });
      this.onFailure(failure);
      throw failure;
    }
  }

  /**
   * Opens a connection, waits until the server has accepted its caller, and closes it. It sends nothing, so the server's alert
   * with the reason is not lost.
   * @throws TlsError
   */
  async check(open: () => Promise<Socket>): Promise<void> {
    const secured = await this.secure(await open(), open);
    try {
      await firstWord(secured);
    } catch (error) {
      throw new TlsError(this.explainAfterHandshake(error), { cause: error });
    } finally {
      secured.destroy();
    }
  }

  private async verified(socket: Socket, again: (() => Promise<Socket>) | undefined): Promise<TLSSocket> {
    try {
      return await handshake(socket, this.target, this.context);
    } catch (error) {
      const signer = error instanceof UnverifiedError ? signerOf(error.chain, this.target.trust) : undefined;
      if (signer === undefined || this.target.trust.length < 2) throw error;
      // If several trusted certificates share a subject, OpenSSL uses the first, even if another one signed. So the store gets
      // only the signer; all other checks still apply.
      this.context = contextOf(this.target, [signer]);
      if (again === undefined) throw error;
      return handshake(await again(), this.target, this.context);
    }
  }

  /** With TLS 1.3, a server rejects its caller only after the handshake. */
  private watched(socket: TLSSocket): TLSSocket {
    const securedAt = Date.now();
    const report = (error?: Error) => {
      const isNew = Date.now() - securedAt < REFUSAL_WINDOW_MS;
      if (isNew || (error && !isClosing(error))) {
        this.onFailure(new TlsError(this.explainAfterHandshake(error), { cause: error }));
      }
    };
    const onClose = () => report();
    socket.once("close", onClose);
    socket.once("error", (error) => {
      socket.off("close", onClose);
      report(error);
    });
    return socket;
  }

  private explainAfterHandshake(error: unknown): string {
    const { name } = this.target;
    if (error !== undefined && !isClosing(error)) return explain(error, this.target);
    return `${name} closed the connection right after the TLS handshake; perhaps it${refusal(this.target)}`;
  }
}

function isClosing(error: unknown): boolean {
  return CLOSED_BY_PEER.includes((error as NodeJS.ErrnoException).code ?? "");
}

/** Resolves when the server sends something, or stays silent for long; rejects if it closes the connection first. */
function firstWord(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => () => {
      clearTimeout(timer);
      end();
    };
    const timer = setTimeout(resolve, FIRST_WORD_TIMEOUT_MS);
    socket.once("data", settle(resolve));
    socket.once("error", (error) => settle(() => reject(error))());
    socket.once(
      "close",
      settle(() => reject(Object.assign(new Error("closed"), { code: "ECONNRESET" }))),
    );
  });
}

/** Opens a TCP connection. */
export function dial(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** The server's certificate was rejected. */
class UnverifiedError extends Error {
  /** @param chain the certificates that the server sent, its own first */
  constructor(
    readonly code: string,
    readonly chain: X509Certificate[],
  ) {
    super(code);
  }
}

function contextOf({ client }: TlsTarget, trust: Trust): SecureContext {
  return createSecureContext({
    ...(trust !== "system" && { ca: trust.map((certificate) => certificate.toString()) }),
    // Trust a server's own certificate, or an intermediate one, without its issuer.
    allowPartialTrustChain: true,
    ...(client && { cert: pemOf(client.certificates), key: client.key.export({ format: "pem", type: "pkcs8" }) }),
  });
}

function handshake(socket: Socket, { host }: TlsTarget, secureContext: SecureContext): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = connectTls({
      socket,
      secureContext,
      host,
      // RFC 6066 allows no IP address and no trailing dot as a server name. The certificate is still checked for the host.
      ...(isIP(host) === 0 && { servername: host.replace(/\.$/, "") }),
      ALPNProtocols: ["h2"],
      // Node.js checks the chain and the name in any case. Without rejection, the certificate can still be inspected for the error
      // message; an unverified connection is destroyed below before anything is sent.
      rejectUnauthorized: false,
    });
    const fail = (error: Error) => {
      clearTimeout(timer);
      secured.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })),
      HANDSHAKE_TIMEOUT_MS,
    );
    const onClose = () => fail(Object.assign(new Error("closed"), { code: "ECONNRESET" }));
    secured.on("error", fail);
    secured.once("close", onClose);
    secured.once("secureConnect", () => {
      if (!secured.authorized) return fail(new UnverifiedError(String(secured.authorizationError), sentBy(secured)));
      clearTimeout(timer);
      // The error listener stays, so later errors don't end the process. The user of the connection reports them.
      secured.off("close", onClose);
      resolve(secured);
    });
  });
}

/** The certificates that the server sent, its own first. */
function sentBy(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let next = socket.getPeerX509Certificate(); next !== undefined; next = next.issuerCertificate) chain.push(next);
  return chain;
}

/** The trusted certificate that is in the chain or signed one in it. Prefers one that is valid now, and nearest to the server. */
function signerOf(chain: X509Certificate[], trust: Trust): X509Certificate | undefined {
  if (trust === "system") return undefined;
  const signers = chain.flatMap((sent) =>
    trust.filter(
      (one) => one.fingerprint256 === sent.fingerprint256 || (sent.checkIssued(one) && sent.verify(one.publicKey)),
    ),
  );
  return signers.find(isValidToday) ?? signers[0];
}

function isValidToday({ validFrom, validTo }: X509Certificate): boolean {
  return Date.parse(validFrom) <= Date.now() && Date.now() <= Date.parse(validTo);
}

function explain(error: unknown, target: TlsTarget): string {
  const { name, host, port, client } = target;
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (error instanceof UnverifiedError) return `the certificate of ${name} ${fault(error, target)}`;
  const [, alert] = /ALERT_(\w+)$/.exec(code) ?? [];
  if (alert === "NO_APPLICATION_PROTOCOL")
    return `${name} speaks TLS but not HTTP/2: is ${host}:${port} a gRPC server?`;
  if (alert === "UNRECOGNIZED_NAME") return `${name} has no certificate for ${host}: check the address`;
  if (alert === "PROTOCOL_VERSION" || code.endsWith("UNSUPPORTED_PROTOCOL")) {
    return `${name} speaks only TLS versions before 1.2: it must be upgraded`;
  }
  if (alert !== undefined && (client || CALLER_UNKNOWN.includes(alert))) {
    return `${name}${refusal(target, alert.toLowerCase().replaceAll("_", " "))}`;
  }
  if (code === "ETIMEDOUT") {
    return `${name} did not finish the TLS handshake within ${HANDSHAKE_TIMEOUT_MS / 1000} s: does ${host}:${port} speak TLS?`;
  }
  if (CLOSED_BY_PEER.includes(code)) {
    const caller = client ? ", and does it accept the client certificate" : "";
    return `${name} closed the connection during the TLS handshake: does ${host}:${port} speak TLS${caller}?`;
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL")) {
    return `what listens on ${host}:${port} does not speak TLS, as ${name} must`;
  }
  return `${name} can't be reached: ${message}`;
}

/** The errors with which servers reject a caller without a certificate. */
const CALLER_UNKNOWN = [
  "CERTIFICATE_REQUIRED",
  "BAD_CERTIFICATE",
  "CERTIFICATE_UNKNOWN",
  "NO_CERTIFICATE",
  "HANDSHAKE_FAILURE",
];

function refusal({ client, options = PARAMS }: TlsTarget, alert?: string): string {
  const said = alert === undefined ? "" : ` (it says: ${alert})`;
  if (client === undefined) return ` requires a client certificate${said}: set ${options.client}`;
  const own = client.certificates[0];
  const expired = own && !isValidToday(own) ? `, which is valid from ${own.validFrom} to ${own.validTo}` : "";
  return ` rejects the client certificate${expired}${said}: set one that it accepts with ${options.client}`;
}

/** The names of the deployment's params. */
const PARAMS = {
  trust: "FOOD_SERVICE_CA",
  client: "FOOD_SERVICE_CLIENT_AUTH, FOOD_SERVICE_CLIENT_CERTIFICATE and FOOD_SERVICE_CLIENT_KEY",
};

/** Explains what is wrong with the server's certificate. The codes are OpenSSL's. */
function fault({ code, chain }: UnverifiedError, target: TlsTarget): string {
  const [own] = chain;
  if (own === undefined) return `is missing (${code})`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return nameFault(own, target);
  const path = issuingPath(chain);
  const signer = signerOf(path, target.trust);
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return dateFault(code, path, signer);
  if (code === "INVALID_PURPOSE" && !isForServers(own)) {
    return "is not for servers (serverAuth is not in its extended key usage): have it issued for a server";
  }
  if (NO_AUTHORITY.test(code)) {
    return `was signed by a certificate that may not sign others (${code}): have it issued by a certificate authority`;
  }
  if (signer) return `does not pass although ${oneLine(signer.subject)} is trusted: ${code}`;
  return trustFault(own, path, target);
}

function nameFault({ subject, subjectAltName }: X509Certificate, { host }: TlsTarget): string {
  const names = subjectAltName ?? `no host at all (its subject is ${oneLine(subject)})`;
  return `is for ${names}, not for ${host}: use one of its names in the address, or have it issued for ${host}`;
}

function dateFault(code: string, path: X509Certificate[], signer: X509Certificate | undefined): string {
  const [own] = path;
  const unfit = [...path, ...(signer ? [signer] : [])].find((one) => !isValidToday(one)) ?? own;
  if (unfit === undefined) return `is not valid today (${code}): a new one is needed`;
  const which = unfit === own ? "" : `was signed by ${oneLine(unfit.subject)}, which `;
  const when = code === "CERT_HAS_EXPIRED" ? `expired on ${unfit.validTo}` : `is not valid before ${unfit.validFrom}`;
  return `${which}${when}: a new one is needed`;
}

/** Explains that no trusted certificate is in the chain or signed one in it. */
function trustFault(own: X509Certificate, path: X509Certificate[], { trust, options = PARAMS }: TlsTarget): string {
  if (trust === "system") {
    return `was not signed by a public authority but by ${oneLine(own.issuer)}: give that certificate with ${options.trust}`;
  }
  const top = path.at(-1) ?? own;
  const isRoot = top.checkIssued(top);
  const missing = oneLine(isRoot ? top.subject : top.issuer);
  const isSelfSigned = top === own && isRoot;
  const found = isSelfSigned
    ? `signs itself (${missing}) and is not trusted`
    : `was signed by ${missing}, which is not trusted`;
  const hasNamesake = trust.some(({ subject }) => oneLine(subject) === missing);
  return hasNamesake
    ? `${found}: the trusted certificate of that name has another key, so it is an older or a newer one; add the right one to ${options.trust}`
    : `${found}: add that certificate to ${options.trust}`;
}

const NO_AUTHORITY = /INVALID_(NON_)?CA|INVALID_PURPOSE|KEYUSAGE_NO_CERTSIGN|PATH_LENGTH_EXCEEDED/;

/** Whether the extended key usages allow a server: none, serverAuth, any. */
function isForServers({ keyUsage }: X509Certificate): boolean {
  const usages: string[] | undefined = keyUsage;
  return usages === undefined || usages.includes("1.3.6.1.5.5.7.3.1") || usages.includes("2.5.29.37.0");
}

/** The server's certificate, and each one above it that the server sent. */
function issuingPath(chain: X509Certificate[]): X509Certificate[] {
  const path = chain.slice(0, 1);
  for (let below = path[0]; below !== undefined; ) {
    const lower = below;
    const above = chain.find((one) => !path.includes(one) && lower.checkIssued(one) && lower.verify(one.publicKey));
    if (above) path.push(above);
    below = above;
  }
  return path;
}

function oneLine(distinguishedName: string): string {
  return distinguishedName.split("\n").join(", ");
}
