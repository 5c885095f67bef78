/** What is due at a moment to come, the earliest first: a binary heap. */

export interface Due {
  /** Milliseconds since the epoch. */
  at: number;
  /** Decides between two of the same moment, so that every run takes them in the same order. */
  number: number;
}

export class DueQueue<T extends Due> {
  private readonly heap: T[] = [];

  add(item: T): void {
    const { heap } = this;
    let place = heap.length;
    for (let parent: number; place > 0; place = parent) {
      parent = (place - 1) >> 1;
      const above = heap[parent] as T;
      if (!isBefore(item, above)) break;
      heap[place] = above;
    }
    heap[place] = item;
  }

  /** Takes out the earliest that is due by `now`, undefined where nothing is. */
  take(now: number): T | undefined {
    const { heap } = this;
    const [first] = heap;
    if (first === undefined || first.at > now) return undefined;
    const last = heap.pop() as T;
    if (heap.length > 0) this.sink(last);
    return first;
  }

  /** Puts the item at the top and moves it down to where it belongs. */
  private sink(item: T): void {
    const { heap } = this;
    let place = 0;
    for (;;) {
      const left = heap[2 * place + 1];
      const right = heap[2 * place + 2];
      const rightFirst = left !== undefined && right !== undefined && isBefore(right, left);
      const below = rightFirst ? right : left;
      if (below === undefined || isBefore(item, below)) break;
      heap[place] = below;
      place = 2 * place + (rightFirst ? 2 : 1);
    }
    heap[place] = item;
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.at < other.at || (one.at === other.at && one.number < other.number);
}
