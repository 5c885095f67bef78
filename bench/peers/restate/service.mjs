/** The same steps as a durable workflow: Restate keeps the outcome of each before the next. */
import { createServer as createHttp1 } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { endpoint, service } from "@restatedev/restate-sdk";
import { carry } from "../steps.ts";

// Node.js 20 does not have it, and the SDK needs it.
Promise.withResolvers ??= function withResolvers() {
  let resolve, reject;
  const promise = new this((fulfil, refuse) => {
    resolve = fulfil;
    reject = refuse;
  });
  return { promise, resolve, reject };
};

const orders = service({
  name: "orders",
  handlers: { carry: (context, order) => carry(order, (step, work) => context.run(step, work)) },
});

const { PORT, MODE } = process.env;
const bound = endpoint().bind(orders);
const server =
  MODE === "bidirectional"
    ? createHttp2(bound.http2Handler({ bidirectional: true }))
    : createHttp1(bound.http1Handler({ bidirectional: false }));
server.listen(Number(PORT), "127.0.0.1", () => console.log("listening"));
