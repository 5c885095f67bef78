/** Checks that a food service can be used, before anything is started: with the code and the credentials of the functions. */
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

/** How Node.js says that nothing answers at an address. It may only be starting. */
const UNREACHABLE = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"];

/** Nothing answers at the food service's address yet. */
export class UnreachableError extends StartError {}

/**
 * Connects, and lists one order.
 * @throws StartError that says in one line what is in the way: no server, no TLS, a certificate, or a caller it does not accept
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
    // The method is no news.
    const plain = error.message.replace(/^\/\S+: /, "");
    const problem = callerProblem(error, connection);
    if (problem !== undefined) throw new StartError(sentence(problem), { cause: error });
    if (error.code === "UNIMPLEMENTED") {
      throw new StartError(`The server on ${address} is not a food service: ${error.message}.`, { cause: error });
    }
    if (!error.sent || error.code === "DEADLINE_EXCEEDED") throw new StartError(sentence(plain), { cause: error });
    // It answered, if only with a failure of its own, which may pass.
  } finally {
    channel.close();
  }
}

/** One connection, for a failure at once: a channel would try again until its time is over. */
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
