/** Lists the orders of one status page by page, with limits: it ends whatever the food service replies. */
import { isCallError, toErrorInfo } from "./domain/errors.js";
import type { ActiveStatus } from "./domain/order-lifecycle.js";
import type { FoodService, Order } from "./ports.js";
import { SeenNames } from "./seen-names.js";
import type { Settings } from "./settings.js";

/** The maximum of pages of one status in one pass. */
const MAX_PAGES = 50_000;

/** The maximum of consecutive pages without a new order. */
const MAX_BARREN_PAGES = 200;

/** The memory for the names of a listing, as a power of two in bytes: 2 MiB. A page with only seen names counts as one without a new order. */
const NAMES_BYTES_LOG2 = 21;

/** A smaller page does not help if the service is unavailable or rejects us. */
const NOT_ABOUT_SIZE = [
  "UNAVAILABLE",
  "CANCELLED",
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "UNIMPLEMENTED",
  "NOT_FOUND",
];

/** The state of a listing. */
export interface ListingPosition {
  status: ActiveStatus;
  pageToken: string;
  pageSize: number;
  /** The number of pages listed so far. */
  pages: number;
}

/** Where a listing of one status begins. */
export function firstPosition(status: ActiveStatus, { POLL_PAGE_SIZE: pageSize }: Settings): ListingPosition {
  return { status, pageToken: "", pageSize, pages: 0 };
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
  private readonly names = new SeenNames(NAMES_BYTES_LOG2);
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
   * Requests the next page once. Returns its orders, or undefined at the end of the listing. If a page can't be read, it returns no orders
   * and the next call requests the page with a smaller size: a reply may exceed the maximum message size or the deadline. The smaller
   * size applies to the rest of the listing.
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
      this.end(
        "PAGE_TOKEN_REPEATED",
        `it returned the page token ${JSON.stringify(nextPageToken.slice(0, 100))} twice`,
      );
    } else if (this.barrenPages >= MAX_BARREN_PAGES) {
      this.end(
        "ENDLESS_LIST",
        `${MAX_BARREN_PAGES} consecutive pages had no new order, and there is another page token`,
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
    // Each page that times out costs a deadline, so take fewer and larger steps.
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
