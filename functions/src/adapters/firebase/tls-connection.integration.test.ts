/** How a TLS connection explains servers that end it after the handshake, which is how TLS 1.3 refuses a caller. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { CertificateMaker, type Issued } from "../../../../harness/certificate-maker.js";
import { parseCertificates, parsePrivateKey, parseTrust } from "../../credentials.js";
import { dial, TlsConnector, type TlsError } from "./tls-connection.js";

describe("a TLS connection", function () {
  this.timeout(60_000);
  let maker: CertificateMaker;
  let own: Issued;
  const open: (() => unknown)[] = [];

  before(() => {
    maker = new CertificateMaker();
    own = maker.issue({ subject: "localhost", hosts: ["localhost"] });
  });
  after(() => maker.close());
  afterEach(() => {
    for (const close of open.splice(0).reverse()) close();
  });

  /** A server that finishes each handshake and passes the connection on, encrypted and raw; resolves with its port. */
  async function serve(onSecured: (secured: TLSSocket, raw: Socket) => void): Promise<number> {
    const server = createServer({ key: own.key, cert: own.certificate, ALPNProtocols: ["h2"] });
    // One connection at a time.
    let raw: Socket;
    server.on("connection", (socket) => {
      raw = socket;
    });
    server.on("secureConnection", (secured) => {
      secured.on("error", () => {});
      open.push(() => secured.destroy());
      onSecured(secured, raw);
    });
    open.push(() => server.close());
    server.listen(0, "localhost");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  function connector(port: number, caller?: Issued, onFailure?: (error: TlsError) => void): TlsConnector {
    const client = caller && {
      certificates: parseCertificates(caller.certificate),
      key: parsePrivateKey(caller.key),
    };
    const options = { trust: "--trust", client: "--client" };
    const target = { name: "the server", host: "localhost", port, trust: parseTrust(own.certificate), client, options };
    return new TlsConnector(target, onFailure);
  }

  for (const [how, end] of [
    ["resets", (_: TLSSocket, raw: Socket) => void raw.resetAndDestroy()],
    ["closes", (secured: TLSSocket) => void secured.destroy()],
  ] as const) {
    it(`reports that a server that ${how} right after the handshake requires a client certificate, or rejects the given one`, async () => {
      const port = await serve(end);
      const callers = [undefined, maker.issue({ subject: "stranger" })];
      for (const caller of callers) {
        const failure = await new Promise<TlsError>((resolve, reject) => {
          dial("localhost", port)
            .then((socket) => connector(port, caller, resolve).secure(socket))
            .then((secured) => secured.resume(), reject);
        });
        const does = caller === undefined ? "requires a client certificate" : "rejects the client certificate";
        const wanted = new RegExp(
          `^the server closed the connection right after the TLS handshake; perhaps it ${does}: set`,
        );
        assert.match(failure.message, wanted);
        await assert.rejects(
          connector(port, caller).check(() => dial("localhost", port)),
          { message: wanted },
        );
      }
    });
  }

  it("passes the check when the server sends first, as HTTP/2 servers do", async () => {
    const port = await serve((secured) => void secured.write("settings"));
    await connector(port).check(() => dial("localhost", port));
  });

  it("passes the check when the server stays silent", async () => {
    const port = await serve(() => {});
    await connector(port).check(() => dial("localhost", port));
  });
});
