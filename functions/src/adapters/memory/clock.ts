/** A clock that moves only on request or when code sleeps on it: no real time passes. */
import type { Clock } from "../../ports.js";

export class ManualClock implements Clock {
  /** @param time milliseconds since the epoch */
  constructor(private time = Date.UTC(2026, 0, 1)) {}

  now(): number {
    return this.time;
  }

  async sleep(milliseconds: number): Promise<void> {
    this.advance(milliseconds);
  }

  advance(milliseconds: number): void {
    this.time += milliseconds;
  }
}
