/**
 * Flow control for calls to the food service: each instance limits its calls in flight and per second to what the service sustains.
 * Work that gets no slot in time stays unclaimed, and the next poll brings it again.
 */
import { CallRate } from "./call-rate.js";
import { ConcurrencyLimit } from "./concurrency-limit.js";
import { type CallError, isCallError, NoSlotError } from "./domain/errors.js";
import type { Clock, FlowControl, FoodService, Slot, SlotKind } from "./ports.js";

/** Low enough for all instances to start at once in front of a small service. */
const INITIAL_LIMIT = 2;

/** As many events as an instance handles at a time, with room for the reactions to relations. */
const MAX_LIMIT = 200;

/** The maximum wait. An event's four calls and the waits before them must fit into its function's timeout. */
const LONGEST_WAIT_MS = 15_000;

/** Lists first, since everything depends on them. Then calls that finish work: creates, whose lookups are done, and reports. */
const PRIORITY: readonly SlotKind[] = ["list", "create", "update", "lookup"];

/** The codes that say or suggest that a service is overloaded. */
const PUSHBACK_CODES = ["RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"];

interface Waiting {
  until: number;
  grant(slot: Slot | undefined): void;
}

export class AdaptiveFlowControl implements FlowControl {
  private readonly limit: ConcurrencyLimit;
  private readonly rate = new CallRate();
  private pushbacks = 0;
  private inFlight = 0;
  private readonly queues: Record<SlotKind, Waiting[]> = { list: [], create: [], update: [], lookup: [] };
  /** When the queues are checked again at the latest, in milliseconds since the epoch. */
  private wakeAt = Number.POSITIVE_INFINITY;
  private readonly maxWaitMs: number;

  constructor(
    private readonly clock: Clock,
    { CALL_DEADLINE_SECONDS }: { CALL_DEADLINE_SECONDS: number },
  ) {
    const deadlineMs = CALL_DEADLINE_SECONDS * 1000;
    this.limit = new ConcurrencyLimit({ deadlineMs, initial: INITIAL_LIMIT, max: MAX_LIMIT });
    this.maxWaitMs = Math.min(2 * deadlineMs, LONGEST_WAIT_MS);
  }

  acquire(kind: SlotKind): Promise<Slot | undefined> {
    return new Promise((resolve) => {
      this.queues[kind].push({ until: this.clock.now() + this.maxWaitMs, grant: resolve });
      this.grantSlots();
    });
  }

  private grantSlots(): void {
    const now = this.clock.now();
    for (const kind of PRIORITY) this.queues[kind] = this.queues[kind].filter((waiting) => !this.isOver(waiting, now));
    while (this.limit.pauseAt(now) === 0 && this.inFlight < this.limit.inFlight) {
      const next = this.takeNext(now);
      if (!next) break;
      this.inFlight++;
      next.waiting.grant(this.newSlot(next.kind, this.rate.start(now)));
    }
    this.wakeUp(now);
  }

  private isOver({ until, grant }: Waiting, now: number): boolean {
    if (until > now) return false;
    grant(undefined);
    return true;
  }

  private takeNext(now: number): { kind: SlotKind; waiting: Waiting } | undefined {
    for (const kind of PRIORITY) {
      // After a pushback, send a lookup first: an overloaded service may leave a create's outcome unknown.
      if (kind === "create" && this.limit.isProbing) continue;
      if (this.rate.waitMs(kind === "create", now) > 0) continue;
      const waiting = this.queues[kind].shift();
      if (waiting) return { kind, waiting };
    }
    return undefined;
  }

  /** Checks the queues again when a pause ends, when the rate allows another call, or when the first wait times out. */
  private wakeUp(now: number): void {
    const waiting = PRIORITY.filter((kind) => this.queues[kind].length > 0);
    if (waiting.length === 0) return;
    const pauses = [this.limit.pauseAt(now), ...waiting.map((kind) => this.rate.waitMs(kind === "create", now))];
    const nextPause = Math.min(...pauses.filter((pause) => pause > 0));
    const at = Math.min(...waiting.flatMap((kind) => this.queues[kind][0]?.until ?? []), now + nextPause);
    if (at >= this.wakeAt) return;
    this.wakeAt = at;
    void this.clock.sleep(at - now).then(() => {
      if (this.wakeAt === at) this.wakeAt = Number.POSITIVE_INFINITY;
      this.grantSlots();
    });
  }

  /** @param count the number of calls in the rate's window that ends with this one */
  private newSlot(kind: SlotKind, count: number): Slot {
    let isHeld = true;
    const { pushbacks } = this;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      this.inFlight--;
      this.grantSlots();
    };
    const run: Slot["run"] = async (method, call) => {
      const [started, inFlight] = [this.clock.now(), this.inFlight];
      const noteAnswer = () => {
        const now = this.clock.now();
        this.limit.answered(method, Math.max(0, now - started), inFlight, now);
        this.rate.accept(kind === "create", count, now);
      };
      try {
        // A create commits its claim between its slot and its call.
        const isLate = pushbacks !== this.pushbacks || !this.rate.maySendCreate(started);
        if (kind === "create" && isLate) throw new NoSlotError(method);
        const reply = await call();
        noteAnswer();
        return reply;
      } catch (error) {
        if (isCallError(error) && isPushback(error)) this.pushedBack(error);
        else if (isCallError(error) && error.sent) noteAnswer();
        throw error;
      } finally {
        release();
      }
    };
    return { run, release };
  }

  private pushedBack({ code }: CallError): void {
    this.pushbacks++;
    const now = this.clock.now();
    this.limit.pushedBack(now);
    if (code === "RESOURCE_EXHAUSTED") this.rate.reject(now);
  }
}

/** Whether an error says or suggests that the service is overloaded. A message that is too large has the same code but another cause. */
function isPushback({ code, message }: CallError): boolean {
  return PUSHBACK_CODES.includes(code) && !/message.*(larger than|exceeds)/i.test(message);
}

/** No limit: every slot is available immediately. */
export const NO_FLOW_CONTROL: FlowControl = {
  acquire: async () => ({ run: (_method, call) => call(), release: () => undefined }),
};

/**
 * The same food service, whose calls wait for a slot and throw `NoSlotError` if they get none in time. Creates don't wait: their
 * caller acquires a slot before it claims.
 */
export function withFlowControl(food: FoodService, flow: FlowControl): FoodService {
  const inSlot = async <T>(kind: SlotKind, method: string, call: () => Promise<T>): Promise<T> => {
    const slot = await flow.acquire(kind);
    if (!slot) throw new NoSlotError(method);
    return slot.run(method, call);
  };
  return {
    ready: () => food.ready(),
    listOrders: (request) => inSlot("list", "listOrders", () => food.listOrders(request)),
    getOrder: (name) => inSlot("lookup", "getOrder", () => food.getOrder(name)),
    updateOrder: (name, status) => inSlot("update", "updateOrder", () => food.updateOrder(name, status)),
    createKitchenOrder: (options) => food.createKitchenOrder(options),
    getKitchenOrder: (name) => inSlot("lookup", "getKitchenOrder", () => food.getKitchenOrder(name)),
    createShipment: (options) => food.createShipment(options),
    getShipment: (name) => inSlot("lookup", "getShipment", () => food.getShipment(name)),
  };
}
