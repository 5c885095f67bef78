/** The same requests as bytes on a connection, to a server as it is in the cloud, and bytes that are no requests. */
import { once } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { gzipSync } from "node:zlib";
import { http } from "@google-cloud/functions-framework";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import fc from "fast-check";
import { operatorsApi } from "../../functions/src/adapters/firebase/http.js";
import type { Api, ApiRequest } from "../../functions/src/operator-api/api.js";
import { hostileText } from "./hostile.js";
import { brief, count, expect, expectSound, type Kind, kind, Violation } from "./kind.js";
import { type Asked, asked, desk, expectNoStrayWrite } from "./requests.js";

/** As long as an answer may take, in milliseconds; the machine may be busy. */
const PATIENCE = 20_000;

interface Sent {
  given: Asked;
  /** Around the request line: usual ones, and ones that break it. */
  version: string;
  extra: [string, string][];
  /** How the length of the body is declared. */
  framing: "length" | "too long" | "chunked" | "no" | "gzip" | "bad gzip";
}

const sent: fc.Arbitrary<Sent> = fc.record({
  given: asked.map((given) => ({ ...given, request: withUsualHeaders(given.request), away: "nothing" as const })),
  version: fc.oneof(
    { weight: 8, arbitrary: fc.constant("HTTP/1.1") },
    { weight: 1, arbitrary: fc.constantFrom("HTTP/1.0", "HTTP/9.9", "", "HTTP/1.1\r\nX: y") },
  ),
  extra: fc.array(
    fc.tuple(
      fc.constantFrom("content-encoding", "transfer-encoding", "expect", "x-http-method-override", "cookie"),
      hostileText,
    ),
    { maxLength: 1 },
  ),
  framing: fc.oneof(
    { weight: 8, arbitrary: fc.constant("length" as const) },
    { weight: 3, arbitrary: fc.constantFrom<Sent["framing"][]>("chunked", "no", "gzip", "bad gzip") },
  ),
});

/** Most headers that mean harm are refused by Node.js itself, so there are few of them. */
function withUsualHeaders(request: ApiRequest): ApiRequest {
  const usual = Object.entries(request.headers).filter(([name]) => USUAL_HEADERS.includes(name));
  return { ...request, headers: Object.fromEntries(usual) };
}

const USUAL_HEADERS = ["authorization", "idempotency-key", "content-type"];

/** A request as it goes over the wire, with any content. */
function bytesOf({ given: { request }, version, extra, framing }: Sent): Buffer {
  const { method, path, query, headers } = request;
  const body = framing === "gzip" ? gzipSync(request.body) : Buffer.from(request.body);
  const lines = [`${method} ${path}${query && `?${query}`} ${version}`, "host: localhost", "connection: close"];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  for (const [name, value] of extra) lines.push(`${name}: ${value}`);
  if (framing.endsWith("gzip")) lines.push("content-encoding: gzip");
  if (framing === "chunked") lines.push("transfer-encoding: chunked");
  else if (framing !== "no") lines.push(`content-length: ${body.byteLength}`);
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
  if (framing !== "chunked") return Buffer.concat([head, body]);
  return Buffer.concat([head, Buffer.from(`${body.byteLength.toString(16)}\r\n`), body, Buffer.from("\r\n0\r\n\r\n")]);
}

/** How long to wait for an answer before the connection is half-closed, in milliseconds. */
const PAUSE = 200;

/** Sends bytes and resolves with all that comes back; rejects if the other end holds the connection open and sends nothing. */
function exchange(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    // What is not a whole request is waited for.
    const over = setTimeout(() => cameThrough || socket.end(), PAUSE);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Violation(`no answer within ${PATIENCE} ms`));
    }, PATIENCE);
    const end = () => {
      clearTimeout(over);
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(chunks).toString("latin1"));
    };
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.once("end", end);
    // A server that has refused the head need not read the body to its end.
    socket.once("error", end);
    socket.write(bytes);
  });
}

/** What is on the other end while inputs are tried. */
let answering: Pick<Api, "answer">;
/** Whether the request has come as far as the API. */
let cameThrough = false;

async function open(): Promise<{ server: Server; port: number }> {
  const deployed = operatorsApi(() => ({ answer: (request) => answering.answer(request) }));
  http("fuzzed", (request, response) => deployed(request as never, response as never));
  // As the function has it from its own start on; other tests in this process put the environment back.
  process.env.NODE_ENV = "production";
  const server = getTestServer("fuzzed").listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

function wireOn(port: number): Kind {
  return kind(5, sent, async (given, { answer }, reached) => {
    const { bed, store, api } = await desk(given.given);
    cameThrough = false;
    answering = {
      answer: (request) => {
        cameThrough = true;
        return answer(api, request);
      },
    };
    const text = await exchange(port, bytesOf(given));
    if (text === "" && !cameThrough) return count(reached, "wire ended in the middle of a request");
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]);
    expect(status >= 200 && status < 500, () => `answered ${brief(text)}`);
    expect(!/\n\s+at |node_modules|&nbsp;at /.test(text), () => `a stack: ${brief(text)}`);
    expect(store.writes.length === 0 || status === 200, () => `answered ${status} and wrote ${brief(store.writes)}`);
    if (store.writes.length > 0) expectNoStrayWrite(given.given, status, store);
    expectSound(bed, store);
    count(reached, `wire answered ${status}`);
  });
}

/** The share is small: each input is a connection. */
export const wire: Kind = {
  share: 5,
  async search(...search) {
    const { server, port } = await open();
    // The framework logs every request that it refuses itself.
    const { error } = console;
    console.error = () => {};
    try {
      const failure = await wireOn(port).search(...search);
      const after = await exchange(
        port,
        Buffer.from("GET /api/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
      );
      if (failure || after.includes(" 200 OK")) return failure;
      return { seed: search[0].seed, path: "", report: `the server is gone: ${brief(after)}` };
    } finally {
      console.error = error;
      server.closeAllConnections();
      server.close();
    }
  },
};
