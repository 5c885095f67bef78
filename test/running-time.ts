/** Time as this process sees it: on a busy machine it does not run for much of the time, and a limit on that would be a limit on the machine. */

import { setTimeout as sleep } from "node:timers/promises";

const TICK_MS = 20;

export class RunningTime {
  private ticks = 0;
  private readonly counting = setInterval(() => this.ticks++, TICK_MS);

  /** The milliseconds in which this process could run, since this was made. */
  get milliseconds(): number {
    return this.ticks * TICK_MS;
  }

  /** Stops counting, and returns the milliseconds so far. */
  stop(): number {
    clearInterval(this.counting);
    return this.milliseconds;
  }
}

/** Waits until this process has had this many milliseconds to run. */
export async function sleepRunning(milliseconds: number): Promise<void> {
  for (const time = new RunningTime(); ; await sleep(TICK_MS)) {
    if (time.milliseconds < milliseconds) continue;
    time.stop();
    return;
  }
}
