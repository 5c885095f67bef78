/** Which server certificates pass, and what is said about each that does not: real certificates, real TLS, the functions' own client. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Server, ServerCredentials, type sendUnaryData } from "@grpc/grpc-js";
import { GrpcFoodService } from "../../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../../functions/src/adapters/firebase/system-clock.js";
import { parseTrust } from "../../functions/src/credentials.js";
import { OrderServiceService } from "../../functions/src/generated/food/v1/food.js";
import { CertificateMaker, type Issued, type Request } from "../../harness/certificate-maker.js";
import { findJava } from "../../harness/emulators/find-java.js";
import { listen } from "../../services/server.js";

describe("the food service's certificate", function () {
  this.timeout(60_000);
  let maker: CertificateMaker;
  const open: (() => void)[] = [];

  before(() => {
    maker = new CertificateMaker();
  });
  after(() => maker.close());
  afterEach(() => {
    for (const close of open.splice(0).reverse()) close();
  });

  const authority = (request: Partial<Request> = {}) =>
    maker.issue({ subject: "Food CA", isAuthority: true, ...request });
  const leaf = (request: Partial<Request> = {}) =>
    maker.issue({ subject: "localhost", hosts: ["localhost"], ...request });

  /** A food service with these certificates, its own first; resolves with its address. */
  async function serving(own: Issued, ...above: Issued[]): Promise<string> {
    return servingAt("localhost:0", own, ...above);
  }

  async function servingAt(address: string, own: Issued, ...above: Issued[]): Promise<string> {
    const server = new Server();
    const { listOrders } = OrderServiceService;
    const page = { orders: [], nextPageToken: "" };
    server.addService(
      { listOrders },
      { listOrders: (_: unknown, answer: sendUnaryData<object>) => answer(null, page) },
    );
    const chain = [own, ...above].map(({ certificate }) => certificate).join("");
    const pair = { cert_chain: Buffer.from(chain), private_key: Buffer.from(own.key) };
    open.push(() => server.forceShutdown());
    return listen(server, address, ServerCredentials.createSsl(null, [pair]));
  }

  function client(address: string, trust: string): GrpcFoodService {
    const connection = {
      FOOD_SERVICE_ADDRESS: address,
      FOOD_SERVICE_SECURITY: "tls",
      FOOD_SERVICE_CA: parseTrust(trust),
      CALL_DEADLINE_SECONDS: 30,
    } as const;
    const food = new GrpcFoodService(connection, systemClock);
    open.push(() => food.close());
    return food;
  }

  const list = (food: GrpcFoodService) => food.listOrders({ status: "NEW", pageSize: 1, pageToken: "" });

  /** The first call succeeds, without a retry and without waiting for the channel. */
  async function passes(address: string, ...trusted: Issued[]): Promise<void> {
    const food = client(address, trusted.map(({ certificate }) => certificate).join(""));
    assert.deepEqual(await list(food), { orders: [], nextPageToken: "" });
  }

  /** Nothing gets through, and one line says why. */
  async function isRefused(address: string, says: RegExp, ...trusted: Issued[]): Promise<void> {
    const food = client(address, trusted.map(({ certificate }) => certificate).join("") || "system");
    await assert.rejects(list(food), (error: Error) => {
      assert.match(error.message, says);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  }

  describe("a certificate that is accepted", () => {
    it("is accepted if its signer is trusted, with and without key ids", async () => {
      for (const hasKeyIds of [true, false]) {
        const ca = authority({ hasKeyIds });
        await passes(await serving(leaf({ issuer: ca, hasKeyIds })), ca);
      }
    });

    it("is accepted if an old and a new authority of one subject are trusted, in either order, whichever signed it", async () => {
      const [old, current] = [authority(), authority()];
      for (const ca of [old, current]) {
        const address = await serving(leaf({ issuer: ca }));
        await passes(address, old, current);
        await passes(address, current, old);
      }
    });

    it("is accepted if an old and a new self-signed certificate of one subject are trusted, with every kind of constraints and key ids", async () => {
      for (const isAuthority of [true, false, undefined]) {
        for (const hasKeyIds of [true, false]) {
          const [old, current] = [leaf({ isAuthority, hasKeyIds }), leaf({ isAuthority, hasKeyIds })];
          for (const own of [old, current]) {
            const address = await serving(own);
            await passes(address, old, current);
            await passes(address, current, old);
          }
        }
      }
    });

    it("is accepted if keytool made the old and the new one", async () => {
      const { home } = await findJava();
      const keytool = join(home, "bin", "keytool");
      const [old, current] = [maker.issueWithKeytool(keytool), maker.issueWithKeytool(keytool)];
      for (const own of [old, current]) await passes(await serving(own), old, current);
    });

    it("is accepted if it is trusted itself, although something else signed it", async () => {
      const own = leaf({ issuer: authority() });
      await passes(await serving(own), own);
    });

    it("is accepted if an intermediate is trusted, sent by the server or not, with or without its root", async () => {
      const root = authority({ subject: "Root" });
      const intermediate = authority({ subject: "Intermediate", issuer: root });
      const own = leaf({ issuer: intermediate });
      await passes(await serving(own), intermediate);
      await passes(await serving(own, intermediate), intermediate);
      await passes(await serving(own, intermediate), root);
      await passes(await serving(own), root, intermediate);
      await passes(await serving(own, intermediate, root), root);
    });

    it("is accepted if an old intermediate of the same subject is trusted beside the root", async () => {
      const root = authority({ subject: "Root" });
      const [old, current] = [0, 1].map(() => authority({ subject: "Intermediate", issuer: root })) as [Issued, Issued];
      await passes(await serving(leaf({ issuer: current }), current), old, root);
    });

    it("is accepted if a renewed authority has its old key, and the expired certificate is trusted too", async () => {
      const old = authority({ notBefore: -20, notAfter: -10 });
      const current = authority({ sameKeyAs: old });
      const address = await serving(leaf({ issuer: current }));
      await passes(address, old, current);
      await passes(address, current, old);
    });

    it("is accepted for an IP address in its subject alternative names", async () => {
      const own = leaf({ hosts: ["127.0.0.1"] });
      const address = await serving(own);
      await passes(address.replace("localhost", "127.0.0.1"), own);
    });

    it("is accepted after the server has changed it, on the same channel", async () => {
      const [old, current] = [authority(), authority()];
      const first = await serving(leaf({ issuer: old }));
      const food = client(first, old.certificate + current.certificate);
      await list(food);
      open.splice(0, 1)[0]?.();
      await servingAt(first, leaf({ issuer: current }));
      await food.ready();
      await list(food);
    });
  });

  describe("a certificate that is rejected", () => {
    it("is rejected if it has expired or is not valid yet, also when it is trusted itself or beside another of its subject", async () => {
      const ca = authority();
      for (const [dates, says] of [
        [{ notBefore: -20, notAfter: -10 }, /certificate of .* expired on .*: a new one is needed/],
        [{ notBefore: 5, notAfter: 10 }, /certificate of .* is not valid before .*: a new one is needed/],
      ] as const) {
        const own = leaf({ issuer: ca, ...dates });
        await isRefused(await serving(own), says, ca);
        await isRefused(await serving(own), says, authority(), ca);
        await isRefused(await serving(own), says, own);
        const selfSigned = leaf({ ...dates });
        await isRefused(await serving(selfSigned), says, leaf(), selfSigned);
      }
    });

    it("is rejected if the authority has expired, and says which", async () => {
      const old = authority({ subject: "Old CA", notBefore: -20, notAfter: -10 });
      const address = await serving(leaf({ issuer: old }));
      await isRefused(address, /was signed by CN=Old CA, which expired on/, old);
      await isRefused(address, /was signed by CN=Old CA, which expired on/, authority({ subject: "Old CA" }), old);
    });

    it("is rejected if it is for another host, whatever is trusted", async () => {
      const ca = authority();
      const own = leaf({ hosts: ["food.example.com"], issuer: ca });
      const says = /is for DNS:food\.example\.com, not for localhost: use one of its names in the address/;
      await isRefused(await serving(own), says, ca);
      await isRefused(await serving(own), says, authority(), ca);
      await isRefused(await serving(own), says, own);
      const selfSigned = leaf({ hosts: ["food.example.com"] });
      await isRefused(await serving(selfSigned), says, leaf({ hosts: ["food.example.com"] }), selfSigned);
    });

    it("is rejected if it is for a host and the address is its IP address", async () => {
      const own = leaf();
      const address = (await serving(own)).replace("localhost", "127.0.0.1");
      await isRefused(address, /is for DNS:localhost, not for 127\.0\.0\.1/, own);
    });

    it("is rejected if another authority signed it", async () => {
      const address = await serving(leaf({ issuer: authority({ subject: "Other CA" }) }));
      await isRefused(address, /was signed by CN=Other CA, which is not trusted: add that certificate to/, authority());
    });

    it("is rejected if an authority of the same subject signed it with another key, alone or beside a third", async () => {
      const address = await serving(leaf({ issuer: authority() }));
      const says = /signed by CN=Food CA, .*trusted certificate of that name has another key/;
      await isRefused(address, says, authority());
      await isRefused(address, says, authority(), authority());
    });

    it("is rejected if it signs itself and another of its subject is trusted", async () => {
      await isRefused(await serving(leaf()), /signs itself \(CN=localhost\).*has another key/, leaf(), leaf());
    });

    it("is rejected if its intermediate is missing and only the root is trusted", async () => {
      const root = authority({ subject: "Root" });
      const own = leaf({ issuer: authority({ subject: "Intermediate", issuer: root }) });
      await isRefused(await serving(own), /was signed by CN=Intermediate, which is not trusted/, root);
    });

    it("is rejected if its signer is not an authority, whether it is sent by the server, trusted, or trusted beside another of its subject", async () => {
      const root = authority({ subject: "Root" });
      for (const isAuthority of [false, undefined]) {
        const plain = maker.issue({ subject: "Plain", hosts: ["plain"], issuer: root, isAuthority });
        const own = leaf({ issuer: plain });
        const says = /was signed by a certificate that may not sign others/;
        await isRefused(await serving(own, plain), says, root);
        await isRefused(await serving(own, plain), says, plain);
        await isRefused(await serving(own), says, plain);
        await isRefused(await serving(own), says, maker.issue({ subject: "Plain", isAuthority: true }), plain);
      }
    });

    it("is rejected if it was made for clients only", async () => {
      const ca = authority();
      const own = leaf({ issuer: ca, usage: "clientAuth" });
      await isRefused(await serving(own), /is not for servers/, ca);
      await isRefused(await serving(own), /is not for servers/, authority(), ca);
    });

    it("is rejected if no public authority signed it and those are trusted", async () => {
      const says = /was not signed by a public authority but by CN=Food CA: give that certificate with FOOD_SERVICE_CA/;
      await isRefused(await serving(leaf({ issuer: authority() })), says);
    });
  });
});
