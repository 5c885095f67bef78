/** Makes every program end cleanly: on a broken pipe, together with npm, and with a reason. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const NPM_CHECK_MS = 1_000;

/** Node.js exits with status 13 and without a message if only an `await` is left that nothing can settle. */
export function explainUnsettledExit() {
  process.on("exit", (status) => {
    if (status !== 13 && process.exitCode !== 13) return;
    console.error("Stopped: something that the program waited for can no longer happen. Please report this as a bug.");
    process.exit(1);
  });
}

/** When the reader of the output exits, as in `npm start | head -3`, the program stops without an error. */
export function endQuietlyOnBrokenPipe() {
  let broken = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (error.code !== "EPIPE") throw error;
      if (broken) return;
      broken = true;
      process.on("exit", () => {
        process.exitCode = 0;
      });
      // A program that holds nothing open has no listener.
      if (!process.emit("SIGTERM", "SIGTERM")) process.exit();
    });
  }
}

/** If npm is killed, neither this process nor a shell in between may notice. */
export function stopWithNpm() {
  const { npm_lifecycle_event: isUnderNpm, npm_lifecycle_script: script = "" } = process.env;
  if (!isUnderNpm) return;
  const parent = process.ppid;
  const hasShell = ask(parent, "args").includes(script);
  const npm = hasShell ? ask(parent, "ppid") : String(parent);
  const isUnderIt = () => process.ppid === parent && (!hasShell || ask(parent, "ppid") === npm);
  const checking = setInterval(() => {
    if (isUnderIt()) return;
    clearInterval(checking);
    process.kill(process.pid, "SIGTERM");
  }, NPM_CHECK_MS);
  checking.unref();
}

/** The system's information about a process; empty if it is gone. */
function ask(pid, field) {
  try {
    // Much cheaper than starting ps. The second part of "123 (name) S 45 …" may contain anything.
    if (process.platform === "linux" && field === "ppid") {
      return readFileSync(`/proc/${pid}/stat`, "utf8").split(")").at(-1).split(" ")[2];
    }
    return execFileSync("ps", ["-ww", "-o", `${field}=`, "-p", String(pid)], {
      encoding: "utf8",
      stdio: "pipe",
    }).trim();
  } catch {
    return "";
  }
}

/** Excludes this machine's own addresses from proxies. */
export function bypassProxiesOnLoopback(env = process.env) {
  for (const name of ["no_proxy", "NO_PROXY", ...(env.no_grpc_proxy ? ["no_grpc_proxy"] : [])]) {
    env[name] = [env[name], "localhost", "127.0.0.1", "::1", "[::1]"].filter(Boolean).join(",");
  }
}
