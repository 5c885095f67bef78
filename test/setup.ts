/** What every test run needs before the first module of Google's is loaded. */
import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
import { relative } from "node:path";
import Mocha from "mocha";
import { ROOT } from "../harness/root.js";
import { layerOf } from "./layers.js";

// No look-ups of a metadata server: there is none, and waiting for it costs seconds.
process.env.METADATA_SERVER_DETECTION = "none";

/** A timeout is for a test that hangs. No test has less, however busy the machine is. */
const MIN_TIMEOUT_MS = 600_000;

const { timeout } = Mocha.Runnable.prototype as { timeout(...ms: [] | [number]): unknown };
Object.assign(Mocha.Runnable.prototype, {
  timeout(this: unknown, ...ms: [] | [number]) {
    const [wanted] = ms;
    return wanted === undefined ? timeout.call(this) : timeout.call(this, wanted && Math.max(wanted, MIN_TIMEOUT_MS));
  },
});

/** The unit test that runs at the moment. */
let unitTest: string | undefined;

export const mochaHooks = {
  beforeEach(this: Mocha.Context) {
    const file = relative(ROOT, this.currentTest?.file ?? "");
    unitTest = layerOf(file) === "unit" ? file : undefined;
  },
  afterEach() {
    unitTest = undefined;
  },
};

for (const name of ["spawn", "spawnSync", "fork", "exec", "execSync", "execFile", "execFileSync"] as const) {
  const start = childProcess[name] as (...args: unknown[]) => unknown;
  const guarded = (...args: unknown[]) => {
    if (unitTest === undefined) return start(...args);
    throw new Error(`${unitTest} is a unit test and starts a program: call it NAME.integration.test.ts`);
  };
  // `util.promisify` looks for a variant of its own on the function.
  Object.assign(childProcess, { [name]: Object.defineProperties(guarded, Object.getOwnPropertyDescriptors(start)) });
}
syncBuiltinESMExports();
