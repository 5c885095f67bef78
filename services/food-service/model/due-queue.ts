/** A queue of items by due time, the earliest first. */
import TinyQueue from "tinyqueue";

export interface Due {
  /** Milliseconds since the epoch. */
  at: number;
  /** Orders items with the same due time, so every run has the same order. */
  number: number;
}

export class DueQueue<T extends Due> {
  private readonly queue = new TinyQueue<T>([], (one, other) => one.at - other.at || one.number - other.number);

  add(item: T): void {
    this.queue.push(item);
  }

  /** Removes and returns the earliest item that is due by `now`, undefined if there is none. */
  take(now: number): T | undefined {
    const first = this.queue.peek();
    return first !== undefined && first.at <= now ? this.queue.pop() : undefined;
  }
}
