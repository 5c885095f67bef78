/**
 * The publishing half of Pub/Sub: it takes messages, counts the orders in them and keeps continuations. The emulator, which keeps every
 * message, takes most of the machine. A separate process, so a bench can distinguish its CPU time from the poll's.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { CONTINUATION_TOPIC } from "../../functions/src/pipeline/messages.js";

interface PublishRequest {
  topic: string;
  payloads: string[];
}

/** A bit for each number of an order that was seen. */
const seen = new Uint8Array(2 ** 20);
let distinct = 0;
let orders = 0;
let messages = 0;
let continuations: unknown[] = [];

function see(number: number): void {
  orders++;
  const [byte, bit] = [number >>> 3, 1 << (number & 7)];
  if ((seen[byte] ?? 0) & bit) return;
  seen[byte] = (seen[byte] ?? 0) | bit;
  distinct++;
}

/** `topic` is field 1 of a request, `messages` field 2, and `data` field 1 of a message. */
function parseRequest(bytes: Buffer): PublishRequest {
  const request: PublishRequest = { topic: "", payloads: [] };
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1) request.topic = reader.string();
    else if (field === 2) request.payloads.push(dataIn(reader.bytes()));
    else reader.skip(type);
  }
  return request;
}

function dataIn(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1) return Buffer.from(reader.bytes()).toString();
    reader.skip(type);
  }
  return "";
}

/** `message_ids` is field 1 of a response. */
function serializeIds(ids: string[]): Buffer {
  const writer = new BinaryWriter();
  for (const id of ids) writer.tag(1, 2).string(id);
  return Buffer.from(writer.finish());
}

const server = new Server();
server.addService(
  {
    publish: {
      path: "/google.pubsub.v1.Publisher/Publish",
      requestStream: false,
      responseStream: false,
      requestSerialize: () => Buffer.alloc(0),
      requestDeserialize: parseRequest,
      responseSerialize: serializeIds,
      responseDeserialize: () => [],
    },
  },
  {
    publish: ({ request }: { request: PublishRequest }, respond: (error: null, ids: string[]) => void) => {
      const { topic, payloads } = request;
      if (topic.endsWith(`/${CONTINUATION_TOPIC}`)) continuations.push(...payloads.map((text) => JSON.parse(text)));
      else {
        messages += payloads.length;
        for (const text of payloads) for (const [, number] of text.matchAll(/orders\/(\d+)/g)) see(Number(number));
      }
      respond(
        null,
        payloads.map((_, index) => String(index)),
      );
    },
  },
);

/** What was published so far, and the continuations since it was last asked, as JSON. */
const answers = createServer((_, response) => {
  response.end(JSON.stringify({ distinct, orders, messages, continuations }));
  continuations = [];
});

server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  answers.listen(0, "127.0.0.1", () => {
    console.log(`listening on ${port} ${(answers.address() as AddressInfo).port}`);
  });
});
