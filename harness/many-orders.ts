/** Thousands of active orders for the operator console, and a change of one of them. */
import type { Page } from "playwright-core";
import { type Document, writeDocuments } from "./emulators/firestore-rest.js";
import { PROJECT } from "./emulators/suite.js";

/** Relations in a Firestore emulator of their own: in the Emulator Suite's, each would call functions. */
export class ManyOrders {
  private constructor(private readonly firestore: string) {}

  /** Writes so many orders into the Firestore emulator at this host:port. */
  static async write(count: number, firestore: string): Promise<ManyOrders> {
    const now = Date.now();
    const documents = Array.from({ length: count }, (_, index) =>
      manyRelation(index, index % 3 === 0, now - index * 1_000),
    );
    await writeDocuments(firestore, PROJECT, documents);
    return new ManyOrders(firestore);
  }

  /** Shows them on a page. Its context must bypass the page's CSP, which allows only the suite's emulator. */
  async showOn(page: Page): Promise<void> {
    await page.route("**/emulators.json", async (route) => {
      const there = (await (await route.fetch({ timeout: 0 })).json()) as object;
      const [host, port] = this.firestore.split(":");
      await route.fulfill({ json: { ...there, firestore: { host, port: Number(port) } } });
    });
  }

  /** Moves one of them from the kitchen into flight. */
  async fly(index: number): Promise<void> {
    await writeDocuments(this.firestore, PROJECT, [manyRelation(index, true, Date.now())]);
  }
}

/** The relation of the order with this number, in the kitchen or in flight since this time. */
export function manyRelation(index: number, flies: boolean, since: number): Document {
  const state = flies ? "IN_FLIGHT" : "PREPARATION";
  const links = { kitchen: `kitchenorders/many-${index}`, ...(flies && { shipment: `shipments/many-${index}` }) };
  const fields = { schema: 1, state, ...links, customerId: `customer-${index}`, times: { [state]: new Date(since) } };
  return { path: `relations/many-${index}`, fields };
}
