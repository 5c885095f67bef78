/**
 * A store with very many completed orders, none of which is in memory: each document is made when it is asked for, as an index
 * would find it. Loading a million orders into the emulator takes longer than a test may; what Firestore bills is the
 * documents that a query answers with, and those are the same here. It counts them.
 */
import { orderId } from "../../functions/src/domain/resource-names.js";
import type { Matching, Query, Snapshot, Store, Write } from "../../functions/src/ports.js";
import { closingEntry, linkEntry, linkEntryPath } from "../../functions/src/relations/history.js";

/** The time between two completions, in milliseconds: a million orders are most of a year. */
const SPACING_MS = 30_000;

const MINUTE_MS = 60_000;

/** How many of the orders each customer placed. */
const ORDERS_OF_CUSTOMER = 1_000;

/** Only the links of so many of the latest orders are found by name: an id can't be turned back into what it was made of. */
const NAMED = 100;

export class PastOrders implements Store {
  /** Documents read, as they are billed. */
  reads = 0;
  /** Documents read by each different read, query and count. */
  readonly readsByRequest = new Map<string, number>();
  private readonly named = new Map<string, number>();
  private readonly customers: number;

  /**
   * @param live the documents of active orders
   * @param count how many orders have completed
   * @param now when the last one did, in milliseconds since the epoch
   */
  constructor(
    private readonly live: Store,
    private readonly total: number,
    private readonly now: number,
  ) {
    this.customers = Math.max(1, Math.floor(total / ORDERS_OF_CUSTOMER));
    for (let index = 0; index < Math.min(NAMED, total); index++) {
      this.named.set(linkEntryPath("kitchen", `kitchenorders/past-${index}`), index);
      this.named.set(linkEntryPath("shipment", `shipments/past-${index}`), index);
    }
  }

  async read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }> {
    this.bill(paths, paths.length);
    const live = await this.live.read(...paths);
    return paths.map((path, index) => live[index] ?? this.past(path)) as { [I in keyof P]: Snapshot | undefined };
  }

  commit(writes: Write[]): Promise<string[]> {
    return this.live.commit(writes);
  }

  async query(query: Query): Promise<Snapshot[]> {
    const { limit, after, afterTime, latestBy } = query;
    const timeOf = ({ fields }: Pick<Snapshot, "fields">) => Number(latestBy && fields[latestBy]);
    type Place = Pick<Snapshot, "path" | "fields">;
    const compare = (one: Place, other: Place) =>
      latestBy === undefined
        ? Number(one.path > other.path) - Number(one.path < other.path)
        : timeOf(other) - timeOf(one) || Number(one.path < other.path) - Number(one.path > other.path);
    const last = { path: after ?? "", fields: latestBy && afterTime ? { [latestBy]: afterTime } : {} };
    const found = [...(await this.live.query({ ...query, limit: Number.MAX_SAFE_INTEGER })), ...this.matching(query)]
      .filter((one) => after === undefined || compare(one, last) > 0)
      .sort(compare)
      .slice(0, limit);
    this.bill(query, Math.max(1, found.length));
    return found;
  }

  async count(matching: Matching): Promise<number> {
    const count = (await this.live.count(matching)) + this.matching(matching).length;
    this.bill({ ...matching, isCount: true }, Math.max(1, Math.ceil(count / 1_000)));
    return count;
  }

  private bill(request: object, reads: number): void {
    this.reads += reads;
    this.readsByRequest.set(JSON.stringify(request), reads);
  }

  private matching({ collection, field, oneOf }: Matching): Snapshot[] {
    if (collection === "relations" && field === "customerId") return oneOf.flatMap((id) => this.ofCustomer(id));
    if (collection === "history" && field === "order") return oneOf.flatMap((name) => this.historyOf(name));
    if (collection === "history" && field === "hour") return this.inHours(oneOf);
    if (collection === "relations" && field === "state") {
      // Past orders are completed: a query for open ones finds none of them, and there is no other.
      if (oneOf.includes("DELIVERED")) throw new Error("a query for all completed orders reads all completed orders");
    }
    return [];
  }

  private ofCustomer(customer: string): Snapshot[] {
    const [, number] = /^customer-(\d+)$/.exec(customer) ?? [];
    if (number === undefined || Number(number) >= this.customers) return [];
    const found: Snapshot[] = [];
    for (let index = Number(number); index < this.total; index += this.customers) found.push(this.relation(index));
    return found;
  }

  private historyOf(name: string): Snapshot[] {
    const index = this.indexOf(orderId(name) ?? "");
    return index === undefined ? [] : this.entries(index);
  }

  private inHours(buckets: string[]): Snapshot[] {
    const hours = new Set(buckets.map((bucket) => bucket.slice(0, 13)));
    return [...hours].flatMap((hour) => {
      const end = Date.parse(`${hour}:59:59.999Z`);
      // An order's entries are in at most two hours: its own, and the one before.
      const first = Math.max(0, Math.floor((this.now - end) / SPACING_MS) - 1);
      const found: Snapshot[] = [];
      for (let index = first; index < this.total; index++) {
        if (this.endOf(index) < end - 2 * 3_600_000) break;
        found.push(...this.entries(index).filter(({ fields }) => buckets.includes(String(fields.hour))));
      }
      return found;
    });
  }

  private past(path: string): Snapshot | undefined {
    const named = this.named.get(path);
    if (named !== undefined) return this.entries(named).find((entry) => entry.path === path);
    const [collection, id = ""] = path.split("/");
    const index = collection === "relations" ? this.indexOf(id) : undefined;
    return index === undefined ? undefined : this.relation(index);
  }

  private indexOf(id: string): number | undefined {
    const [, number] = /^past-(\d+)$/.exec(id) ?? [];
    return number !== undefined && Number(number) < this.total ? Number(number) : undefined;
  }

  private endOf(index: number): number {
    return this.now - index * SPACING_MS;
  }

  private relation(index: number): Snapshot {
    const end = this.endOf(index);
    const fields = {
      schema: 1,
      state: "DELIVERED",
      kitchen: `kitchenorders/past-${index}`,
      shipment: `shipments/past-${index}`,
      customerId: `customer-${index % this.customers}`,
      placedAt: new Date(end - 31 * MINUTE_MS),
      times: {
        PREPARATION: new Date(end - 30 * MINUTE_MS),
        IN_FLIGHT: new Date(end - 10 * MINUTE_MS),
        DELIVERED: new Date(end),
      },
    };
    return { path: `relations/past-${index}`, fields, version: "1" };
  }

  private entries(index: number): Snapshot[] {
    const end = this.endOf(index);
    const order = `orders/past-${index}`;
    const writes = [
      linkEntry(order, "kitchen", `kitchenorders/past-${index}`, end - 30 * MINUTE_MS),
      linkEntry(order, "shipment", `shipments/past-${index}`, end - 10 * MINUTE_MS),
      closingEntry(order, "DELIVERED", end),
    ];
    return writes.flatMap((write) =>
      write.kind === "create" ? [{ path: write.path, fields: write.fields, version: "1" }] : [],
    );
  }
}
