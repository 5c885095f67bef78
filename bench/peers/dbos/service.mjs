/** The same steps as a durable workflow in this process: DBOS saves the outcome of each in PostgreSQL before the next. */
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { DBOS } from "@dbos-inc/dbos-sdk";
import { carry } from "../steps.ts";

const { PORT, DATABASE_URL } = process.env;

const carryOrder = DBOS.registerWorkflow((order) => carry(order, (name, step) => DBOS.runStep(step, { name })), {
  name: "carryOrder",
});

DBOS.setConfig({ name: "orders", systemDatabaseUrl: DATABASE_URL, logLevel: "warn" });
await DBOS.launch();

const server = createServer(async (request, response) => {
  try {
    const order = await json(request);
    const handle = await DBOS.startWorkflow(carryOrder, { workflowID: order })(order);
    await handle.getResult();
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
  }
  response.end();
});
server.listen(Number(PORT), "127.0.0.1", () => console.log("listening"));
