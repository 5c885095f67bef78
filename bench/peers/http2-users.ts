/** One server of the user chain on Node.js' own HTTP/2, gRPC's frames made by hand: the least that any gRPC library on it costs. */
import { connect, createServer, type Http2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import type { MethodDefinition } from "@grpc/grpc-js";
import {
  MockUserDataServiceService as data,
  Orchestrator1ServiceService as orchestrator1,
  Orchestrator2ServiceService as orchestrator2,
  type User,
} from "../../functions/src/generated/user/user.js";
import type { Role } from "../../services/users/chain.js";

const [role, next] = process.argv.slice(2) as [Role, string?];

const connection = next === undefined ? undefined : connect(`http://${next}`);

/** A message is preceded by whether it is compressed, and its length. */
const PREFIX_BYTES = 5;

function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, PREFIX_BYTES);
  return frame;
}

/** Resolves with the stream's only message. Events cost half as much as asynchronous iteration. */
function messageOf(stream: Http2Stream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => void chunks.push(chunk));
    stream.once("end", () => resolve(Buffer.concat(chunks).subarray(PREFIX_BYTES)));
    stream.once("error", reject);
  });
}

async function ask<Request>(method: MethodDefinition<Request, User>, request: Request): Promise<User> {
  if (!connection) throw new Error(`${role} needs the address of the next server`);
  const headers = { ":method": "POST", ":path": method.path, "content-type": "application/grpc", te: "trailers" };
  const stream = connection.request(headers);
  stream.end(framed(method.requestSerialize(request)));
  return method.responseDeserialize(await messageOf(stream));
}

const handlers: Record<Role, (request: Buffer) => Promise<User>> = {
  data: async (request) => {
    const { name } = data.getMockUserData.requestDeserialize(request);
    const length = Buffer.byteLength(name);
    return { name, class: String(length), roll: 10 * length };
  },
  orchestrator2: (request) => {
    const { name } = orchestrator2.getUser.requestDeserialize(request);
    return ask(data.getMockUserData, { name });
  },
  orchestrator1: (request) => {
    const { name } = orchestrator1.getUserByName.requestDeserialize(request);
    return ask(orchestrator2.getUser, { name, class: "", roll: 0 });
  },
};

const server = createServer();
server.on("stream", (stream) => {
  void messageOf(stream).then(async (request) => {
    const user = await handlers[role](request);
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(framed(data.getMockUserData.responseSerialize(user)));
  });
});
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${(server.address() as AddressInfo).port}`));
