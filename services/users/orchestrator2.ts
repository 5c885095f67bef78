/** Orchestrator 2: takes a user of whom only the name is set, and asks the user data service for the rest. */
import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { User } from "../../functions/src/generated/user/user.js";
import { MockUserDataServiceService, Orchestrator2ServiceService } from "../../functions/src/generated/user/user.js";
import { ask, callerOf, connect } from "./downstream.js";
import type { Context, Running, ServeOptions } from "./serve.js";
import { serve } from "./serve.js";

export interface Orchestrator2Options extends ServeOptions {
  /** Where the user data service listens. */
  data: string;
}

/**
 * Starts orchestrator 2; the user data service may come up later.
 * @throws StartError if it can't listen
 */
export async function startOrchestrator2(options: Orchestrator2Options): Promise<Running> {
  const data = connect("User data", options.data, options.security);
  const answers = {
    getUser: (call: ServerUnaryCall<User, User>, context: Context) =>
      ask(data, MockUserDataServiceService.getMockUserData, { name: call.request.name }, context, call),
  };
  const service = { name: "user.Orchestrator2Service", definition: Orchestrator2ServiceService };
  return callerOf(data, await serve("orchestrator 2", service, answers, options));
}
