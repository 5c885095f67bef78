/** The three servers in one process, on ports that the system chooses. */
import type { Log } from "../../functions/src/ports.js";
import { startUserData } from "./data.js";
import { startOrchestrator1 } from "./orchestrator1.js";
import { startOrchestrator2 } from "./orchestrator2.js";
import type { Security } from "./security.js";
import type { Running, ServeOptions } from "./serve.js";

export interface InProcess {
  data: Running;
  orchestrator2: Running;
  orchestrator1: Running;
  stop(): Promise<void>;
}

interface Shared {
  security?: Security;
  deadlineMilliseconds?: number;
  host?: string;
}

/**
 * Starts them from the data up. `logOf` gives each server its log, by its name.
 * @param startData starts another data service instead of the real one
 */
export async function startInProcess(
  logOf: (server: string) => Log,
  { host = "127.0.0.1", ...shared }: Shared = {},
  startData: (options: ServeOptions) => Promise<Running> = startUserData,
): Promise<InProcess> {
  const options = (server: string) => ({ ...shared, address: `${host}:0`, log: logOf(server) });
  const data = await startData(options("user data"));
  const orchestrator2 = await startOrchestrator2({ ...options("orchestrator 2"), data: data.address });
  const orchestrator1 = await startOrchestrator1({
    ...options("orchestrator 1"),
    orchestrator2: orchestrator2.address,
  });
  const stop = async () => {
    for (const server of [orchestrator1, orchestrator2, data]) await server.stop();
  };
  return { data, orchestrator2, orchestrator1, stop };
}
