/** One server of the user chain with nothing but @grpc/grpc-js: what the library alone costs. No log, deadline or check. */
import {
  Client,
  credentials,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import {
  MockUserDataServiceService as data,
  Orchestrator1ServiceService as orchestrator1,
  Orchestrator2ServiceService as orchestrator2,
  type User,
  type UserName,
} from "../../functions/src/generated/user/user.js";
import type { Role } from "../../services/users/chain.js";

const [role, next = "localhost:1"] = process.argv.slice(2) as [Role, string?];

const client = new Client(next, credentials.createInsecure());

/** A handler that asks the next server of the chain, and answers with its answer. */
function relay<Own, Request>(
  { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, User>,
  question: (own: Own) => Request,
) {
  return ({ request }: ServerUnaryCall<Own, User>, reply: sendUnaryData<User>) => {
    const asked = question(request);
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, asked, (error, user) =>
      reply(error, user ?? null),
    );
  };
}

function getMockUserData({ request: { name } }: ServerUnaryCall<UserName, User>, reply: sendUnaryData<User>): void {
  const length = Buffer.byteLength(name);
  reply(null, { name, class: String(length), roll: 10 * length });
}

const server = new Server();
if (role === "data") server.addService(data, { getMockUserData });
if (role === "orchestrator2") {
  server.addService(orchestrator2, { getUser: relay(data.getMockUserData, ({ name }: User) => ({ name })) });
}
if (role === "orchestrator1") {
  const getUserByName = relay(orchestrator2.getUser, ({ name }: UserName) => ({ name, class: "", roll: 0 }));
  server.addService(orchestrator1, { getUserByName });
}
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`127.0.0.1:${port}`);
});
