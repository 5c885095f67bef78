/** `npm run scheduler`: the local scheduler alone, for an Emulator Suite that was started by hand. */
import { Command } from "commander";
import { PROJECT } from "../harness/emulators/suite.js";
import { stopOnSignals } from "../harness/process/shutdown-signals.js";
import { describeSchedule, Scheduler } from "../local/scheduler.js";
import { numberFrom, readAddress } from "../services/cli-options.js";

const { functions, project, interval } = new Command("npm run scheduler --")
  .description("Fires the scheduled functions of a running Emulator Suite, which doesn't fire them itself.")
  .helpOption("--help", "show this help")
  .option("--functions <host:port>", "the Functions emulator", readAddress, "127.0.0.1:5001")
  .option("--project <id>", "the project that it emulates", PROJECT)
  .option("--interval <seconds>", "time between polls, instead of the poll's schedule", numberFrom(0.5, 86_400))
  .parse()
  .opts<{ functions: string; project: string; interval?: number }>();

const origin = `http://${functions}`;
const intervals = interval === undefined ? undefined : { pollOrders: interval };
const scheduler = await Scheduler.open({ functions: origin, project, intervals, onTrouble: console.error }).catch(
  () => {
    console.error(
      `There is no Functions emulator on ${functions}. Start one with \`npm run emulators\`, or name yours with --functions.`,
    );
    process.exit(1);
  },
);
const signal = stopOnSignals(() => process.exit(130));
if (scheduler.functions.length === 0) {
  console.error(`None of the functions on ${functions} has a schedule.`);
  process.exit(1);
}
for (const { name, schedule } of scheduler.functions) {
  console.log(`${name}: ${describeSchedule(name, schedule, intervals)}`);
}
scheduler.start();
signal.addEventListener("abort", () => {
  scheduler.stop();
  const { ran, failed, skipped } = scheduler.counts;
  console.log(`${ran} ran, ${failed} failed, ${skipped} skipped`);
  process.exit(0);
});
