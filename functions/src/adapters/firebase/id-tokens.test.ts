import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { Agent } from "node:https";
import { type App, deleteApp, initializeApp } from "firebase-admin/app";
import { isCallError, TokenError } from "../../domain/errors.js";
import { firebaseTokens } from "./id-tokens.js";

const PROJECT = "demo-tokens";
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

/** A token as Firebase Authentication makes them, but for the key, which is not Google's. */
function token(claims: object = {}, header: object = { alg: "RS256", kid: "a" }): string {
  const now = Math.floor(Date.now() / 1000);
  const issued = {
    aud: PROJECT,
    iss: `https://securetoken.google.com/${PROJECT}`,
    iat: now,
    exp: now + 3600,
    sub: "u",
  };
  const [head, body] = [header, { ...issued, ...claims }].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  return `${head}.${body}.${sign("sha256", Buffer.from(`${head}.${body}`), privateKey).toString("base64url")}`;
}

describe("ID tokens", () => {
  let app: App;
  let emulator: string | undefined;

  before(() => {
    emulator = process.env.FIREBASE_AUTH_EMULATOR_HOST;
    delete process.env.FIREBASE_AUTH_EMULATOR_HOST;
    // Google's keys can't be had: nothing that this test finds out hangs on the network.
    const httpAgent = new Agent({ lookup: (_name, _options, found) => found(new Error("no network"), "") });
    app = initializeApp({ projectId: PROJECT, httpAgent }, "tokens");
  });
  after(async () => {
    if (emulator !== undefined) process.env.FIREBASE_AUTH_EMULATOR_HOST = emulator;
    await deleteApp(app);
  });

  const verify = (text: string) => firebaseTokens(() => app).verify(text);

  for (const [what, text] of [
    ["is none", "x"],
    ["is three dots", "..."],
    ["is not JSON inside", "YQ.YQ.YQ"],
    ["says that it is not signed", token({}, { alg: "none", kid: "a" })],
    ["is signed with a secret", token({}, { alg: "HS256", kid: "a" })],
    ["is another project's", token({ aud: "other" })],
    ["is from another issuer", token({ iss: "https://example.com" })],
    ["has no subject", token({ sub: "" })],
  ] as const) {
    it(`are rejected if one ${what}`, () => assert.rejects(verify(text), TokenError));
  }

  it("are reported as unverifiable, not as invalid, if they can't be checked", async () => {
    await assert.rejects(verify(token()), (error: Error) => {
      assert.ok(isCallError(error), String(error));
      assert.equal(error.code, "UNAVAILABLE");
      return true;
    });
  });
});
