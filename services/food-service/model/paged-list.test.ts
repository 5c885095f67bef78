import assert from "node:assert/strict";
import { PagedList } from "./paged-list.js";

describe("PagedList", () => {
  it("continues after a removed item, even once its place is cleared", () => {
    const list = new PagedList<number>();
    const places = Array.from({ length: 1000 }, (_, item) => list.add(item));
    const { items, next } = list.page(0, 400);
    assert.deepEqual([items.length, next], [400, 400]);
    for (const place of places.slice(0, 900)) list.remove(place);
    assert.deepEqual(
      list.page(400, 400).items,
      places.slice(900).map(({ item }) => item),
    );
  });

  it("returns no next page if everything after it was removed", () => {
    const list = new PagedList<string>();
    list.add("a");
    const last = list.add("b");
    assert.deepEqual(list.page(0, 1), { items: ["a"], next: 1 });
    list.remove(last);
    assert.deepEqual(list.page(0, 1), { items: ["a"], next: undefined });
  });
});
