/** Checks a food service before a run starts, with the functions' own code and credentials. */
import {
  type FoodServiceConnection,
  foodServiceChannel,
} from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import { dial, TlsConnector, TlsError } from "../functions/src/adapters/firebase/tls-connection.js";
import { isCallError } from "../functions/src/domain/errors.js";
import { Order_Status, OrderServiceService } from "../functions/src/generated/food/v1/food.js";
import { CONNECTION_OPTIONS, callerProblem } from "../services/food-service/connection-options.js";
import { expectAddress, StartError } from "../services/server.js";

/** Node.js' error codes for an address at which nothing listens. The food service may still be starting. */
const UNREACHABLE = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"];

/** Nothing listens at the food service's address yet. */
export class UnreachableError extends StartError {}

/**
 * Connects, and lists one order.
 * @throws StartError that names the problem in one line: no server, no TLS, an untrusted certificate, or rejected credentials
 */
export async function checkFoodService(connection: FoodServiceConnection): Promise<void> {
  await checkConnection(connection);
  const channel = foodServiceChannel(connection, systemClock, CONNECTION_OPTIONS);
  try {
    const request = { statusFilter: Order_Status.NEW, pageSize: 1, pageToken: "" };
    await channel.call(OrderServiceService.listOrders, request);
  } catch (error) {
    if (!isCallError(error)) throw error;
    const { FOOD_SERVICE_ADDRESS: address } = connection;
    // The method does not help the reader.
    const plain = error.message.replace(/^\/\S+: /, "");
    const problem = callerProblem(error, connection);
    if (problem !== undefined) throw new StartError(sentence(problem), { cause: error });
    if (error.code === "UNIMPLEMENTED") {
      throw new StartError(`The server on ${address} is not a food service: ${error.message}.`, { cause: error });
    }
    if (!error.sent || error.code === "DEADLINE_EXCEEDED") throw new StartError(sentence(plain), { cause: error });
    // The server is up; its own failure may be temporary.
  } finally {
    channel.close();
  }
}

/** Opens a single connection, so a failure shows immediately: a channel would retry until its deadline. */
async function checkConnection(connection: FoodServiceConnection): Promise<void> {
  const { FOOD_SERVICE_ADDRESS: address, FOOD_SERVICE_CA: trust } = connection;
  const { FOOD_SERVICE_CLIENT_CERTIFICATE: certificates, FOOD_SERVICE_CLIENT_KEY: key } = connection;
  const { host, port } = expectAddress(address);
  const name = `the food service at ${address}`;
  const client = certificates && key && { certificates, key };
  try {
    const connector = new TlsConnector({ name, host, port, trust, client, options: CONNECTION_OPTIONS });
    await connector.check(() => dial(host, port));
  } catch (error) {
    if (error instanceof TlsError) throw new StartError(sentence(error.message), { cause: error });
    const { code = "" } = error as NodeJS.ErrnoException;
    const Kind = UNREACHABLE.includes(code) ? UnreachableError : StartError;
    throw new Kind(unreachable(error, host, address), { cause: error });
  }
}

function unreachable(error: unknown, host: string, address: string): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `The host ${host} does not exist.`;
  if (code === "ECONNREFUSED") return `Nothing listens on ${address}: is the food service running there?`;
  return `The food service at ${address} can't be reached: ${message || code}.`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? "" : "."}`;
}
