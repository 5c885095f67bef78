/** `npm run setup`: provides what the tests need on this machine; with `--install`, through its package manager. */
import { spawnSync } from "node:child_process";
import { Command } from "commander";
import { installCommand, MissingError } from "../harness/missing-programs.js";
import { prepareMachine } from "../harness/prepare-machine.js";
import { StartError } from "../services/server.js";

const { install } = new Command("npm run setup --")
  .description("Finds or downloads what the tests need: Java, the emulators and Chromium.")
  .helpOption("--help", "show this help")
  .option("--install", "install Java and Chromium with this machine's package manager if they are missing", false)
  .parse()
  .opts<{ install: boolean }>();

const onProgress = (message: string) => console.error(message);
try {
  await prepareMachine(onProgress).catch(async (error: unknown) => {
    const command = install && error instanceof MissingError ? installCommand(error.missing) : undefined;
    if (!command) throw error;
    // A new machine's package list may be empty.
    if (command.includes("apt-get")) run(command.replace(/install .*/, "update"));
    run(command);
    await prepareMachine(onProgress);
  });
  console.log("This machine has everything that the tests need.");
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

function run(command: string): void {
  onProgress(command);
  const { status } = spawnSync(command, { shell: true, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new StartError(`\`${command}\` ended with status ${status}; its output is above.`);
}
