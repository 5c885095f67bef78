/** `npm run emulators`: the Emulator Suite with the functions alone; no food service, and nothing fires schedules. */
import { Command } from "commander";
import { addPortOptions, portOptions } from "../harness/cli-options.js";
import { runWithSystem } from "./run-with-system.js";

const program = new Command("npm run emulators --")
  .description("Runs Firebase's Emulator Suite with the functions, configured by functions/.env.local if it exists.")
  .helpOption("--help", "show this help");
addPortOptions(program, "usual").parse();

await runWithSystem(
  async () => ({
    ...portOptions(program, "usual"),
    embedded: false,
    withOwnParams: true,
    onProgress: (message) => console.log(message),
  }),
  async ({ system, signal }) => {
    if (!system.suite) throw new Error("the Emulator Suite is required, but it did not start");
    const { functions, firestore, pubsub, auth, hosting } = system.suite;
    console.log(
      `\nReady\n  Functions ${functions}\n  Firestore ${firestore}\n  Pub/Sub   ${pubsub}\n  Auth      ${auth}`,
    );
    console.log(`  Page      ${hosting}\n  Log       ${system.log}\nStop with Ctrl-C.`);
    const stopped = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
    const failure = await Promise.race([stopped, system.failed]);
    if (failure === undefined) return 0;
    console.error(failure);
    return 1;
  },
);
