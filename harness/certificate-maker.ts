/** Creates certificates for tests of TLS with common tools: OpenSSL and the JDK's keytool. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { words } from "./process/shell.js";

const DAY_MS = 86_400_000;

/** A certificate and its key, both in PEM form. */
export interface Issued {
  certificate: string;
  key: string;
}

export interface Request {
  /** Its common name. */
  subject: string;
  /** Hosts that it is for. */
  hosts?: string[];
  /** Undefined leaves the extension out, as old tools do. */
  isAuthority?: boolean | undefined;
  /** What signs it; itself if undefined. */
  issuer?: Issued;
  /** Whether it names its key and its issuer's key; without, only signatures tell two of one subject apart. */
  hasKeyIds?: boolean;
  /** Days from now, negative for days ago. */
  notBefore?: number;
  notAfter?: number;
  usage?: "serverAuth" | "clientAuth";
  /** The certificate whose key to reuse, as in a renewal. */
  sameKeyAs?: Issued;
}

export class CertificateMaker {
  private readonly directory = mkdtempSync(join(tmpdir(), "certificates-"));
  private count = 0;

  /** Makes a certificate with OpenSSL. */
  issue(request: Request): Issued {
    const { subject, hosts = [], isAuthority, issuer, hasKeyIds = false, usage, sameKeyAs } = request;
    const { notBefore = -1, notAfter = 30 } = request;
    const key = this.file("key", sameKeyAs?.key);
    if (!sameKeyAs) openssl(words`genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ${key}`);
    const extensions = [
      ...(isAuthority === undefined ? [] : [`basicConstraints=critical,CA:${isAuthority ? "TRUE" : "FALSE"}`]),
      ...(hosts.length === 0 ? [] : [`subjectAltName=${hosts.map(altName).join(",")}`]),
      ...(usage === undefined ? [] : [`extendedKeyUsage=${usage}`]),
      `subjectKeyIdentifier=${hasKeyIds ? "hash" : "none"}`,
      `authorityKeyIdentifier=${hasKeyIds ? "keyid" : "none"}`,
    ];
    const certificate = this.file("crt");
    // `openssl ca` alone sets both dates, the first of them in the past too.
    const configuration = this.file(
      "cnf",
      [
        "[ca]\ndefault_ca=own\n[own]\ndefault_md=sha256\npolicy=any\nrand_serial=yes\nunique_subject=no",
        `database=${this.file("db", "")}\nnew_certs_dir=${this.directory}\nx509_extensions=v3`,
        "[any]\ncommonName=supplied\n[req]\ndistinguished_name=none\n[none]\n[v3]",
        ...extensions,
      ].join("\n"),
    );
    const csr = this.file("csr");
    openssl(words`req -new -key ${key} -subj ${`/CN=${subject}`} -config ${configuration} -out ${csr}`);
    const signing = issuer
      ? words`-cert ${this.file("crt", issuer.certificate)} -keyfile ${this.file("key", issuer.key)}`
      : words`-selfsign -keyfile ${key}`;
    openssl(words`ca -batch -notext -config ${configuration} -startdate ${dateOf(notBefore)} -enddate ${dateOf(notAfter)}
      ${signing} -in ${csr} -out ${certificate}`);
    return { certificate: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
  }

  /** Makes a self-signed certificate for localhost with the JDK's keytool, with the settings of its manual. */
  issueWithKeytool(keytool: string): Issued {
    const store = this.file("p12");
    const made = words`-genkeypair -keystore ${store} -storetype PKCS12 -storepass changeit -alias food -keyalg EC
      -dname CN=localhost -ext san=dns:localhost,ip:127.0.0.1`;
    execFileSync(keytool, made, { stdio: "pipe" });
    const [key, certificate] = [this.file("key"), this.file("crt")];
    openssl(words`pkcs12 -in ${store} -passin pass:changeit -nocerts -nodes -out ${key}`);
    openssl(words`pkcs12 -in ${store} -passin pass:changeit -nokeys -out ${certificate}`);
    return { certificate: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
  }

  /** A file of the maker's own, with this text. */
  file(ending: string, text?: string): string {
    const file = join(this.directory, `${++this.count}.${ending}`);
    if (text !== undefined) writeFileSync(file, text);
    return file;
  }

  /** A folder of the maker's own, with these files; its path. */
  directoryWith(files: Record<string, string>): string {
    const directory = mkdtempSync(join(this.directory, "folder-"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    return directory;
  }

  /** Removes every file. */
  close(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function openssl(args: string[]): void {
  execFileSync("openssl", args, { stdio: "pipe" });
}

function altName(host: string): string {
  return /^[\d.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`;
}

/** As OpenSSL writes times. */
function dateOf(days: number): string {
  const [date = ""] = new Date(Date.now() + days * DAY_MS).toISOString().split(".");
  return `${date.replace(/\D/g, "")}Z`;
}
