/** A copy of the project for one rehearsal, and the environment in which its commands run: no command reaches beyond this machine. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { quoteForShell } from "../../harness/process/shell.js";
import { ROOT } from "../../harness/root.js";
import type { Google } from "./google/stand-in.js";

const LOOPBACK = join(ROOT, "deploy/rehearsal/loopback.cjs");
const REGISTRY = new URL(execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim()).hostname;
const NPM_CACHE = execFileSync("npm", ["config", "get", "cache"], { encoding: "utf8" }).trim();

/** After so long without an end a command has failed. */
const COMMAND_TIMEOUT_MS = 900_000;

export interface Ran {
  status: number;
  /** All that it printed, without colours. */
  output: string;
}

/** What a person types when the output shows a question: each is answered once, in order. */
export type Answers = [question: RegExp, answer: string][];

export interface RunOptions {
  answers?: Answers;
  /** Whether the command runs without a terminal. */
  isUnattended?: boolean;
  /** Variables to set, or with undefined to leave out. */
  env?: Record<string, string | undefined>;
}

export class Workspace {
  readonly directory: string;
  readonly home: string;
  private readonly env: Record<string, string>;

  constructor(
    google: Google,
    project: string,
    /** Where servers stand for hosts on the internet, as ports by host:port. */
    readonly hosts: Record<string, number> = {},
  ) {
    const top = mkdtempSync(join(tmpdir(), "diet-rehearsal-"));
    this.directory = join(top, "project");
    this.home = join(top, "home");
    mkdirSync(join(this.home, "configstore"), { recursive: true });
    mkdirSync(join(this.home, ".config/gcloud"), { recursive: true });
    const ca = join(this.home, "google.pem");
    writeFileSync(ca, google.certificate);
    const token = join(this.home, "gcloud-token");
    writeFileSync(token, "token-of-gcloud");
    this.env = {
      ...pick("PATH", "LANG", "TERM", "USER", "JAVA_HOME", "TMPDIR"),
      PROJECT: project,
      HOME: this.home,
      // The Firebase CLI keeps there whom `firebase login` signed in.
      XDG_CONFIG_HOME: this.home,
      npm_config_cache: NPM_CACHE,
      npm_config_prefer_offline: "true",
      npm_config_audit: "false",
      npm_config_fund: "false",
      npm_config_update_notifier: "false",
      NO_UPDATE_NOTIFIER: "1",
      NODE_OPTIONS: `--require=${LOOPBACK}`,
      NODE_EXTRA_CA_CERTS: ca,
      REHEARSAL_ROUTES: JSON.stringify({ https: google.httpsPort, http: google.httpPort, pass: [REGISTRY], hosts }),
      METADATA_SERVER_DETECTION: "none",
      CLOUDSDK_CONFIG: join(this.home, ".config/gcloud"),
      CLOUDSDK_AUTH_ACCESS_TOKEN_FILE: token,
      CLOUDSDK_PROXY_TYPE: "http",
      CLOUDSDK_PROXY_ADDRESS: "127.0.0.1",
      CLOUDSDK_PROXY_PORT: String(google.httpPort),
      CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE: ca,
      CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: "true",
      CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: "true",
      CLOUDSDK_CORE_CHECK_GCE_METADATA: "false",
    };
    copyProject(this.directory);
    signIn(join(this.home, "configstore"));
  }

  /** The environment of its commands. */
  get environment(): Record<string, string> {
    return { ...this.env };
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** Runs a shell block as a reader pastes it, at a terminal unless `isUnattended`; resolves when it has ended. */
  run(block: string, { answers = [], isUnattended = false, env = {} }: RunOptions = {}): Promise<Ran> {
    const shell = ["bash", "-eo", "pipefail", "-c", block];
    // script gives the command a terminal of its own.
    const asTyped = shell.map(quoteForShell).join(" ");
    const [command = "", ...args] = isUnattended ? shell : ["script", "-qefc", asTyped, "/dev/null"];
    const child = spawn(command, args, { cwd: this.directory, env: { ...this.env, ...env }, detached: true });
    const waiting = [...answers];
    let output = "";
    let seen = 0;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        const [next] = waiting;
        const found = next?.[0].exec(stripVTControlCharacters(output).slice(seen));
        if (!next || !found) return;
        seen = stripVTControlCharacters(output).length;
        waiting.shift();
        child.stdin.write(next[1]);
      });
    }
    if (isUnattended) child.stdin.end();
    return new Promise((resolve, reject) => {
      const kill = () => child.pid && process.kill(-child.pid, "SIGKILL");
      const timer = setTimeout(kill, COMMAND_TIMEOUT_MS);
      process.once("exit", kill);
      child.once("error", reject);
      child.once("close", (status) => {
        clearTimeout(timer);
        process.off("exit", kill);
        resolve({ status: status ?? 1, output: stripVTControlCharacters(output).replaceAll("\r\n", "\n") });
      });
    });
  }

  remove(): void {
    rmSync(dirname(this.directory), { recursive: true, force: true });
  }
}

/** As a fresh clone with `npm ci` done: what git knows or would know, and the packages. */
function copyProject(directory: string): void {
  const list = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], { cwd: ROOT, encoding: "utf8" });
  for (const file of list.split("\0").filter((name) => name && existsSync(join(ROOT, name)))) {
    cpSync(join(ROOT, file), join(directory, file));
  }
  // Hard links: whatever a command does to its packages, ours stay. Another file system gets copies.
  const [from, to] = [join(ROOT, "node_modules"), join(directory, "node_modules")];
  if (spawnSync("cp", ["-al", from, to], { stdio: "ignore" }).status === 0) return;
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true, verbatimSymlinks: true });
}

/** As `firebase login` leaves it. */
function signIn(folder: string): void {
  const tokens = {
    access_token: "token-of-the-firebase-cli",
    refresh_token: "refresh",
    expires_at: Date.now() + 86_400_000,
    scopes: ["email", "openid", "https://www.googleapis.com/auth/cloud-platform"],
    token_type: "Bearer",
  };
  const user = { email: "owner@example.com", email_verified: true, iss: "https://accounts.google.com" };
  writeFileSync(join(folder, "firebase-tools.json"), JSON.stringify({ user, tokens, usage: false, motd: {} }));
}

function pick(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
