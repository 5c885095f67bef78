import assert from "node:assert/strict";
import { callError } from "./domain/errors.js";
import { firstPosition, OrderListing } from "./list-orders.js";
import type { FoodService, Order, OrderPage } from "./ports.js";
import { TEST_SETTINGS } from "./testing/test-bed.js";

type Request = Parameters<FoodService["listOrders"]>[0];

const order = (name: string): Order => ({ name, status: "NEW", customerId: "ada" });
const BEGIN = firstPosition("NEW", TEST_SETTINGS);

/** A listing of a food service that answers like this, and the requests that it makes. */
function listing(answer: (request: Request, count: number) => OrderPage, from: OrderListing["position"] = BEGIN) {
  const requests: Request[] = [];
  const food = {
    listOrders: async (request: Request) => {
      requests.push(request);
      return answer(request, requests.length);
    },
  };
  return { listing: new OrderListing(from, food), requests };
}

async function listAll(orders: OrderListing): Promise<number> {
  let pages = 0;
  while (await orders.next()) pages++;
  return pages;
}

describe("a listing", () => {
  it("asks page by page until there is no other page, and tells where it stands", async () => {
    const from = { status: "PREPARATION", pageToken: "b", pageSize: 7, pages: 3 } as const;
    const { listing: orders, requests } = listing(
      (_, count) => ({ orders: [order(`orders/${count}`)], nextPageToken: count < 2 ? "c" : "" }),
      from,
    );
    assert.deepEqual(await orders.next(), [order("orders/1")]);
    assert.deepEqual(orders.position, { ...from, pageToken: "c", pages: 4 });
    assert.equal(orders.isOver, false);
    assert.deepEqual(await orders.next(), [order("orders/2")]);
    assert.equal(orders.isOver, true);
    assert.equal(await orders.next(), undefined);
    assert.deepEqual(requests, [
      { status: "PREPARATION", pageSize: 7, pageToken: "b" },
      { status: "PREPARATION", pageSize: 7, pageToken: "c" },
    ]);
    assert.equal(orders.problem, undefined);
    assert.deepEqual(
      from,
      { status: "PREPARATION", pageToken: "b", pageSize: 7, pages: 3 },
      "where it began is unchanged",
    );
  });

  it("ends when a page token comes twice", async () => {
    const { listing: orders } = listing((_, count) => ({
      orders: [order(`orders/${count}`)],
      nextPageToken: count % 2 ? "odd" : "even",
    }));
    assert.equal(await listAll(orders), 3);
    assert.deepEqual([orders.problem?.isIncomplete, orders.problem?.code], [true, "PAGE_TOKEN_REPEATED"]);
    assert.match(orders.problem?.message ?? "", /"odd"/);
  });

  it("ends when a page repeats itself", async () => {
    const { listing: orders } = listing(() => ({ orders: [order("orders/1")], nextPageToken: "a" }), {
      ...BEGIN,
      pageToken: "a",
    });
    assert.equal(await listAll(orders), 1);
    assert.equal(orders.problem?.code, "PAGE_TOKEN_REPEATED");
  });

  it("ends after 200 pages in a row without an order that was not listed before", async () => {
    const { listing: orders } = listing((_, count) => ({
      orders: count <= 5 ? [order(`orders/${count}`)] : [order("orders/1")],
      nextPageToken: String(count),
    }));
    assert.equal(await listAll(orders), 205);
    assert.deepEqual([orders.problem?.isIncomplete, orders.problem?.code], [true, "ENDLESS_LIST"]);
    assert.match(orders.problem?.message ?? "", /^200 /);
  });

  it("continues after 199 of them if one contains a new order", async () => {
    const { listing: orders } = listing((_, count) => ({
      orders: count % 200 === 0 ? [order("orders/1"), order(`orders/${count}`)] : [],
      nextPageToken: count < 600 ? String(count) : "",
    }));
    assert.equal(await listAll(orders), 600);
    assert.equal(orders.problem, undefined);
  });

  it("begins at the first page, with the page size that is set", () => {
    assert.deepEqual(BEGIN, { status: "NEW", pageToken: "", pageSize: 500, pages: 0 });
  });

  it("ends after 50,000 pages, those of earlier runs included", async () => {
    const { listing: orders } = listing(
      (_, count) => ({ orders: [order(`orders/${count}`)], nextPageToken: String(count) }),
      { ...BEGIN, pages: 49_990 },
    );
    assert.equal(await listAll(orders), 10);
    assert.deepEqual([orders.problem?.code, orders.problem?.isIncomplete], ["ENDLESS_LIST", true]);
    assert.match(orders.problem?.message ?? "", /50000 pages.*POLL_PAGE_SIZE/);
  });

  for (const [code, sizes] of [
    ["INTERNAL", [500, 125, 31, 7, 1]],
    ["RESOURCE_EXHAUSTED", [500, 125, 31, 7, 1]],
    ["DEADLINE_EXCEEDED", [500, 20, 1]],
  ] as const) {
    it(`asks for a smaller page after ${code}, until there is no smaller one`, async () => {
      const { listing: orders, requests } = listing(() => {
        throw callError(code, "no", true);
      });
      assert.deepEqual(await orders.next(), []);
      const message = `a page of 500 orders can't be read (no); lower POLL_PAGE_SIZE to ${sizes[1]} or less`;
      assert.deepEqual(orders.problem, { isIncomplete: false, code, message });
      await listAll(orders);
      assert.deepEqual(
        requests.map(({ pageSize }) => pageSize),
        sizes,
      );
      assert.deepEqual(orders.problem, { isIncomplete: true, code, message: "no" });
    });
  }

  it("keeps the smaller size for the rest, and the page", async () => {
    const { listing: orders, requests } = listing(({ pageSize }, count) => {
      if (pageSize > 200) throw callError("INTERNAL", "x".repeat(1_000), true);
      return { orders: [order(`orders/${count}`)], nextPageToken: count < 4 ? String(count) : "" };
    });
    await listAll(orders);
    assert.deepEqual(
      requests.map(({ pageSize, pageToken }) => [pageSize, pageToken]),
      [
        [500, ""],
        [125, ""],
        [125, "2"],
        [125, "3"],
      ],
    );
    assert.equal(
      orders.problem?.message,
      `a page of 500 orders can't be read (${"x".repeat(200)}); lower POLL_PAGE_SIZE to 125 or less`,
    );
  });

  for (const [what, error] of [
    ["the service is not there", callError("UNAVAILABLE", "down", true)],
    ["it was cancelled", callError("CANCELLED", "down", true)],
    ["the service does not let us in", callError("UNAUTHENTICATED", "down", true)],
    ["the service forbids it", callError("PERMISSION_DENIED", "down", true)],
    ["the service can't list", callError("UNIMPLEMENTED", "down", true)],
    ["the service does not know the list", callError("NOT_FOUND", "down", true)],
    ["nothing was sent", callError("INTERNAL", "down", false)],
    ["our own code broke", new TypeError("down")],
  ] as const) {
    it(`ends, and asks no more, if ${what}`, async () => {
      const { listing: orders, requests } = listing(() => {
        throw error;
      });
      assert.deepEqual([await orders.next(), await orders.next()], [[], undefined]);
      assert.equal(requests.length, 1);
      assert.deepEqual(orders.problem, {
        isIncomplete: true,
        code: "code" in error ? error.code : "TypeError",
        message: "down",
      });
    });
  }

  it("has a message that logs can take", async () => {
    const { listing: orders } = listing(() => {
      throw callError("UNAVAILABLE", "x".repeat(1_000), true);
    });
    await listAll(orders);
    assert.equal(orders.problem?.message.length, 300);
    const { listing: tokens } = listing(() => ({ orders: [], nextPageToken: "y".repeat(1_000) }), {
      ...BEGIN,
      pageToken: "y".repeat(1_000),
    });
    await listAll(tokens);
    assert.match(tokens.problem?.message ?? "", /[^y]y{100}[^y]/);
  });
});
