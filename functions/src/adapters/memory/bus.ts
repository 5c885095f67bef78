/** The bus in one process: passes each message to its handler. */

import type { Stage } from "../../domain/order-lifecycle.js";
import type { Bus, OrderMessage, PollContinuation } from "../../ports.js";

export class MemoryBus implements Bus {
  constructor(
    private readonly onOrder: (stage: Stage, payload: OrderMessage) => void,
    private readonly onContinuation: (payload: PollContinuation) => void,
  ) {}

  async publishOrders(stage: Stage, messages: OrderMessage[]): Promise<void> {
    for (const message of messages) this.onOrder(stage, message);
  }

  async publishContinuation(continuation: PollContinuation): Promise<void> {
    this.onContinuation(continuation);
  }
}
