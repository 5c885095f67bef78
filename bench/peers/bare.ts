/** Nothing but the calls, so many orders at once: keeps nothing, and loses every order under way when it ends. */
import { carry } from "./steps.js";

process.on("message", (order: string) => {
  carry(order, (_, work) => work()).then(
    () => process.send?.({ order }),
    (error: Error) => process.send?.({ order, failure: error.message }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.({ order: "" });
