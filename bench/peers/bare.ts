/** Only the calls, for this many orders at a time: it stores nothing, and loses all orders in progress when it ends. */
import { carry } from "./steps.js";

process.on("message", (order: string) => {
  carry(order, (_, work) => work()).then(
    () => process.send?.({ order }),
    (error: Error) => process.send?.({ order, failure: error.message }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.({ order: "" });
