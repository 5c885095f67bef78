import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer as createPlainServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { generate } from "selfsigned";
import { checkServer, readCertificate } from "./check-food-service.js";

interface Identity {
  key: string;
  cert: string;
}

async function identity(name: string, notAfterDate = new Date(Date.now() + 86_400_000)): Promise<Identity> {
  const notBeforeDate = new Date(Date.now() - 2 * 86_400_000);
  const extensions = [
    { name: "basicConstraints" as const, cA: true },
    { name: "subjectAltName" as const, altNames: [{ type: 2 as const, value: name }] },
  ];
  const made = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    algorithm: "sha256",
    notBeforeDate,
    notAfterDate,
    extensions,
  });
  return { key: made.private, cert: made.cert };
}

describe("looking at somebody's food service", () => {
  let ours: Identity;
  const servers: Server[] = [];

  before(async () => {
    ours = await identity("localhost");
  });

  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function listening(server: Server): Promise<string> {
    servers.push(server);
    server.listen(0, "localhost");
    await once(server, "listening");
    return `localhost:${(server.address() as AddressInfo).port}`;
  }

  const withTls = ({ key, cert }: Identity) => listening(createServer({ key, cert, ALPNProtocols: ["h2"] }));

  it("is content with a server that has the certificate", async () => {
    await checkServer(await withTls(ours), ours.cert);
  });

  it("finds the certificate among several", async () => {
    const other = await identity("elsewhere");
    await checkServer(await withTls(ours), `${other.cert}\n${ours.cert}`);
  });

  it("says that the certificate is another server's", async () => {
    const other = await identity("localhost");
    const address = await withTls(other);
    await assert.rejects(
      checkServer(address, ours.cert),
      /^StartError: The certificate that you gave is not the one of/,
    );
  });

  it("says that a certificate is needed where no public authority signed the server's", async () => {
    await assert.rejects(
      checkServer(await withTls(ours), undefined),
      /no public authority signed: give it with --certificate/,
    );
  });

  it("says that the certificate is for another name", async () => {
    const other = await identity("food.example.com");
    await assert.rejects(checkServer(await withTls(other), other.cert), /certificate does not fit the name localhost/);
  });

  it("says that the certificate has expired", async () => {
    const old = await identity("localhost", new Date(Date.now() - 86_400_000));
    await assert.rejects(checkServer(await withTls(old), old.cert), /certificate of the food service .* expired/);
  });

  it("says that nobody is there", async () => {
    const address = await withTls(ours);
    const [server] = servers.splice(0);
    server?.close();
    await once(server as Server, "close");
    await assert.rejects(checkServer(address, ours.cert), /^StartError: Nothing listens on localhost:\d+/);
  });

  it("says that the host does not exist", async () => {
    await assert.rejects(checkServer("no-such-host.invalid:1", ours.cert), /no host of the name no-such-host\.invalid/);
  });

  it("says that the server does not speak TLS", async () => {
    const address = await listening(createPlainServer((socket) => void socket.end("220 mail.example.com\r\n")));
    await assert.rejects(checkServer(address, ours.cert), /does not speak TLS/);
  });

  it("says that the server hung up", async () => {
    const address = await listening(createPlainServer((socket) => void socket.destroy()));
    await assert.rejects(checkServer(address, ours.cert), /does not speak TLS/);
  });
});

describe("reading a certificate", () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "certificate-"));
  });

  after(() => rmSync(folder, { recursive: true }));

  function file(content: string): string {
    const path = join(folder, "server.crt");
    writeFileSync(path, content);
    return path;
  }

  it("takes only the certificates of a file that has more", async () => {
    const { key, cert } = await identity("localhost");
    const read = readCertificate(file(`# mine\n${key}${cert}`));
    assert.equal(read.trim(), cert.trim());
    assert.ok(!read.includes("PRIVATE"), "the key must not get into the functions' configuration");
  });

  it("says that there is no such file", () => {
    assert.throws(
      () => readCertificate(join(folder, "none.crt")),
      /^StartError: There is no certificate .*none\.crt\.$/,
    );
  });

  for (const [what, content] of [
    ["some text", "hello"],
    ["an empty file", ""],
    ["a broken certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
  ] as const) {
    it(`says that ${what} is none`, () => {
      assert.throws(() => readCertificate(file(content)), /is not a certificate in PEM form/);
    });
  }

  it("says that a private key is not what is asked for", async () => {
    const { key } = await identity("localhost");
    assert.throws(() => readCertificate(file(key)), /It is a private key/);
    assert.equal(readFileSync(join(folder, "server.crt"), "utf8"), key);
  });
});
