/// <reference lib="dom" />
/**
 * How soon the operator console is usable after sign-in with 5,000 open orders, and how soon a change of one shows after its
 * write, in the middle of several. Each run is a fresh browser context.
 */
import type { Page } from "playwright-core";
import { startBrowser } from "../harness/browser.js";
import { PASSWORD } from "../harness/emulators/test-accounts.js";
import { ManyOrders } from "../harness/many-orders.js";
import { startSystem } from "../local/system.js";
import type { Bench, Figures, Given } from "./bench.js";
import { alternate, summary } from "./measure.js";

const SIZES = { full: { orders: 5_000, changes: 5 }, tiny: { orders: 100, changes: 1 } };

export const consoleBench: Bench = {
  name: "console",
  question: "milliseconds until the console is usable with 5,000 open orders, and until a change of one shows",
  targets: { usableMs: { atMost: 2_000 }, shownMs: { atMost: 1_000 } },
  measure,
};

async function measure({ world, runs, tiny, say }: Given): Promise<Figures> {
  const { orders, changes } = SIZES[tiny ? "tiny" : "full"];
  const system = await startSystem({
    portsFrom: "auto",
    embedded: false,
    intervals: { pollOrders: 60, sweep: 60 },
    signal: world.signal,
  });
  world.onEnd(() => system.stop());
  const browser = await startBrowser();
  world.onEnd(() => browser.close());
  const many = await ManyOrders.write(orders, (await world.emulators()).firestore);
  let next = orders - 1;

  const { console: all } = await alternate(["console"], runs, async () => {
    const context = await browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    await many.showOn(page);
    await page.goto(system.suite?.hosting ?? "");
    await page.getByLabel("Email").fill("operator@example.com");
    await page.getByLabel("Password").fill(PASSWORD);
    const signed = performance.now();
    await page.getByRole("button", { name: "Sign in" }).click();
    await untilShown(page, "1–50 of", orders.toLocaleString("en-US"));
    const usable = performance.now() - signed;
    const times: number[] = [];
    for (let change = 0; change < changes; change++) {
      // One in three flies already.
      if (next % 3 === 0) next--;
      const index = next--;
      await page.getByLabel("Search").fill(`many-${index}`);
      const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: `many-${index}`, exact: true }) });
      await row.getByText("In the kitchen").waitFor();
      const written = performance.now();
      await many.fly(index);
      await untilShown(page, `many-${index}`, "In flight");
      times.push(performance.now() - written);
    }
    // The emulator goes on with listeners whose page is merely gone, and gets slower by each.
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Email").waitFor();
    await context.close();
    return { usable, shown: summary(times).median };
  });
  const figures = {
    usableMs: summary(all.map(({ usable }) => usable)),
    shownMs: summary(all.map(({ shown }) => shown)),
  };
  say(`usable after ${figures.usableMs.median} ms, a change shown after ${figures.shownMs.median} ms`);
  return figures;
}

/** Looks at every frame, where Playwright's own waiting looks twice a second after a while. */
async function untilShown(page: Page, ...texts: string[]): Promise<void> {
  const isShown = (wanted: string[]) =>
    [...document.querySelectorAll("tr, .pages")].some((one) => wanted.every((text) => one.textContent?.includes(text)));
  await page.waitForFunction(isShown, texts, { polling: "raf" });
}
