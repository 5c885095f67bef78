/** Asks orchestrator 1 for one user. */
import { randomUUID } from "node:crypto";
import type { User } from "../../functions/src/generated/user/user.js";
import { Orchestrator1ServiceService } from "../../functions/src/generated/user/user.js";
import { ask, connect } from "./downstream.js";
import type { Security } from "./security.js";

export interface Question {
  name: string;
  /** Where orchestrator 1 listens. */
  server: string;
  deadlineMilliseconds: number;
  /** Appears in the log of every server on the way; a new one where there is none. */
  trace?: string | undefined;
  security: Security;
}

/**
 * The user as orchestrator 1 answers.
 * @throws CallStatus as the data service refused, or UNAVAILABLE where a server on the way can't be reached
 */
export async function askForUser(question: Question): Promise<User> {
  const orchestrator1 = connect("Orchestrator 1", question.server, question.security);
  const context = { trace: question.trace ?? randomUUID(), deadline: Date.now() + question.deadlineMilliseconds };
  try {
    return await ask(orchestrator1, Orchestrator1ServiceService.getUserByName, { name: question.name }, context);
  } finally {
    orchestrator1.client.close();
  }
}
