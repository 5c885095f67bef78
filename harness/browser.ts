/** Chromium, driven by Playwright. Requests to other machines are blocked and recorded. */
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { MissingError } from "./missing-programs.js";
import { chromiumHere } from "./prepare-machine.js";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Starts the browser.
 * @param debuggingPort where another program may drive it too
 * @throws MissingError that says what to install if there is none
 */
export async function startBrowser(debuggingPort?: number): Promise<Browser> {
  const executablePath = chromiumHere();
  if (!executablePath) throw new MissingError(["chromium"]);
  const args = debuggingPort === undefined ? FLAGS : [...FLAGS, `--remote-debugging-port=${debuggingPort}`];
  return chromium.launch({ executablePath, args, headless: true });
}

/** How long to wait for a page's contents. On a busy machine, a function's first start takes a minute. */
const PAGE_TIMEOUT_MS = 240_000;

/** A page, with its invisible errors. */
export interface Watched {
  page: Page;
  context: BrowserContext;
  /** Requests to other machines, violations of the content security policy, and uncaught errors. */
  troubles: string[];
}

export async function openPage(browser: Browser, options: Parameters<Browser["newContext"]>[0] = {}): Promise<Watched> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PAGE_TIMEOUT_MS);
  const troubles: string[] = [];
  page.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url());
    const isHere = ["127.0.0.1", "localhost"].includes(hostname) || ["data:", "blob:"].includes(protocol);
    if (!isHere) troubles.push(`a request to ${hostname}`);
  });
  page.on("pageerror", (error) => troubles.push(`an error: ${error.message}`));
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) troubles.push(message.text());
  });
  return { page, context, troubles };
}
