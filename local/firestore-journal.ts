/**
 * A proxy that makes the Firestore emulator durable: it acknowledges a commit only after the documents are also in this run's file,
 * so an acknowledged commit survives the end of every process.
 */
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { type Document, readDocuments, writeDocuments } from "../harness/emulators/firestore-rest.js";
import { listenLocally } from "../harness/listen.js";
import type { SqliteStore } from "./sqlite-store.js";

/** The methods of `google.firestore.v1.Firestore` with which the functions write. */
const COMMITS = ["/google.firestore.v1.Firestore/Commit", "/google.firestore.v1.Firestore/BatchWrite"];

/** A second stream that writes would bypass the journal. The Admin SDK does not use it. */
const WRITE_STREAM = "/google.firestore.v1.Firestore/Write";

/** gRPC prefixes each message with a flag and a length. */
const FRAME_HEADER_BYTES = 5;

const UNIMPLEMENTED = "12";
const UNAVAILABLE = "14";

/** The interval of checks whether the emulator is up, in milliseconds. */
const POLL_MS = 50;

/** Leases are not restored, since their holders are gone when a run starts. */
const LEASES = "leases/";

interface Target {
  /** The emulator, as host:port. It need not be up yet. */
  firestore: string;
  project: string;
  store: SqliteStore;
}

export class FirestoreJournal {
  private session: ClientHttp2Session | undefined;
  private recording: Promise<void> = Promise.resolve();
  private waiting = new Set<string>();

  private constructor(
    private readonly target: Target,
    private readonly server: Http2Server,
    /** The Firestore address for the functions, as host:port. */
    readonly address: string,
  ) {
    server.on("stream", (stream, headers) => {
      stream.on("error", () => stream.destroy());
      this.forward(stream, headers).catch((error: Error) => refuse(stream, UNAVAILABLE, error.message));
    });
  }

  static async start(target: Target): Promise<FirestoreJournal> {
    const server = createServer();
    return new FirestoreJournal(target, server, `127.0.0.1:${await listenLocally(server)}`);
  }

  /**
   * Writes the documents of earlier runs into the emulator, except relations whose customer is not resolved yet. Starts when the
   * emulator is up and has no functions yet, so restored documents trigger nothing.
   */
  async restore(signal: AbortSignal): Promise<void> {
    const settled = this.recorded().filter((document) => !isUnfinished(document));
    if (settled.length === 0) return;
    const { firestore, project } = this.target;
    while (!(await isUp(firestore))) await sleep(POLL_MS, undefined, { signal });
    await writeDocuments(firestore, project, settled);
  }

  /** Writes the relations that `restore` left out, once the functions are loaded: those that react may not have done so. */
  async restoreUnfinished(): Promise<void> {
    const { firestore, project } = this.target;
    await writeDocuments(firestore, project, this.recorded().filter(isUnfinished));
  }

  private recorded(): Document[] {
    return this.target.store.everything().filter(({ path }) => !path.startsWith(LEASES));
  }

  stop(): void {
    this.session?.destroy();
    this.server.close();
  }

  private async forward(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const path = headers[":path"] ?? "";
    if (path === WRITE_STREAM) return refuse(stream, UNIMPLEMENTED, "write streams are not journaled");
    const request = this.connection().request({ ...headers, ":authority": this.target.firestore });
    request.on("error", (error) => refuse(stream, UNAVAILABLE, error.message));
    stream.on("close", () => request.close());
    if (COMMITS.includes(path)) return this.forwardCommit(stream, request);
    stream.pipe(request);
    const [response] = (await once(request, "response")) as [IncomingHttpHeaders];
    if (stream.destroyed) return;
    stream.respond(response, { waitForTrailers: true });
    let trailers: IncomingHttpHeaders = {};
    request.on("trailers", (given: IncomingHttpHeaders) => (trailers = given));
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    request.pipe(stream);
  }

  private async forwardCommit(
    stream: ServerHttp2Stream,
    request: ReturnType<ClientHttp2Session["request"]>,
  ): Promise<void> {
    const asked = await buffer(stream);
    let trailers: IncomingHttpHeaders = {};
    request.on("trailers", (given: IncomingHttpHeaders) => (trailers = given));
    request.end(asked);
    const [response] = (await once(request, "response")) as [IncomingHttpHeaders];
    const answer = await buffer(request);
    if ((trailers["grpc-status"] ?? response["grpc-status"]) === "0") await this.record(pathsIn(asked));
    if (stream.destroyed) return;
    stream.respond(response, { waitForTrailers: answer.length > 0, endStream: answer.length === 0 });
    if (answer.length === 0) return;
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end(answer);
  }

  /**
   * Resolves when the current state of these documents, or a later one, is in the file. Reads run one at a time, so the file never
   * gets an older state after a newer one. Waiting commits share the next read.
   */
  private record(names: string[]): Promise<void> {
    for (const name of names) this.waiting.add(name);
    const recorded = this.recording.then(async () => {
      const some = [...this.waiting];
      this.waiting.clear();
      if (some.length === 0) return;
      const { firestore, project, store } = this.target;
      try {
        store.overwrite(await readDocuments(firestore, project, some));
      } catch (error) {
        // They belong to other commits too, whose turn comes next.
        for (const name of some) this.waiting.add(name);
        throw error;
      }
    });
    this.recording = recorded.catch(() => undefined);
    return recorded;
  }

  private connection(): ClientHttp2Session {
    if (!this.session || this.session.closed || this.session.destroyed) {
      this.session = connect(`http://${this.target.firestore}`);
      // Each request reports its own failure.
      this.session.on("error", () => undefined);
    }
    return this.session;
  }
}

function isUnfinished({ path, fields }: Document): boolean {
  return path.startsWith(`${RELATIONS}/`) && fields.state !== undefined && fields.customer === undefined;
}

async function isUp(firestore: string): Promise<boolean> {
  return fetch(`http://${firestore}/`).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** The paths of the documents that a CommitRequest or BatchWriteRequest writes: in both, field 2 has the writes. */
function pathsIn(frame: Buffer): string[] {
  const names = fieldsOf(frame.subarray(FRAME_HEADER_BYTES), 2).flatMap((write) => [
    // Write: an update (1) is a document, whose name is field 1; a delete (2) is a name; a transform (6) has one in field 1.
    ...fieldsOf(write, 1).flatMap((document) => fieldsOf(document, 1)),
    ...fieldsOf(write, 2),
    ...fieldsOf(write, 6).flatMap((transform) => fieldsOf(transform, 1)),
  ]);
  return names.map((name) => {
    const text = Buffer.from(name).toString();
    return text.slice(text.indexOf("/documents/") + "/documents/".length);
  });
}

/** The contents of every field with this number that has a length. */
function fieldsOf(message: Uint8Array, number: number): Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === number) found.push(reader.bytes());
    else reader.skip(wireType, field);
  }
  return found;
}

function refuse(stream: ServerHttp2Stream, status: string, message: string): void {
  if (stream.destroyed) return;
  if (stream.headersSent) {
    stream.close();
    return;
  }
  const grpc = { "grpc-status": status, "grpc-message": encodeURIComponent(message) };
  stream.respond({ ":status": 200, "content-type": "application/grpc", ...grpc }, { endStream: true });
}
