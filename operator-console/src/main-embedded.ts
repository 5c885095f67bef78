/** The console on an embedded run. */
import { start } from "./app.js";
import { connectEmbedded } from "./data/events.js";

await start(connectEmbedded());
