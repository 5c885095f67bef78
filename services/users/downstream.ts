/** A client of the next server in the chain: one channel, which calls wait for within their deadline. */
import type { CallOptions, ClientOptions, MethodDefinition, ServerUnaryCall } from "@grpc/grpc-js";
import { Client, connectivityState, Metadata, status } from "@grpc/grpc-js";
import { livenessOptions, RenewingClient } from "../../functions/src/adapters/firebase/renewing-client.js";
import type { Security } from "./security.js";
import { channelCredentials } from "./security.js";
import type { Context, Running } from "./serve.js";
import { CallStatus, TRACE_ID } from "./serve.js";

/** Reserved from the remaining time to return "can't be reached" to the caller: a share, and at most this. */
const RESERVE = { share: 0.1, milliseconds: 1_000 };

const CHANNEL_OPTIONS: ClientOptions = {
  // A reply may be slightly longer than its request; the first caller applies its own limit.
  "grpc.max_receive_message_length": -1,
  "grpc.enable_channelz": 0,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  ...livenessOptions(1_000),
};

/** A connection is replaced if it has received nothing for this long while calls waited. */
const SILENCE_MS = 1_000;

/** A server to call: its title and its address. */
export interface Downstream {
  title: string;
  address: string;
  connection: RenewingClient;
}

/**
 * A channel to the server. It connects at the first call, and reconnects whenever the connection is lost.
 * @throws StartError if the address is malformed or its security does not allow the call
 */
export function connect(title: string, address: string, security: Security = {}): Downstream {
  const credentials = channelCredentials(address, security);
  const open = () => new Client(address, credentials, CHANNEL_OPTIONS);
  return { title, address, connection: new RenewingClient({ open, silenceMs: SILENCE_MS, now: Date.now }) };
}

/**
 * Makes one call, and waits within its deadline until the server is reachable.
 * @throws CallStatus UNAVAILABLE, with the reason, if the server was not reachable in time; otherwise the server's own status
 */
export async function ask<Request, Response>(
  downstream: Downstream,
  method: MethodDefinition<Request, Response>,
  request: Request,
  { trace, deadline }: Context,
  parent?: ServerUnaryCall<unknown, unknown>,
): Promise<Response> {
  const { title, address, connection } = downstream;
  const reserve = Math.min(RESERVE.milliseconds, (deadline - Date.now()) * RESERVE.share);
  // Nothing else uses the call's metadata, so it is passed on without a copy.
  const metadata = parent?.metadata ?? new Metadata();
  metadata.set(TRACE_ID, trace);
  let reason = "";
  // The first try does not wait, since only then gRPC shows why there is no connection. All calls are reads, so a call that
  // lost its server may be retried.
  for (const waitForReady of [false, true]) {
    metadata.setOptions({ waitForReady });
    const client = connection.startCall();
    try {
      const response = await callOnce(client, method, request, metadata, deadline - reserve, parent);
      connection.endCall(client, null);
      return response;
    } catch (error) {
      const wasConnected = isConnected(client);
      const isStatus = error instanceof CallStatus;
      connection.endCall(client, isStatus ? error : null);
      if (!isStatus || wasConnected) throw error;
      if (error.code === status.UNAVAILABLE) reason = `: ${lastConnectionError(error.details)}`;
      else if (error.code !== status.DEADLINE_EXCEEDED) throw error;
    }
  }
  throw new CallStatus(status.UNAVAILABLE, `${title} at ${address} can't be reached${reason}`);
}

function callOnce<Request, Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Response>,
  request: Request,
  metadata: Metadata,
  deadline: number,
  parent: ServerUnaryCall<unknown, unknown> | undefined,
): Promise<Response> {
  const options: CallOptions = parent === undefined ? { deadline } : { deadline, parent };
  // gRPC captures a stack for every call in case it fails. It is never shown here, and costs time.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new Promise<Response>((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        (error, response) => {
          if (response !== undefined) resolve(response);
          else reject(new CallStatus(error?.code ?? status.INTERNAL, error?.details ?? "No answer", error?.metadata));
        },
      );
    });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The useful part of gRPC's message, such as `connect ECONNREFUSED 127.0.0.1:9001`. */
function lastConnectionError(details: string): string {
  return /Last error: (?:\w*Error: )?(.+?)(\. Resolution note|$)/.exec(details)?.[1] ?? details;
}

/** A server that closes its channel to the next one when it has stopped. */
export function callerOf({ connection }: Downstream, server: Running): Running {
  return { ...server, stop: () => server.stop().finally(() => connection.close()) };
}

function isConnected(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}
