/** A list that is read page by page while items are added and removed. The cost of reading does not depend on removed items. */

/** An item's place in a list. */
export interface Place<T> {
  readonly item: T;
  /** Increases and is never reused, so a page can start after a removed place. */
  readonly number: number;
  gone: boolean;
}

/** The minimum of removed places that are worth clearing. */
const SPARE = 64;

export class PagedList<T> {
  private places: Place<T>[] = [];
  private taken = 0;
  private gone = 0;

  /** How many places were ever assigned; every place's number is below. */
  get length(): number {
    return this.taken;
  }

  add(item: T): Place<T> {
    const place = { item, number: this.taken++, gone: false };
    this.places.push(place);
    return place;
  }

  remove(place: Place<T>): void {
    place.gone = true;
    this.gone++;
    if (this.gone <= SPARE || this.gone * 2 <= this.places.length) return;
    this.places = this.places.filter((each) => !each.gone);
    this.gone = 0;
  }

  /** Up to `size` items from the place with this number on, and the number to continue from if there are more. */
  page(from: number, size: number): { items: T[]; next: number | undefined } {
    const items: T[] = [];
    for (let index = this.indexOf(from); index < this.places.length; index++) {
      const place = this.places[index] as Place<T>;
      if (place.gone) continue;
      if (items.length === size) return { items, next: place.number };
      items.push(place.item);
    }
    return { items, next: undefined };
  }

  /** The index of the first place with this number or a greater one, by binary search. */
  private indexOf(number: number): number {
    let low = 0;
    let high = this.places.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.places[middle] as Place<T>).number < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
