/** `npm run screenshots`: makes the pictures of the operators' page in docs/images, from a system with orders in every state. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { startBrowser } from "../../harness/browser.js";
import { writeDocuments } from "../../harness/emulators/firestore-rest.js";
import { PASSWORD } from "../../harness/emulators/test-accounts.js";
import { ROOT } from "../../harness/root.js";
import { place, sampleOrders, startDesk, strand, suiteOf } from "./console-fixture.js";

const IMAGES = join(ROOT, "docs", "images");
const DEVICES = { desktop: { width: 1280, height: 820 }, phone: { width: 390, height: 844 } } as const;

async function signIn(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await page.getByLabel("Email").fill("operator@example.com");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("region", { name: /needs? a decision/ }).waitFor();
  // The charts are drawn a moment after the first rows.
  await page.locator(".chart .value").filter({ hasText: /\d/ }).first().waitFor();
}

const system = await startDesk(60);
const browser = await startBrowser();
try {
  mkdirSync(IMAGES, { recursive: true });
  const { firestore, project, hosting } = suiteOf(system);
  const lost = await place(system, "krithik");
  await strand(system, lost, "UNCERTAIN", {
    code: "UNAVAILABLE",
    message: "the connection was reset before an answer came",
  });
  const refused = await place(system, "marguerite");
  await strand(system, refused, "PARKED", {
    code: "RESOURCE_EXHAUSTED",
    message: "the kitchen takes no more orders today",
  });
  const orders = sampleOrders(40, Date.now());
  await writeDocuments(firestore, project, orders);
  const flying = orders.find(({ fields }) => fields.state === "IN_FLIGHT")?.path.slice("relations/".length) ?? "";
  for (const [device, viewport] of Object.entries(DEVICES)) {
    const colorScheme = device === "phone" ? "dark" : "light";
    const context = await browser.newContext({ viewport, colorScheme });
    const page = await context.newPage();
    const shoot = (name: string) => page.screenshot({ path: join(IMAGES, `${name}-${device}.png`) });
    await signIn(page, hosting);
    await shoot("overview");
    await page.goto(`${hosting}/#/orders/${flying}`);
    await page.getByRole("region", { name: "Its way" }).getByText("In flight", { exact: true }).waitFor();
    await page.getByText("Nothing is open.").waitFor();
    await shoot("order");
    await page.goto(`${hosting}/#/orders/${lost}`);
    await page.getByRole("button", { name: "Link", exact: true }).click();
    await page.getByLabel("Reason").fill("It hangs on the kitchen's board since 12:40.");
    await shoot("decision");
    await context.close();
  }
  console.log(`The pictures are in ${IMAGES}`);
} finally {
  await browser.close();
  await system.stop();
}
