/**
 * A food service that lists very many active orders and does nothing else. None of them is in memory: a page is made when it is asked
 * for. A separate process, so a bench can distinguish its CPU time from the poll's.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Server, ServerCredentials, type ServiceDefinition, status } from "@grpc/grpc-js";
import { ACTIVE_STATUSES, ORDER_STATUSES } from "../../functions/src/domain/order-lifecycle.js";
import { OrderServiceService } from "../../functions/src/generated/food/v1/food.js";
import { identityIn } from "../../services/food-service/certificate.js";
import { listOrderNames, shareOf } from "./orders.js";

const [directory = "", count = "0", largestPage = "1000"] = process.argv.slice(2);

const { path } = await identityIn(directory);
const key = readFileSync(join(directory, "localhost.key"));

const { listOrders } = OrderServiceService;
const service = { listOrders } as unknown as ServiceDefinition;
const server = new Server();
server.addService(service, {
  listOrders: (
    { request }: { request: { statusFilter: number; pageSize: number; pageToken: string } },
    respond: (error: object | null, page?: object) => void,
  ) => {
    const active = ACTIVE_STATUSES.find((name) => ORDER_STATUSES[name].code === request.statusFilter);
    if (!active) return respond({ code: status.INVALID_ARGUMENT, details: "only active statuses are listed here" });
    const { first, length } = shareOf(active, Number(count));
    const from = Number(request.pageToken || "0");
    const to = Math.min(length, from + Math.min(request.pageSize, Number(largestPage)));
    const orders = listOrderNames(first + from, first + to).map((name, index) => ({
      name,
      createTime: new Date(Date.UTC(2026, 0, 1) + from + index).toISOString(),
      updateTime: "",
      customerId: "krithik",
      status: request.statusFilter,
    }));
    respond(null, { orders, nextPageToken: to < length ? String(to) : "" });
  },
});
const credentials = ServerCredentials.createSsl(null, [{ cert_chain: readFileSync(path), private_key: key }]);
server.bindAsync("localhost:0", credentials, (error, port) => {
  if (error) throw error;
  console.log(`listening on ${port}`);
});
