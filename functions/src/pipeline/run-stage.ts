/** Runs one piece of work: parses its input, logs one line with the outcome, and decides between retry and drop. */
import { isCallError, isRetryable, NoSlotError, toErrorInfo, ValidationError } from "../domain/errors.js";
import type { Stage } from "../domain/order-lifecycle.js";
import { blocked, type Outcome, skipped } from "../domain/outcome.js";
import type { Ports, WaitingOrder } from "../ports.js";
import { parseOrderMessage } from "./messages.js";

export type StageHandler = (order: WaitingOrder, ports: Ports) => Promise<Outcome>;

/**
 * Advances the order that a message names.
 * @param payload the message's body, not yet parsed
 * @throws RetryableError; every other error is logged and dropped, since the next poll brings the order again
 */
export async function runStage(stage: Stage, payload: unknown, handler: StageHandler, ports: Ports): Promise<void> {
  await withOutcomeLog({ component: stage }, ports, async (context) => {
    const ref = parseOrderMessage(payload);
    context.order = ref.name;
    return leftToPoll(handler(ref, ports));
  });
}

/**
 * The outcome of work that the next poll brings again. If it gets no slot for a call, or a reply about another order, it is not retried.
 */
export async function leftToPoll(work: Promise<Outcome>): Promise<Outcome> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof NoSlotError) return skipped(error.message);
    if (isCallError(error) && error.code === "BAD_REPLY") return blocked(error.message);
    throw error;
  }
}

/** The fields of a log line that don't depend on the outcome. */
interface LogContext {
  /** The source of the line: a stage, or a reaction such as `report`. */
  component: string;
  order?: string;
  /** The age of the event that triggered the work, in milliseconds. */
  lag?: number;
}

/**
 * Runs one piece of work and logs its outcome in one line.
 * @throws RetryableError
 */
export async function withOutcomeLog(
  initial: LogContext,
  { log }: Pick<Ports, "log">,
  work: (context: LogContext) => Promise<Outcome>,
): Promise<void> {
  const context = { ...initial };
  try {
    const result = await work(context);
    const fields = { ...context, ...result };
    if (result.outcome === "advanced") log.info(`${context.component}: advanced to ${result.to}`, fields);
    else if (result.outcome === "reported") log.info(`${context.component}: reported ${result.to}`, fields);
    else if (result.outcome === "skipped") log.debug(`${context.component}: skipped, ${result.reason}`, fields);
    else log.warn(`${context.component}: blocked, ${result.reason}`, fields);
  } catch (error) {
    const willRetry = isRetryable(error);
    const outcome = willRetry ? "retry" : error instanceof ValidationError ? "quarantined" : "dropped";
    const reason = toErrorInfo(error);
    log.error(`${context.component}: ${outcome}, ${reason.message}`, { ...context, outcome, reason });
    if (willRetry) throw error;
  }
}
