/**
 * Flow control for calls to the food service: each instance has so many in flight as the service sustains. What finds no
 * slot in time is left as it is, unclaimed, and the next poll brings it again.
 */
import { ConcurrencyLimit } from "./concurrency-limit.js";
import { isCallError, NoSlotError } from "./domain/errors.js";
import type { Clock, FlowControl, FoodService, Slot, SlotKind } from "./ports.js";

/** As few as is safe when all instances start at once in front of a small service. */
const INITIAL_LIMIT = 2;

/** As many events as an instance has at a time, with room for what reacts to relations. */
const MAX_LIMIT = 200;

/** An event's four calls and the waits before them must fit into the time of its function. */
const LONGEST_WAIT_MS = 15_000;

/** Without lists nothing is seen. Then what finishes work: a create follows lookups made for it, a report ends an order's turn. */
const PRIORITY: readonly SlotKind[] = ["list", "create", "update", "lookup"];

/** Failures by which a service says that it has too much to do, or shows it. */
const PUSHBACK_CODES = ["RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"];

interface Waiting {
  until: number;
  grant(slot: Slot | undefined): void;
}

export class AdaptiveFlowControl implements FlowControl {
  private readonly limit: ConcurrencyLimit;
  private inFlight = 0;
  private readonly queues: Record<SlotKind, Waiting[]> = { list: [], create: [], update: [], lookup: [] };
  /** When the queues are looked at again, at the latest. */
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
      const next = this.takeNext();
      if (!next) break;
      this.inFlight++;
      next.grant(this.newSlot());
    }
    this.wakeUp(now);
  }

  private isOver({ until, grant }: Waiting, now: number): boolean {
    if (until > now) return false;
    grant(undefined);
    return true;
  }

  private takeNext(): Waiting | undefined {
    for (const kind of PRIORITY) {
      // After a pushback a lookup goes first: what becomes of a create in front of an overloaded service may stay unknown.
      if (kind === "create" && this.limit.isProbing) continue;
      const next = this.queues[kind].shift();
      if (next) return next;
    }
    return undefined;
  }

  /** Looks at the queues again when a pause is over, or the first wait. */
  private wakeUp(now: number): void {
    const waits = PRIORITY.flatMap((kind) => this.queues[kind][0]?.until ?? []);
    if (waits.length === 0) return;
    const pause = this.limit.pauseAt(now);
    const at = Math.min(...waits, pause > 0 ? now + pause : Number.POSITIVE_INFINITY);
    if (at >= this.wakeAt) return;
    this.wakeAt = at;
    void this.clock.sleep(at - now).then(() => {
      if (this.wakeAt === at) this.wakeAt = Number.POSITIVE_INFINITY;
      this.grantSlots();
    });
  }

  private newSlot(): Slot {
    let isHeld = true;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      this.inFlight--;
      this.grantSlots();
    };
    const run: Slot["run"] = async (method, call) => {
      const [started, inFlight] = [this.clock.now(), this.inFlight];
      try {
        const reply = await call();
        this.noteAnswer(method, started, inFlight);
        return reply;
      } catch (error) {
        if (isCallError(error) && PUSHBACK_CODES.includes(error.code)) this.limit.pushedBack(this.clock.now());
        else if (isCallError(error) && error.sent) this.noteAnswer(method, started, inFlight);
        throw error;
      } finally {
        release();
      }
    };
    return { run, release };
  }

  private noteAnswer(method: string, started: number, inFlight: number): void {
    const now = this.clock.now();
    this.limit.answered(method, Math.max(0, now - started), inFlight, now);
  }
}

/** No limit: every slot is there at once. */
export const NO_FLOW_CONTROL: FlowControl = {
  acquire: async () => ({ run: (_method, call) => call(), release: () => undefined }),
};

/**
 * The same food service, whose calls wait for a slot and throw `NoSlotError` if there is none in time. Creates go at once: their
 * caller holds a slot before it claims.
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
