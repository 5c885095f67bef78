/** A process with the deployed functions in it, as an instance in the cloud: its parent sends events, it says how they went. */
import type * as Deployed from "../functions/src/index.js";

/** The sources, or a build of them. */
const deployed = (await import(process.env.DEPLOYED_BUILD ?? "../functions/src/index.js")) as typeof Deployed;

/** What events and schedules call; the API takes requests. */
const { api: _api, ...called } = deployed;

interface Delivery {
  id: number;
  name: keyof typeof called;
  event: never;
}

/** Scheduled functions are HTTP functions on the outside; the scheduler's part of the request is what `run` gets. */
const SCHEDULED = ["pollOrders", "sweep"];

process.on("message", ({ id, name, event }: Delivery) => {
  const { [name]: handler } = called;
  const work = async () => (SCHEDULED.includes(name) ? handler.run(event) : handler(event, undefined as never));
  work().then(
    () => process.send?.({ id }),
    (error: Error) => process.send?.({ id, failure: `${error.name}: ${error.message}` }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
