/** Asks orchestrator 1 for one user. */
import { randomUUID } from "node:crypto";
import type { User } from "../../functions/src/generated/user/user.js";
import { Orchestrator1ServiceService } from "../../functions/src/generated/user/user.js";
import { ask, connect } from "./downstream.js";
import type { Security } from "./security.js";

/** How long a call may take that only finds out why there is no connection. */
const WHY_MILLISECONDS = 500;

export interface Question {
  name: string;
  /** Where orchestrator 1 listens. */
  server: string;
  /** For the answer, once the server is reachable. */
  deadlineMilliseconds: number;
  /** For the server to be reachable. */
  timeoutMilliseconds: number;
  /** Appears in the log of every server on the way; a new one is made if it is missing. */
  trace?: string | undefined;
  security: Security;
}

/**
 * Waits for orchestrator 1 and asks it. The user is as orchestrator 1 answers.
 * @throws CallStatus as the data service refused, or UNAVAILABLE if a server on the way can't be reached
 */
export async function askForUser(question: Question): Promise<User> {
  const orchestrator1 = connect("Orchestrator 1", question.server, question.security);
  const until = Date.now() + question.timeoutMilliseconds;
  try {
    const isReady = await orchestrator1.connection.ready(until).then(
      () => true,
      () => false,
    );
    // If it is not ready, only a call tells why.
    const deadline = Date.now() + (isReady ? question.deadlineMilliseconds : WHY_MILLISECONDS);
    const context = { trace: question.trace ?? randomUUID(), deadline };
    return await ask(orchestrator1, Orchestrator1ServiceService.getUserByName, { name: question.name }, context);
  } finally {
    orchestrator1.connection.close();
  }
}
