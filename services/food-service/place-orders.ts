/** Places orders in a food service, as a customer would. */
import type { X509Certificate } from "node:crypto";
import { GrpcChannel } from "../../functions/src/adapters/firebase/grpc-channel.js";
import { systemClock } from "../../functions/src/adapters/firebase/system-clock.js";
import { CredentialError, parseCertificates } from "../../functions/src/credentials.js";
import { toErrorInfo } from "../../functions/src/domain/errors.js";
import { Order_Status, OrderServiceService } from "../../functions/src/generated/food/v1/food.js";
import { CALL_TIMEOUT_MS } from "../call.js";
import { CONNECTION_OPTIONS } from "./connection-options.js";

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
  const trust = readCertificates(certificate);
  const channel = new GrpcChannel(
    {
      name: "the food service",
      address: server,
      security: "tls",
      trust,
      options: CONNECTION_OPTIONS,
      idempotentMethods: [],
      timeoutMs: CALL_TIMEOUT_MS,
    },
    systemClock,
  );
  const order = { name: "", createTime: "", updateTime: "", customerId: customer, status: Order_Status.UNKNOWN };
  try {
    for (let placed = 0; placed < count; placed++) {
      yield (await channel.call(OrderServiceService.createOrder, { order })).name;
    }
  } catch (error) {
    const reason = reasonOf(error, server);
    throw new NotPlacedError(reason, { cause: error });
  } finally {
    channel.close();
  }
}

function readCertificates(pem: Buffer): X509Certificate[] {
  try {
    return parseCertificates(pem.toString());
  } catch (cause) {
    if (!(cause instanceof CredentialError)) throw cause;
    throw new NotPlacedError("The certificate must be one in PEM form, such as the food service makes", { cause });
  }
}

function reasonOf(error: unknown, server: string): string {
  const { code, message } = toErrorInfo(error);
  // gRPC wraps what the connection said into words of its own, after the path of the method.
  const plain = message
    .replace(/^\/\S+: /, "")
    .replace(/^No connection established\. Last error: (Error: )?/, "")
    .replace(/\.? Resolution note:.*/s, "");
  if (code === "UNAVAILABLE") return `The food service at ${server} can't be reached: ${plain}`;
  if (code === "DEADLINE_EXCEEDED")
    return `The food service at ${server} did not answer within ${CALL_TIMEOUT_MS / 1000} s`;
  return `The food service at ${server} did not take the order: ${code} ${plain}`;
}
