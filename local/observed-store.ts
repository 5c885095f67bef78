/** A store that reports its writes, so an embedded run's console can show changes immediately. */
import type { Matching, Query, Snapshot, Store, Write } from "../functions/src/ports.js";

/** The current state of a written document; `found` is undefined if it was deleted. */
export interface Written {
  path: string;
  found: Snapshot | undefined;
}

type Observer = (documents: Written[]) => void;

export class ObservedStore implements Store {
  private readonly observers = new Set<Observer>();

  constructor(private readonly store: Store) {}

  /** Returns a function that ends it. */
  observe(observer: Observer): () => void {
    this.observers.add(observer);
    return () => this.observers.delete(observer);
  }

  read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }> {
    return this.store.read(...paths);
  }

  async commit(writes: Write[]): Promise<string[]> {
    const versions = await this.store.commit(writes);
    if (this.observers.size > 0) void this.report(writes.map(({ path }) => path));
    return versions;
  }

  query(query: Query): Promise<Snapshot[]> {
    return this.store.query(query);
  }

  count(matching: Matching): Promise<number> {
    return this.store.count(matching);
  }

  private async report(paths: string[]): Promise<void> {
    // Ignore a failed read: observers read everything again from time to time.
    const found = await this.store.read(...paths).catch(() => undefined);
    const documents = found?.map((snapshot, index) => ({ path: paths[index] ?? "", found: snapshot })) ?? [];
    for (const observer of this.observers) observer(documents);
  }
}
