import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer as createPlainServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer, type TlsOptions } from "node:tls";
import { Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import type { FoodServiceConnection } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { parseCertificates, parsePrivateKey, parseTrust } from "../functions/src/credentials.js";
import { CertificateMaker, type Issued } from "../harness/certificate-maker.js";
import { type FoodServiceOptions, startFoodService } from "../services/food-service/server.js";
import { listen } from "../services/server.js";
import { checkFoodService } from "./check-food-service.js";

describe("checking a food service", function () {
  this.timeout(60_000);
  let maker: CertificateMaker;
  let own: Issued;
  let clientCa: Issued;
  let clientOf: (issuer: Issued) => Partial<FoodServiceConnection>;
  const open: (() => unknown)[] = [];

  before(() => {
    maker = new CertificateMaker();
    own = maker.issue({ subject: "localhost", hosts: ["localhost"] });
    clientCa = maker.issue({ subject: "Callers", isAuthority: true });
    clientOf = (issuer) => withCertificate(maker.issue({ subject: "orchestrator", issuer }));
  });
  after(() => maker.close());
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  function withCertificate({ certificate, key }: Issued): Partial<FoodServiceConnection> {
    return {
      FOOD_SERVICE_CLIENT_AUTH: "certificate",
      FOOD_SERVICE_CLIENT_CERTIFICATE: parseCertificates(certificate),
      FOOD_SERVICE_CLIENT_KEY: parsePrivateKey(key),
    };
  }
  const withToken = (token: string) => ({ FOOD_SERVICE_AUTH: "bearer-token", FOOD_SERVICE_TOKEN: token }) as const;

  function check(address: string, trust = own.certificate, caller: Partial<FoodServiceConnection> = {}): Promise<void> {
    const server = { FOOD_SERVICE_ADDRESS: address, FOOD_SERVICE_SECURITY: "tls", CALL_DEADLINE_SECONDS: 20 } as const;
    return checkFoodService({ ...server, FOOD_SERVICE_CA: parseTrust(trust), ...caller });
  }

  async function says(checked: Promise<void>, wanted: RegExp): Promise<void> {
    await assert.rejects(checked, (error: Error) => {
      assert.equal(error.name, "StartError");
      assert.match(error.message, wanted);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  }

  /** The simulated food service; resolves with its address. */
  async function foodService(options: Partial<FoodServiceOptions> = {}): Promise<string> {
    const directory = maker.directoryWith({ "localhost.crt": own.certificate, "localhost.key": own.key });
    const running = await startFoodService({ address: "localhost:0", certificates: directory, ...options });
    open.push(() => running.stop());
    return running.address;
  }

  async function listening(server: Server): Promise<string> {
    open.push(() => server.close());
    server.listen(0, "localhost");
    await once(server, "listening");
    return `localhost:${(server.address() as AddressInfo).port}`;
  }

  const tlsServer = ({ certificate, key }: Issued, options: TlsOptions = {}) =>
    listening(createServer({ key, cert: certificate, ALPNProtocols: ["h2"], ...options }));

  describe("a check that succeeds", () => {
    it("succeeds with its certificate, alone or among several", async () => {
      const address = await foodService();
      await check(address);
      await check(address, clientCa.certificate + own.certificate);
    });

    it("succeeds with the token that it requires", async () => {
      await check(await foodService({ callers: { token: "secret" } }), undefined, withToken("secret"));
    });

    it("succeeds with a client certificate that it accepts", async () => {
      await check(await foodService({ clientCa: clientCa.certificate }), undefined, clientOf(clientCa));
    });

    it("succeeds with a token and a client certificate", async () => {
      const address = await foodService({ clientCa: clientCa.certificate, callers: { token: "secret" } });
      await check(address, undefined, { ...clientOf(clientCa), ...withToken("secret") });
    });

    it("succeeds if the server replies with a temporary failure", async () => {
      await check(await foodService({ failures: 1 }));
    });
  });

  describe("a check that fails", () => {
    it("says that the server requires a client certificate", async () => {
      const address = await foodService({ clientCa: clientCa.certificate });
      await says(
        check(address),
        /^The food service at localhost:\d+ requires a client certificate.*: set --client-certificate/,
      );
    });

    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      it(`says that the server requires a client certificate, or rejects the given one, over ${version} with OpenSSL`, async () => {
        const address = await opensslServer(version === "TLSv1.2" ? "-tls1_2" : "-tls1_3");
        await says(check(address), /requires a client certificate \(it says: [\w ]+\): set --client-certificate and/);
        const stranger = clientOf(maker.issue({ subject: "Strangers", isAuthority: true }));
        await says(
          check(address, undefined, stranger),
          /rejects the client certificate \(it says: unknown ca\): set one/,
        );
        const expired = withCertificate(
          maker.issue({ subject: "orchestrator", issuer: clientCa, notBefore: -20, notAfter: -10 }),
        );
        await says(check(address, undefined, expired), /rejects the client certificate, which is valid from .* to /);
      });
    }

    it("says that the server may reject the client certificate if it closes the connection without a reason", async () => {
      const stranger = clientOf(maker.issue({ subject: "Strangers", isAuthority: true }));
      const address = await foodService({ clientCa: clientCa.certificate });
      await says(
        check(address, undefined, stranger),
        /closed the connection .* perhaps it rejects the client certificate: set one/,
      );
    });

    it("says that the server requires a token", async () => {
      const address = await foodService({ callers: { token: "secret" } });
      await says(check(address), /requires a token \(it says: .*\): give one with --token-file or --id-token-audience/);
    });

    it("says that the server rejects the token", async () => {
      const address = await foodService({ callers: { token: "secret" } });
      await says(
        check(address, undefined, withToken("other")),
        /rejects the token \(it says: the token is not the right one\)/,
      );
    });

    it("says that the server's certificate is not the given one", async () => {
      const other = maker.issue({ subject: "localhost", hosts: ["localhost"] });
      await says(check(await foodService(), other.certificate), /certificate of the food service .* --certificate\.$/);
    });

    it("says that the server has a certificate that no public authority signed", async () => {
      await says(check(await foodService(), "system"), /public authority.* give that certificate with --certificate/);
    });

    it("says that the server has a certificate for another name", async () => {
      const other = maker.issue({ subject: "food", hosts: ["food.example.com"] });
      await says(check(await tlsServer(other), other.certificate), /is for DNS:food\.example\.com, not for localhost/);
    });

    it("says that the server has an expired certificate", async () => {
      const old = maker.issue({ subject: "localhost", hosts: ["localhost"], notBefore: -20, notAfter: -10 });
      await says(check(await tlsServer(old), old.certificate), /certificate .* expired on/);
    });

    it("says that the server does not speak TLS", async () => {
      const mail = await listening(createPlainServer((socket) => void socket.end("220 mail.example.com\r\n")));
      await says(check(mail), /does not speak TLS/);
      const web = await listening(
        createPlainServer((socket) => void socket.on("data", () => socket.end("HTTP/1.1 400 x\r\n\r\n"))),
      );
      await says(check(web), /does not speak TLS/);
      const rude = await listening(createPlainServer((socket) => void socket.destroy()));
      await says(check(rude), /closed the connection during the TLS handshake: does .* speak TLS\?/);
    });

    it("says that the server does not speak HTTP/2", async () => {
      await says(check(await tlsServer(own, { ALPNProtocols: ["http/1.1"] })), /speaks TLS but not HTTP\/2/);
    });

    it("says that the server is not a food service", async () => {
      const server = new GrpcServer();
      open.push(() => server.forceShutdown());
      const pair = { cert_chain: Buffer.from(own.certificate), private_key: Buffer.from(own.key) };
      const address = await listen(server, "localhost:0", ServerCredentials.createSsl(null, [pair]));
      await says(check(address), /^The server on localhost:\d+ is not a food service: .*ListOrders/);
    });

    it("says that there is no server", async () => {
      const server = createPlainServer();
      const address = await listening(server);
      server.close();
      await says(check(address), /^Nothing listens on localhost:\d+/);
      await says(check("no-such-host.invalid:1"), /^The host no-such-host\.invalid does not exist/);
    });
  });

  /** OpenSSL's own server, which requires a client certificate; resolves with its address. */
  async function opensslServer(version: string): Promise<string> {
    const probe = createPlainServer().listen(0, "localhost");
    await once(probe, "listening");
    const { port } = probe.address() as AddressInfo;
    probe.close();
    const files = maker.directoryWith({ crt: own.certificate, key: own.key, ca: clientCa.certificate });
    const identity = ["-cert", `${files}/crt`, "-key", `${files}/key`, "-CAfile", `${files}/ca`];
    const strict = ["-Verify", "3", "-verify_return_error", "-alpn", "h2", version];
    const child: ChildProcess = spawn("openssl", ["s_server", "-accept", `localhost:${port}`, ...identity, ...strict], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    open.push(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    });
    for await (const chunk of child.stdout ?? []) if (String(chunk).includes("ACCEPT")) break;
    await sleep(0);
    return `localhost:${port}`;
  }
});
