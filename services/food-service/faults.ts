/** Faults between a caller and the food service: load, delays, failures and lost replies. */
import { setTimeout as sleep } from "node:timers/promises";
import { callError } from "../../functions/src/domain/errors.js";
import type { Randomness } from "../../functions/src/ports.js";

interface Faults {
  /** Methods, such as GetKitchenOrder, that are always UNAVAILABLE. */
  unavailable: string[];
  /** The share of calls that fail before they are applied, from 0 to 1. */
  failures: number;
  /** The share of calls that are applied and then fail, from 0 to 1. */
  lostAnswers: number;
  /** Methods that are always applied and then fail. */
  loseAnswersOf: string[];
  /** The maximum delay of a call, in milliseconds: half of it before, half after it is applied. */
  delay: number;
}

/** Runs a call of a method with these faults. The error does not reveal whether the call was applied. */
export async function withFaults<T>(
  faults: Faults,
  random: Randomness,
  method: string,
  apply: () => Promise<T>,
): Promise<T> {
  const [fails, loses] = [random.fraction() < faults.failures, random.fraction() < faults.lostAnswers];
  const [before, after] = [random.fraction(), random.fraction()].map((share) => (share * faults.delay) / 2);
  const failure = () => callError("UNAVAILABLE", "the food service aborted the call", true);
  if (faults.delay > 0) await sleep(before);
  if (fails || faults.unavailable.includes(method)) throw failure();
  const answer = await apply();
  if (faults.delay > 0) await sleep(after);
  if (loses || faults.loseAnswersOf.includes(method)) throw failure();
  return answer;
}

interface Load {
  /** How long each call takes, in milliseconds. */
  callTime: number;
  /** The maximum of calls started per second; others wait. */
  callsPerSecond: number;
}

/** Runs calls like a service with limited capacity: a call is applied when it starts, and answered after its duration. */
export function underLoad({ callTime, callsPerSecond }: Load): <T>(apply: () => Promise<T>) => Promise<T> {
  let freeAt = 0;
  return async (apply) => {
    const now = performance.now();
    const beginsAt = Math.max(now, freeAt);
    freeAt = beginsAt + 1_000 / callsPerSecond;
    if (beginsAt > now) await sleep(beginsAt - now);
    const reply = await apply();
    if (callTime > 0) await sleep(callTime);
    return reply;
  };
}

/** Rejects calls above a number per second, before they are applied. */
export function withRateLimit(callsPerSecond: number): <T>(apply: () => Promise<T>) => Promise<T> {
  let [second, count] = [0, 0];
  return async (apply) => {
    const now = Math.floor(performance.now() / 1_000);
    if (now !== second) [second, count] = [now, 0];
    if (++count > callsPerSecond) throw callError("RESOURCE_EXHAUSTED", "too many calls in a second", true);
    return apply();
  };
}
