/// <reference lib="dom" />
/**
 * How soon the console shows something useful after sign-in, how soon all of 5,000 active orders, and how soon a change of one
 * after its write, in the middle of several. Each run is a fresh browser context, once on the Emulator Suite and once on an
 * embedded run: the difference is the emulators' share.
 *
 * Firestore sends a listener the one document that has changed, but its emulator sends all of them again. So the target for a
 * change on the emulators is about the page alone: from the last byte that it receives.
 */
import type { Browser, Page, Route } from "playwright-core";
import { startBrowser } from "../harness/browser.js";
import { PASSWORD } from "../harness/emulators/test-accounts.js";
import { ManyOrders, manyRelation } from "../harness/many-orders.js";
import { SeededConsole } from "../local/seeded-console.js";
import { startSystem } from "../local/system.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, column, difference, figuresOf, medians, summary } from "./measure.js";

const SIZES = { full: { orders: 5_000, changes: 5 }, smoke: { orders: 100, changes: 1 } };

export const consoleBench: Bench = {
  name: "console",
  question: "milliseconds until the console shows something useful, all of 5,000 active orders, and a change of one",
  targets: {
    paintMs: { atMost: 1_000 },
    usableMs: { atMost: 2_000 },
    shownAfterReceiptMs: { atMost: 1_000 },
    embeddedPaintMs: { atMost: 1_000 },
    embeddedShownMs: { atMost: 1_000 },
  },
  labels: {
    paintMs: "first useful paint after sign-in",
    paintOfEmulatorsMs: "of that, the emulators' share",
    usableMs: "all of 5,000 active orders after sign-in",
    shownMs: "change visible after its write",
    shownOfEmulatorsMs: "of that, the emulators' share",
    shownAfterReceiptMs: "of that, after the page has received all that the emulator sends again",
    shownKiB: "what the emulator sends for it, in KiB",
    embeddedPaintMs: "first useful paint, embedded run",
    embeddedShownMs: "change visible after its write, embedded run",
  },
  measure,
};

/** A console to measure. */
interface Side {
  /** Loads the page. Returns what lets it have the data: signing in, or connecting. */
  load(page: Page): Promise<() => Promise<void>>;
  /** Moves the order with this number into flight. */
  fly(index: number): Promise<void>;
  close(page: Page): Promise<void>;
}

async function measure({ world, runs, smoke, say }: BenchContext): Promise<Figures> {
  const { orders, changes } = SIZES[smoke ? "smoke" : "full"];
  const browser = await startBrowser();
  world.onEnd(() => browser.close());
  const sides = { emulators: await onEmulators(orders, world), embedded: await onEmbedded(orders, world) };
  let next = orders - 1;
  const nextInKitchen = () => {
    // One in three flies already.
    if (next % 3 === 0) next--;
    return next--;
  };
  const { emulators, embedded } = await alternate(["emulators", "embedded"], { runs, smoke }, (side) =>
    measureOnce(sides[side], browser, { orders, changes, nextInKitchen }),
  );
  // How much longer it takes with the emulators, run by run.
  const shareOf = (part: "paint" | "shown") => difference(column(emulators, part), column(embedded, part));
  const figures: Figures = {
    ...figuresOf("", emulators, { paintMs: "paint" }),
    paintOfEmulatorsMs: shareOf("paint"),
    ...figuresOf("", emulators, { usableMs: "usable", shownMs: "shown" }),
    shownOfEmulatorsMs: shareOf("shown"),
    ...figuresOf("", emulators, { shownAfterReceiptMs: "shownAfterReceipt", shownKiB: "receivedKiB" }),
    ...figuresOf("embedded", embedded, { PaintMs: "paint", UsableMs: "usable", ShownMs: "shown" }),
  };
  say(`a change: ${medians(figures, "shownMs", "shownAfterReceiptMs", "embeddedShownMs")}`);
  return figures;
}

