import assert from "node:assert/strict";
import { ManualClock } from "../memory/clock.js";
import { googleIdTokens } from "./google-id-token.js";

const HOUR_MS = 3_600_000;
const START = Date.UTC(2026, 0, 1);

/** A token source whose tokens last an hour; what it fetches can be made to fail. */
function sourceOf() {
  const clock = new ManualClock(START);
  const server = {
    fetches: 0,
    lifeMs: HOUR_MS,
    failure: undefined as Error | undefined,
    answer: undefined as string | undefined,
  };
  const fetch = async (audience: string) => {
    server.fetches++;
    if (server.failure) throw server.failure;
    const claims = { aud: audience, exp: (clock.now() + server.lifeMs) / 1000, number: server.fetches };
    return server.answer ?? `header.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.signature`;
  };
  const source = googleIdTokens("https://food.example.com", clock, fetch);
  /** Which fetch the token is from. */
  const number = async () => {
    const [, payload = ""] = (await source.token()).split(".");
    return (JSON.parse(Buffer.from(payload, "base64url").toString()) as { number: number }).number;
  };
  return { clock, server, source, number };
}

describe("Google ID tokens", () => {
  it("are fetched once for concurrent calls, and cached until five minutes before they expire", async () => {
    const { clock, server, number } = sourceOf();
    assert.deepEqual(await Promise.all([number(), number(), number()]), [1, 1, 1]);
    clock.advance(HOUR_MS - 5 * 60_000 - 1);
    assert.equal(await number(), 1);
    clock.advance(1);
    assert.deepEqual(await Promise.all([number(), number()]), [2, 2]);
    assert.equal(server.fetches, 2);
  });

  it("are used until they expire while refreshes fail, without a refresh at every call", async () => {
    const { clock, server, number, source } = sourceOf();
    await number();
    server.failure = new Error("no metadata server");
    clock.advance(HOUR_MS - 60_000);
    assert.deepEqual([await number(), await number(), await number()], [1, 1, 1]);
    assert.equal(server.fetches, 2);
    clock.advance(60_000);
    await assert.rejects(source.token(), /no Google ID token for https:\/\/food\.example\.com: no metadata server/);
    server.failure = undefined;
    assert.ok((await number()) > 2);
  });

  it("are not fetched at every call when the server returns the same token again", async () => {
    const { clock, server, number } = sourceOf();
    server.lifeMs = 60_000;
    await number();
    for (let second = 0; second < 9; second++) {
      clock.advance(1_000);
      await number();
    }
    assert.equal(server.fetches, 1);
    clock.advance(1_000);
    await number();
    assert.equal(server.fetches, 2);
  });

  it("are replaced after the service rejected one", async () => {
    const { number, source } = sourceOf();
    await number();
    source.discard();
    assert.equal(await number(), 2);
  });

  it("are rejected if the server's reply is not a token", async () => {
    const { server, source } = sourceOf();
    for (const answer of ["", "<html>", "a.b.c", `a.${Buffer.from("{}").toString("base64url")}.c`]) {
      server.answer = answer;
      await assert.rejects(source.token(), /not a token|does not say when it expires/);
    }
  });
});
