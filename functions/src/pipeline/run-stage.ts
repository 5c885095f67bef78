/** How a stage takes a message: parsed first, one log line after, and every failure sorted into retry or drop. */
import { describe, isWorthRetrying, MalformedError } from "../domain/errors.js";
import type { Stage } from "../domain/order-lifecycle.js";
import type { Result } from "../domain/outcome.js";
import type { Ports } from "../ports.js";
import { parseOrderMessage } from "./messages.js";

export type Advance = (order: string, id: string, ports: Ports) => Promise<Result>;

/**
 * Advances the order that a message names.
 * @throws what is worth a retry; what is not is logged and dropped, since the next poll brings the order again
 */
export async function takeMessage(stage: Stage, payload: unknown, advance: Advance, ports: Ports): Promise<void> {
  await logged({ stage }, ports, async (fields) => {
    const { order, id } = parseOrderMessage(payload);
    fields.order = order;
    return advance(order, id, ports);
  });
}

/** What a log line is about: the fields that are the same whatever comes of the work. */
interface About {
  stage: string;
  order?: string;
  /** How long ago what the work reacts to happened, in milliseconds. */
  lag?: number;
}

/**
 * Runs one piece of work and logs what came of it in one line.
 * @throws what is worth a retry
 */
export async function logged(
  about: About,
  { log }: Pick<Ports, "log">,
  work: (fields: About) => Promise<Result>,
): Promise<void> {
  const fields = { ...about };
  try {
    const result = await work(fields);
    const line = { ...fields, ...result };
    if (result.outcome === "moved") log.info(`${fields.stage}: moved to ${result.to}`, line);
    else if (result.outcome === "nothing") log.debug(`${fields.stage}: nothing to do, ${result.reason}`, line);
    else log.warn(`${fields.stage}: ${result.reason}`, line);
  } catch (error) {
    const retry = isWorthRetrying(error);
    const outcome = retry ? "retry" : error instanceof MalformedError ? "quarantined" : "dropped";
    log.error(`${fields.stage}: ${outcome}, ${describe(error).message}`, {
      ...fields,
      outcome,
      reason: describe(error),
    });
    if (retry) throw error;
  }
}