async function measureOnce(
  side: Side,
  browser: Browser,
  { orders, changes, nextInKitchen }: { orders: number; changes: number; nextInKitchen(): number },
) {
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  const received = await watchReceived(page);
  const start = await side.load(page);
  const began = performance.now();
  await start();
  await page.waitForFunction(() => document.querySelector("[data-status]") !== null, undefined, { polling: "raf" });
  const paint = performance.now() - began;
  await untilShown(page, "1–50 of", orders.toLocaleString("en-US"));
  const usable = performance.now() - began;
  const seen: { shown: number; afterReceipt: number; KiB: number }[] = [];
  for (let change = 0; change < changes; change++) {
    const index = nextInKitchen();
    await page.getByLabel("Filter active orders").fill(`many-${index}`);
    const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: `many-${index}`, exact: true }) });
    await row.getByText("In preparation").waitFor();
    received.bytes = 0;
    const written = performance.now();
    await side.fly(index);
    await untilShown(page, `many-${index}`, "In flight");
    const now = performance.now();
    seen.push({ shown: now - written, afterReceipt: now - received.at, KiB: received.bytes / 1024 });
  }
  await side.close(page);
  await context.close();
  const medianOf = (part: keyof (typeof seen)[number]) => summary(column(seen, part)).median;
  return {
    paint,
    usable,
    shown: medianOf("shown"),
    shownAfterReceipt: medianOf("afterReceipt"),
    receivedKiB: medianOf("KiB"),
  };
}

/** What a page receives over the stream of its documents: how much, and when it came last. */
async function watchReceived(page: Page): Promise<{ bytes: number; at: number }> {
  const received = { bytes: 0, at: 0 };
  const streams = new Set<string>();
  const session = await page.context().newCDPSession(page);
  session.on("Network.requestWillBeSent", ({ requestId, request }) => {
    if (/\/Listen\/|\/events$/.test(request.url)) streams.add(requestId);
  });
  session.on("Network.dataReceived", ({ requestId, dataLength }) => {
    if (!streams.has(requestId)) return;
    received.bytes += dataLength;
    received.at = performance.now();
  });
  await session.send("Network.enable");
  return received;
}

async function onEmulators(orders: number, world: BenchContext["world"]): Promise<Side> {
  const system = await startSystem({
    portsFrom: "auto",
    embedded: false,
    intervals: { pollOrders: 60, sweep: 60 },
    signal: world.signal,
  });
  world.onEnd(() => system.stop());
  const many = await ManyOrders.write(orders, (await world.emulators()).firestore);
  return {
    load: async (page) => {
      await many.showOn(page);
      await page.goto(system.suite?.hosting ?? "");
      await page.getByLabel("Email").fill("operator@example.com");
      await page.getByLabel("Password").fill(PASSWORD);
      return () => page.getByRole("button", { name: "Sign in" }).click();
    },
    fly: (index) => many.fly(index),
    close: async (page) => {
      // The emulator keeps serving listeners of closed pages, and gets slower with each.
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByLabel("Email").waitFor();
    },
  };
}

async function onEmbedded(orders: number, world: BenchContext["world"]): Promise<Side> {
  const now = Date.now();
  const documents = Array.from({ length: orders }, (_, index) =>
    manyRelation(index, index % 3 === 0, now - index * 1_000),
  );
  const served = await SeededConsole.start(documents.map((document) => ({ kind: "create", ...document })));
  world.onEnd(() => served.stop());
  return {
    load: async (page) => {
      const connecting = Promise.withResolvers<Route>();
      await page.route("**/events", (route) => connecting.resolve(route));
      await page.goto(served.address);
      const route = await connecting.promise;
      return () => route.continue();
    },
    fly: async (index) => {
      const { path, fields } = manyRelation(index, true, Date.now());
      await served.set(path, fields);
    },
    close: async () => {},
  };
}

/** Looks at every frame, where Playwright's own waiting looks twice a second after a while. */
async function untilShown(page: Page, ...texts: string[]): Promise<void> {
  const isShown = (wanted: string[]) =>
    [...document.querySelectorAll("tr, .pages")].some((one) => wanted.every((text) => one.textContent?.includes(text)));
  await page.waitForFunction(isShown, texts, { polling: "raf" });
}
