/** `npm run fuzz`: hostile requests, messages and documents against every handler, and what did not hold. */
import { Command, InvalidArgumentError, Option } from "commander";
import { Progress } from "../../harness/progress.js";
import { numberFrom } from "../../services/cli-options.js";
import { fuzz, KIND_NAMES, type KindName } from "./fuzz.js";

const wholeNumber = (least: number) => numberFrom(least, 2_147_483_647, { whole: true });

const program = new Command("npm run fuzz --")
  .description(
    "Brings hostile requests, messages and documents to the public handlers: no 5xx, no crash, no stray write.",
  )
  .helpOption("--help", "show this help")
  .option("--inputs <count>", "so many in all", wholeNumber(1), 10_000)
  .option("--seed <number>", "decides every input (default: another each time)", wholeNumber(0))
  .addOption(new Option("--kind <kind>", "only inputs of this kind").choices(KIND_NAMES))
  .option("--path <path>", "with --kind and --seed: the input at this path, as a failure prints it", pathOf)
  .parse();

function pathOf(text: string): string {
  if (/^\d+(:\d+)*$/.test(text)) return text;
  throw new InvalidArgumentError("It must be numbers with colons in between, as a failure prints it.");
}

const options = program.opts<{ inputs: number; seed?: number; kind?: KindName; path?: string }>();
if (options.path !== undefined && (options.kind === undefined || options.seed === undefined)) {
  program.error("error: --path requires --kind and --seed");
}

const { kind: only, path, seed = Math.floor(Math.random() * 2 ** 31) } = options;
console.log(`Seed ${seed}`);
const progress = new Progress({ unit: "inputs", total: options.inputs });
const onInput = () => progress.advance();
const { inputs, byKind, failures, reached } = await fuzz({ inputs: options.inputs, seed, only, path, onInput });
progress.end();
for (const [what, times] of [...reached].sort(([one], [other]) => (one < other ? -1 : 1)))
  console.log(`${times} ${what}`);
for (const failure of failures) {
  console.error(`\n${failure.kind}: ${failure.report}`);
  console.error(`Again: npm run fuzz -- --kind ${failure.kind} --seed ${failure.seed} --path ${failure.path}`);
}
console.log(JSON.stringify({ inputs, byKind, failures: failures.length }));
process.exitCode = failures.length > 0 ? 1 : 0;
