/** `npm run screenshots`: makes the pictures of the console in docs/images, each view on a desktop in light and on a phone in dark. */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { startBrowser } from "../../harness/browser.js";
import { ROOT } from "../../harness/root.js";
import { SeededConsole } from "../../local/seeded-console.js";
import { type SampleDay, sampleDay } from "./sample-day.js";

const IMAGES = process.argv[2] ?? join(ROOT, "docs", "images");

const DEVICES = {
  desktop: { viewport: { width: 1280, height: 860 }, colorScheme: "light" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "dark" },
} as const;

interface Picture {
  address(day: SampleDay): string;
  /** Opens what the picture shows. */
  prepare?(page: Page, day: SampleDay): Promise<void>;
  fullPage?: boolean;
}

const PICTURES: { [name: string]: Picture } = {
  overview: { address: () => "/" },
  attention: {
    address: () => "/attention",
    prepare: async (page) =>
      page
        .getByRole("checkbox", { name: /^Select all/ })
        .first()
        .check(),
  },
  orders: { address: ({ delivered }) => `/orders?q=${delivered.customer}` },
  order: { address: ({ delivered }) => `/orders/${delivered.id}` },
  attempt: { address: ({ uncertain }) => `/orders/${uncertain}` },
  decision: {
    address: ({ uncertain }) => `/orders/${uncertain}`,
    prepare: async (page) => {
      await page.getByRole("button", { name: "Link existing…" }).click();
      await page.getByLabel("Name").fill("kitchenorders/4f1c2a86-5a0e-4f7b-9a53-1f6f2c1d8e10");
      await page.getByLabel("Reason").fill("On the kitchen's screen since 12:40.");
    },
  },
  flow: { address: () => "/flow", fullPage: true },
};

const day = sampleDay(Date.now());
const served = await SeededConsole.start(day.writes);
served.bed.food.orders.set(`orders/${day.uncertain}`, {
  name: `orders/${day.uncertain}`,
  customerId: "krithik",
  status: "NEW",
});
const browser = await startBrowser();
try {
  mkdirSync(IMAGES, { recursive: true });
  for (const file of readdirSync(IMAGES)) if (file.endsWith(".png")) rmSync(join(IMAGES, file));
  for (const [device, options] of Object.entries(DEVICES)) {
    const context = await browser.newContext({ ...options, reducedMotion: "reduce", locale: "en-GB" });
    const page = await context.newPage();
    for (const [name, { address, prepare, fullPage = false }] of Object.entries(PICTURES)) {
      await page.goto(served.address + address(day));
      await page.getByText("Loading…").first().waitFor({ state: "hidden" });
      await prepare?.(page, day);
      await page.waitForLoadState("networkidle", { timeout: 1_000 }).catch(() => undefined);
      await page.screenshot({ path: join(IMAGES, `${name}-${device}.png`), fullPage });
    }
    await context.close();
  }
  console.log(`The pictures are in ${IMAGES}`);
} finally {
  await browser.close();
  await served.stop();
}
