/** The user data service: returns a user for every name that is long enough. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerUnaryCall } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { User } from "../../functions/src/generated/user/user.js";
import { MockUserDataServiceService } from "../../functions/src/generated/user/user.js";
import type { Running, ServeOptions } from "./serve.js";
import { CallStatus, serve } from "./serve.js";

/** In UTF-8 bytes, like every length here. */
const SHORTEST_NAME = 6;

export interface UserDataOptions extends ServeOptions {
  /** The delay of each reply, which ends early if the caller cancels. */
  delayMilliseconds?: number;
}

/**
 * Starts the user data service.
 * @throws StartError if it can't listen
 */
export async function startUserData(options: UserDataOptions): Promise<Running> {
  const { delayMilliseconds = 0 } = options;
  const answers = {
    getMockUserData: async (call: ServerUnaryCall<{ name: string }, User>) => {
      if (delayMilliseconds > 0) await sleepUntilCancelled(delayMilliseconds, call);
      return userOf(call.request.name);
    },
  };
  const service = { name: "user.MockUserDataService", definition: MockUserDataServiceService };
  return serve("user data", service, answers, options);
}

/**
 * The user with this name.
 * @throws CallStatus INVALID_ARGUMENT for a name that is too short, with the quoted name
 */
export function userOf(name: string): User {
  const length = Buffer.byteLength(name);
  const refuse = (reason: string) => new CallStatus(status.INVALID_ARGUMENT, reason);
  if (length === 0) {
    throw refuse(`The name is missing: it needs at least ${SHORTEST_NAME} characters, counted in UTF-8 bytes`);
  }
  if (length < SHORTEST_NAME) {
    const counted = `it has ${length}, counted in UTF-8 bytes`;
    throw refuse(`The name ${JSON.stringify(name)} is shorter than ${SHORTEST_NAME} characters: ${counted}`);
  }
  return { name, class: String(length), roll: length * 10 };
}

async function sleepUntilCancelled(milliseconds: number, call: ServerUnaryCall<unknown, unknown>): Promise<void> {
  const cancelled = new AbortController();
  call.once("cancelled", () => cancelled.abort());
  await sleep(milliseconds, undefined, { signal: cancelled.signal });
}
