/** Servers that only this machine can reach. */
import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";

/**
 * Listens on 127.0.0.1 and resolves with the port; port 0 leaves the choice to the system.
 * @throws Error if the port is taken
 */
export async function listenLocally(server: Server, port = 0): Promise<number> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
