/** The user orchestrators of a run: all three in this process, on ports of the system's choice. */
import { startUserData } from "../services/users/data.js";
import { lineLog } from "../services/users/log.js";
import { startOrchestrator1 } from "../services/users/orchestrator1.js";
import { startOrchestrator2 } from "../services/users/orchestrator2.js";

export interface Users {
  /** Of orchestrator 1, as host:port. */
  address: string;
  stop(): Promise<void>;
}

/** Starts them from the data up; `write` takes the lines of their log. */
export async function startUsers(write: (lines: string) => void): Promise<Users> {
  const options = (server: string) => ({ address: "127.0.0.1:0", log: lineLog(server, write) });
  const data = await startUserData(options("user data"));
  const orchestrator2 = await startOrchestrator2({ ...options("orchestrator 2"), data: data.address });
  const orchestrator1 = await startOrchestrator1({
    ...options("orchestrator 1"),
    orchestrator2: orchestrator2.address,
  });
  return {
    address: orchestrator1.address,
    stop: async () => {
      for (const server of [orchestrator1, orchestrator2, data]) await server.stop();
    },
  };
}
