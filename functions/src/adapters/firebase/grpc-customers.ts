/** The user orchestrators over gRPC. */
import { Orchestrator1ServiceService as orchestrator1 } from "../../generated/user/user.js";
import type { Clock, Customers, User } from "../../ports.js";
import type { Settings } from "../../settings.js";
import { GrpcChannel } from "./grpc-channel.js";

export class GrpcCustomers implements Customers {
  private readonly channel: GrpcChannel;

  constructor(settings: Settings, clock: Clock) {
    const target = {
      name: "orchestrator 1",
      address: settings.USERS_ADDRESS,
      security: settings.USERS_SECURITY,
      trust: "system" as const,
      options: { trust: "a public authority", client: "no option: user orchestrators get none" },
      idempotentMethods: [orchestrator1.getUserByName],
      timeoutMs: settings.CALL_DEADLINE_SECONDS * 1000,
    };
    this.channel = new GrpcChannel(target, clock);
  }

  userByName(name: string): Promise<User> {
    return this.channel.call(orchestrator1.getUserByName, { name });
  }

  close(): void {
    this.channel.close();
  }
}
