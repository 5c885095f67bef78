/** A process with the deployed functions in it, as an instance in the cloud: its parent sends events, it says how they went. */
import * as deployed from "../functions/src/index.js";

interface Delivery {
  id: number;
  name: keyof typeof deployed;
  event: never;
}

/** Scheduled functions are HTTP functions on the outside; the scheduler's part of the request is what `run` gets. */
const SCHEDULED = ["pollOrders", "sweep"];

process.on("message", ({ id, name, event }: Delivery) => {
  const { [name]: called } = deployed;
  const work = async () => (SCHEDULED.includes(name) ? called.run(event) : called(event, undefined as never));
  work().then(
    () => process.send?.({ id }),
    (error: Error) => process.send?.({ id, failure: `${error.name}: ${error.message}` }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
