/**
 * Follows docs/tutorial.md as a reader does: runs each command in its terminal, and compares the output and the console with
 * what the page says. Only ports differ: the system chooses them.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPage, startBrowser, type Watched } from "../harness/browser.js";
import { type Child, startChild } from "../harness/process/child-process.js";
import { ROOT } from "../harness/root.js";
import { until } from "./program.js";

const PAGE = "docs/tutorial.md";

/** The food service's address on the page. */
const ADDRESS = "localhost:50051";

const TERMINALS = ["first", "second", "third"] as const;
type Terminal = (typeof TERMINALS)[number];

type Step =
  | { kind: "run"; command: string; terminal: Terminal }
  | { kind: "stop"; terminal: Terminal }
  | { kind: "shows"; lines: string[]; terminal: Terminal }
  | { kind: "console shows"; path: string; text: string };

/** Printed between the commands of one terminal. */
const DONE = "the command is done";

const STEP_TIMEOUT_MS = 300_000;

/** What the page asks its reader to do and to see, in order. */
function* stepsOf(page: string): Generator<Step> {
  let terminal: Terminal = "first";
  let path = "/";
  const parts =
    /^```(sh)?\n(.*?)^```|Ctrl-C in the (\w+) terminal|(first|second|third) terminal|at `(\/\S*)`|\*\*(.+?)\*\*/gms;
  for (const [, shell, block, stopped, named, address, text] of page.matchAll(parts)) {
    if (stopped !== undefined) yield { kind: "stop", terminal: terminalFrom(stopped) };
    else if (named !== undefined) terminal = terminalFrom(named);
    else if (address !== undefined) path = address;
    else if (text !== undefined) yield { kind: "console shows", path, text };
    else if (block === undefined) throw new Error("a part of the page is neither a block nor a phrase");
    else if (shell) yield { kind: "run", command: block.trim(), terminal };
    else yield { kind: "shows", lines: block.trimEnd().split("\n"), terminal };
    if (stopped !== undefined) terminal = terminalFrom(stopped);
  }
}

function terminalFrom(word: string): Terminal {
  return TERMINALS.find((name) => name === word) ?? assert.fail(`there is no ${word} terminal`);
}

/** Matches a text of the page: an ellipsis matches anything, and so does a port. */
function patternOf(text: string): RegExp {
  const parts = text.replace(/:50051|:5002/g, ":…").split("…");
  return new RegExp(parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join(".+"));
}

/** Where the food service's address leads, whatever port its process has at the moment. */
class Forwarder {
  target: number | undefined;
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  constructor() {
    this.server = createServer((socket) => {
      if (this.target === undefined) return void socket.destroy();
      const onward = connect(this.target, "localhost");
      socket.pipe(onward).pipe(socket);
      for (const [one, other] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        this.sockets.add(one);
        one
          .on("error", () => undefined)
          .on("close", () => {
            this.sockets.delete(one);
            other.destroy();
          });
      }
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, "localhost", resolve));
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

describe("the tutorial", () => {
  const folder = mkdtempSync(join(tmpdir(), "diet-tutorial-"));
  const forwarder = new Forwarder();
  const running = new Map<Terminal, Child>();
  const output: Record<Terminal, string[]> = { first: [], second: [], third: [] };
  /** The variables that the reader's commands have set. */
  const variables = new Map<string, string>();
  let port: number;
  let browser: Awaited<ReturnType<typeof startBrowser>>;
  let watched: Watched;

  before(async () => {
    // The same project in another folder, whose .local is its own.
    for (const name of readdirSync(ROOT))
      if (name !== ".git" && name !== ".local") symlinkSync(join(ROOT, name), join(folder, name));
    port = await forwarder.listen();
    browser = await startBrowser();
    watched = await openPage(browser);
  });

  after(async () => {
    await Promise.all([...running.values()].map((child) => child.stop("SIGKILL", 0)));
    await browser?.close();
    forwarder.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The command with this run's ports in place of the page's. */
  function onOwnPorts(command: string): string {
    if (/food-service -- (?!.*--truth)/.test(command)) return `${command} --address localhost:0`;
    const own = command.replaceAll(ADDRESS, `localhost:${port}`);
    return /npm run (--silent )?(order|resolve) /.test(own)
      ? own.replace(" -- ", ` -- --server localhost:${port} `)
      : own;
  }

  async function run(command: string, terminal: Terminal): Promise<void> {
    const lines: string[] = [];
    output[terminal] = lines;
    const setting = /^(\w+)=/.exec(command)?.[1];
    const after = setting === undefined ? "" : `\necho "$${setting}"`;
    const child = await startChild({
      command: "bash",
      args: ["-ec", `${onOwnPorts(command)}${after}\necho "${DONE}"`],
      cwd: folder,
      env: { ...process.env, ...Object.fromEntries(variables), PORTS_FROM: "auto" },
      onLine: (line) => {
        lines.push(line);
        const [, listening] = /^food service ready on localhost:(\d+)/.exec(line) ?? [];
        if (listening) forwarder.target = Number(listening);
      },
    });
    running.set(terminal, child);
    // The first two terminals belong to programs that run until they are stopped.
    if (terminal !== "third") {
      const isReady = async () => lines.some((line) => /\bready\b/i.test(line));
      return until(`the program in the ${terminal} terminal is ready`, isReady, STEP_TIMEOUT_MS);
    }
    await child.exited;
    assert.ok(lines.includes(DONE), `${command}\n${lines.join("\n")}`);
    if (setting !== undefined) variables.set(setting, lines.at(-2) ?? "");
  }

  async function stop(terminal: Terminal): Promise<void> {
    const child = running.get(terminal) ?? assert.fail(`nothing runs in the ${terminal} terminal`);
    process.kill(-child.pid, "SIGINT");
    await child.exited;
    if (terminal === "first") forwarder.target = undefined;
  }

  async function shows(expected: string[], terminal: Terminal): Promise<void> {
    const lines = output[terminal];
    for (const text of expected.map((line) => line.trim())) {
      const pattern = new RegExp(`^\\s*${patternOf(text).source}\\s*$`);
      await until(
        `the ${terminal} terminal shows "${text}"`,
        async () => lines.some((line) => pattern.test(line)),
        STEP_TIMEOUT_MS,
      ).catch((error: Error) => assert.fail(`${error.message}:\n${lines.join("\n")}`));
    }
  }

  async function consoleShows(path: string, text: string): Promise<void> {
    const address = output.second.join("\n").match(/Console\s+(http:\S+)/)?.[1] ?? assert.fail("there is no console");
    const { page } = watched;
    const url = `${address}${path.replace(/\$(\w+)/, (_, name: string) => variables.get(name) ?? assert.fail(`there is no ${name}`))}`;
    if (page.url() !== url) await page.goto(url);
    await page.getByText(patternOf(text)).first().waitFor({ timeout: STEP_TIMEOUT_MS });
  }

  it("works as written", async () => {
    const steps = [...stepsOf(readFileSync(join(ROOT, PAGE), "utf8"))];
    assert.deepEqual([...new Set(steps.map(({ kind }) => kind))], ["run", "shows", "stop", "console shows"]);
    for (const step of steps) {
      if (step.kind === "run") await run(step.command, step.terminal);
      else if (step.kind === "stop") await stop(step.terminal);
      else if (step.kind === "shows") await shows(step.lines, step.terminal);
      else await consoleShows(step.path, step.text);
    }
    assert.deepEqual(watched.troubles, []);
    assert.deepEqual(
      [...running.values()].filter(({ ended }) => ended === undefined),
      [],
    );
  }).timeout(2 * STEP_TIMEOUT_MS);
});
