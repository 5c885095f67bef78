/** Requests one user from orchestrator 1. */
import { randomUUID } from "node:crypto";
import type { User } from "../../functions/src/generated/user/user.js";
import { Orchestrator1ServiceService } from "../../functions/src/generated/user/user.js";
import { ask, connect } from "./downstream.js";
import type { Security } from "./security.js";

/** The deadline of a call that only determines why there is no connection. */
const WHY_MILLISECONDS = 500;

export interface Question {
  name: string;
  /** Where orchestrator 1 listens. */
  server: string;
  /** The deadline of the call, once the server is reachable. */
  deadlineMilliseconds: number;
  /** How long to wait for the server. */
  timeoutMilliseconds: number;
  /** Each server logs it; generated if it is missing. */
  trace?: string | undefined;
  security: Security;
}

/**
 * Waits for orchestrator 1 and requests the user from it.
 * @throws CallStatus the data service's error, or UNAVAILABLE if a server of the chain can't be reached
 */
export async function askForUser(question: Question): Promise<User> {
  const orchestrator1 = connect("Orchestrator 1", question.server, question.security);
  const until = Date.now() + question.timeoutMilliseconds;
  try {
    const isReady = await orchestrator1.connection.ready(until).then(
      () => true,
      () => false,
    );
    // If it is not ready, only a call shows why.
    const deadline = Date.now() + (isReady ? question.deadlineMilliseconds : WHY_MILLISECONDS);
    const context = { trace: question.trace ?? randomUUID(), deadline };
    return await ask(orchestrator1, Orchestrator1ServiceService.getUserByName, { name: question.name }, context);
  } finally {
    orchestrator1.connection.close();
  }
}
