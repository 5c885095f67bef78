/** The clock and the randomness of this machine. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock, Randomness } from "../../ports.js";

export const systemClock: Clock = { now: () => Date.now(), sleep: (milliseconds) => sleep(milliseconds) };

export const systemRandomness: Randomness = { uuid: () => randomUUID(), fraction: () => Math.random() };
