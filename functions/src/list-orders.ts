/** Lists the orders of one status page by page, within bounds: whatever the food service answers, it comes to an end. */
import { isCallError, toErrorInfo } from "./domain/errors.js";
import type { ActiveStatus } from "./domain/order-lifecycle.js";
import type { FoodService, Order } from "./ports.js";
import { SeenNames } from "./seen-names.js";

/** So many pages of one status at most, in one pass. */
const MAX_PAGES = 50_000;

/** So many pages in a row may bring no order that was not listed before. */
const MAX_BARREN_PAGES = 200;

/** Memory for the names of a listing, in bytes as a power of two: 2 MiB. A page of which every name is taken for a seen one is none. */
const NAMES_BYTES_LOG2 = 21;
const BITS_PER_NAME = 4;

/** A smaller page does not help when the service is not there, or does not let us in. */
const NOT_ABOUT_SIZE = [
  "UNAVAILABLE",
  "CANCELLED",
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "UNIMPLEMENTED",
  "NOT_FOUND",
];

/** Where a listing stands. */
export interface ListingPosition {
  status: ActiveStatus;
  pageToken: string;
  pageSize: number;
  /** Pages that were listed so far. */
  pages: number;
}

/** Why a listing ended early or was slow, and what to do about it. */
export interface ListingProblem {
  /** Whether orders of this status may be missing from what was listed. */
  isIncomplete: boolean;
  code: string;
  message: string;
}

export class OrderListing {
  readonly position: ListingPosition;
  /** Undefined if all went well so far. */
  problem: ListingProblem | undefined;
  private readonly tokens = new Set<string>();
  private readonly names = new SeenNames(NAMES_BYTES_LOG2, BITS_PER_NAME, 0);
  private barrenPages = 0;
  /** Whether there is nothing more to list. */
  isOver = false;

  constructor(
    position: ListingPosition,
    private readonly food: Pick<FoodService, "listOrders">,
  ) {
    this.position = { ...position };
  }

  /**
   * Asks for the next page, once: its orders, undefined when the listing is over. A page that can't be read brings no orders, and the next
   * call asks for it with a smaller size: a reply may be larger than a message can be, or take longer than a call may. The smaller
   * size stays for the rest of the listing.
   */
  async next(): Promise<Order[] | undefined> {
    if (this.isOver) return undefined;
    const { status, pageToken, pageSize } = this.position;
    try {
      const page = await this.food.listOrders({ status, pageSize, pageToken });
      this.advance(page.orders, page.nextPageToken);
      return page.orders;
    } catch (error) {
      this.shrink(error);
      return [];
    }
  }

  private advance(orders: Order[], nextPageToken: string): void {
    const { position, names, tokens } = this;
    tokens.add(position.pageToken);
    position.pages++;
    let isBarren = true;
    for (const { name } of orders) if (names.add(name)) isBarren = false;
    this.barrenPages = isBarren ? this.barrenPages + 1 : 0;
    position.pageToken = nextPageToken;
    if (nextPageToken === "") this.isOver = true;
    else if (tokens.has(nextPageToken)) {
      this.end("PAGE_TOKEN_REPEATED", `it gave the page token ${JSON.stringify(nextPageToken.slice(0, 100))} twice`);
    } else if (this.barrenPages >= MAX_BARREN_PAGES) {
      this.end(
        "ENDLESS_LIST",
        `${MAX_BARREN_PAGES} pages in a row brought no new order, and there is another page token`,
      );
    } else if (position.pages >= MAX_PAGES) {
      this.end(
        "ENDLESS_LIST",
        `there are more than ${MAX_PAGES} pages; raise POLL_PAGE_SIZE if there are so many orders`,
      );
    }
  }

  private shrink(error: unknown): void {
    const { code, message } = toErrorInfo(error);
    const { position } = this;
    const isAboutSize = isCallError(error) && error.sent && !NOT_ABOUT_SIZE.includes(code);
    if (!isAboutSize || position.pageSize === 1) {
      this.end(code, message);
      return;
    }
    // A page that takes too long costs a deadline each time: fewer tries, larger steps.
    const step = code === "DEADLINE_EXCEEDED" ? 25 : 4;
    const pageSize = Math.max(1, Math.floor(position.pageSize / step));
    this.problem = {
      isIncomplete: false,
      code,
      message: `a page of ${position.pageSize} orders can't be read (${message.slice(0, 200)}); lower POLL_PAGE_SIZE to ${pageSize} or less`,
    };
    position.pageSize = pageSize;
  }

  private end(code: string, message: string): void {
    this.isOver = true;
    this.problem = { isIncomplete: true, code, message: message.slice(0, 300) };
  }
}
