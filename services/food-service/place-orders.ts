/** Places orders in a food service, as a customer would. */
import { X509Certificate } from "node:crypto";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { Order_Status, OrderServiceService } from "../../functions/src/generated/food/v1/food.js";
import { CALL_TIMEOUT_MS, call } from "../call.js";

/** An order could not be placed; the message says why. */
export class NotPlacedError extends Error {
  override readonly name = "NotPlacedError";
}

interface Placing {
  /** `host:port` of the food service. */
  server: string;
  /** The service's certificate, or the root of it, in PEM form. */
  certificate: Buffer;
  customer: string;
  count: number;
}

/**
 * Places so many orders, one after the other, and yields the name of each.
 * @throws NotPlacedError where the service can't be reached, is another one, or refuses
 */
export async function* placeOrders({ server, certificate, customer, count }: Placing): AsyncGenerator<string> {
  expectCertificate(certificate);
  const client = new Client(server, credentials.createSsl(certificate), { "grpc.enable_channelz": 0 });
  const order = { name: "", createTime: "", updateTime: "", customerId: customer, status: Order_Status.UNKNOWN };
  try {
    for (let placed = 0; placed < count; placed++) {
      yield (await call(client, OrderServiceService.createOrder, { order })).name;
    }
  } catch (error) {
    throw new NotPlacedError(reasonOf(error as ServiceError, server), { cause: error });
  } finally {
    client.close();
  }
}

/** OpenSSL takes any text for a list of no certificates, and would then blame the server's. */
function expectCertificate(pem: Buffer): void {
  try {
    new X509Certificate(pem);
  } catch (cause) {
    throw new NotPlacedError("The certificate must be one in PEM form, such as the food service makes", { cause });
  }
}

function reasonOf({ code, details }: ServiceError, server: string): string {
  // gRPC wraps what the connection said into words of its own.
  const plain = details
    .replace(/^No connection established\. Last error: (Error: )?/, "")
    .replace(/\.? Resolution note:.*/s, "");
  if (code === status.UNAVAILABLE && /certificate|altnames|ssl|tls/i.test(plain)) {
    return `The food service at ${server} has another certificate than the one given: ${plain}`;
  }
  if (code === status.UNAVAILABLE) return `The food service at ${server} can't be reached: ${plain}`;
  if (code === status.DEADLINE_EXCEEDED)
    return `The food service at ${server} did not answer within ${CALL_TIMEOUT_MS / 1000} s`;
  return `The food service at ${server} did not take the order: ${status[code]} ${plain}`;
}
