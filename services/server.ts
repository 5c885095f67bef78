/** Shared by all gRPC servers here: listening on an address, and a graceful stop. */
import { lookup } from "node:dns/promises";
import { createServer } from "node:net";
import type { Server, ServerCredentials } from "@grpc/grpc-js";
import { type Address, parseAddress } from "../functions/src/address.js";
import { StartError } from "./start-error.js";

/** Calls in progress get this long to finish once a server stops. */
const GRACE_MILLISECONDS = 5_000;

export { StartError };

/**
 * The two parts of `host:port`; an IPv6 host stands in brackets. Port 0 leaves the choice to the system.
 * @throws StartError that says what is allowed
 */
export function expectAddress(text: string): Address {
  const address = parseAddress(text);
  if (address) return address;
  throw new StartError(
    `"${text}" is not an address: it must be host:port, such as localhost:50051, with a port from 0 to 65535`,
  );
}

/**
 * Listens on every IP address of the host and resolves with the address, its port as bound.
 * @throws StartError if the port is taken or the host can't be listened on
 */
export async function listen(server: Server, address: string, credentials: ServerCredentials): Promise<string> {
  const { host, port } = expectAddress(address);
  await expectFree(host, port);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, result) => {
      if (error === null) resolve(result);
      else reject(new StartError(`Can't listen on ${address}: ${error.message}`, { cause: error }));
    });
  });
  return address.replace(/\d+$/, String(bound));
}

/** gRPC accepts one of a host's several IP addresses, but then callers of another one would reach another process. */
async function expectFree(host: string, port: number): Promise<void> {
  const found = await lookup(host, { all: true }).catch((cause: unknown) => {
    throw new StartError(`Can't listen on ${host}:${port}: the host ${host} does not exist`, { cause });
  });
  for (const { address } of found) {
    const code = await new Promise<string | undefined>((resolve) => {
      const probe = createServer();
      probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
      probe.listen({ host: address, port }, () => probe.close(() => resolve(undefined)));
    });
    if (code === "EADDRINUSE") {
      throw new StartError(`The address ${host}:${port} is taken: another program listens there`);
    }
    if (code === "EACCES") throw new StartError(`Not allowed to listen on ${host}:${port}: choose a port above 1023`);
  }
}

/**
 * Rejects new calls, lets the calls in progress finish, and aborts them after the grace period.
 * Resolves with whether all finished in time.
 */
export async function stop(server: Server, graceMilliseconds = GRACE_MILLISECONDS): Promise<boolean> {
  return new Promise((resolve) => {
    const forced = setTimeout(() => {
      server.forceShutdown();
      resolve(false);
    }, graceMilliseconds);
    server.tryShutdown(() => {
      clearTimeout(forced);
      resolve(true);
    });
  });
}

/** Stops the server gracefully on SIGTERM or SIGINT, logs it, and resolves when it has stopped. */
export async function stopOnSignals(server: Server, log: (line: string) => void): Promise<void> {
  // Keep the listeners: a terminal and npm both pass on Ctrl-C, and the second signal must not abort the calls.
  const signal = await new Promise<string>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"]) process.on(name, () => resolve(name));
  });
  log(`${signal}: no new calls, waiting for the calls in progress`);
  const finished = await stop(server);
  log(finished ? "stopped" : `stopped, aborting the calls still in progress after ${GRACE_MILLISECONDS / 1000} s`);
}
