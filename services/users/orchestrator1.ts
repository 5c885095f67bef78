/** Orchestrator 1: where clients ask for a user by name. Forwards to orchestrator 2. */
import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { User, UserName } from "../../functions/src/generated/user/user.js";
import { Orchestrator1ServiceService, Orchestrator2ServiceService } from "../../functions/src/generated/user/user.js";
import { ask, callerOf, connect } from "./downstream.js";
import type { Context, Running, ServeOptions } from "./serve.js";
import { serve } from "./serve.js";

export interface Orchestrator1Options extends ServeOptions {
  /** Where orchestrator 2 listens. */
  orchestrator2: string;
}

/**
 * Starts orchestrator 1; orchestrator 2 may come up later.
 * @throws StartError if it can't listen
 */
export async function startOrchestrator1(options: Orchestrator1Options): Promise<Running> {
  const orchestrator2 = connect("Orchestrator 2", options.orchestrator2, options.security);
  const answers = {
    getUserByName: (call: ServerUnaryCall<UserName, User>, context: Context) =>
      ask(
        orchestrator2,
        Orchestrator2ServiceService.getUser,
        { name: call.request.name, class: "", roll: 0 },
        context,
        call,
      ),
  };
  const service = { name: "user.Orchestrator1Service", definition: Orchestrator1ServiceService };
  return callerOf(orchestrator2, await serve("orchestrator 1", service, answers, options));
}
