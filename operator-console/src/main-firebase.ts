/** The console on Firebase, in the cloud and in the Emulator Suite. */
import { start } from "./app.js";
import { connectFirebase } from "./data/firebase.js";

await start(connectFirebase());
