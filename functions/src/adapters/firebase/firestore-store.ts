/** The store on Firestore through its client library, for the API and for scripts. */
import { getApps, initializeApp } from "firebase-admin/app";
import {
  type DocumentReference,
  type DocumentSnapshot,
  FieldPath,
  type Firestore,
  getFirestore,
  Timestamp,
  type WriteBatch,
} from "firebase-admin/firestore";
import { ConflictError, StoreError, ValidationError } from "../../domain/errors.js";
import { assertWritable } from "../../firestore-limits.js";
import type { Field, Fields, Matching, Query, Snapshot, Store, Write } from "../../ports.js";
import { openApp } from "./firebase-app.js";

/**
 * The gRPC status numbers of a failed precondition: NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION. For a query, the last one means
 * that its index is still being built.
 */
const CONFLICTS = [5, 6, 9];
const INVALID_ARGUMENT = 3;

/** The connection is pinged after calls have waited this long, in milliseconds. Google's own clients use no shorter time. */
const PING_AFTER_MS = 30_000;
/** The timeout of such a ping, in milliseconds. */
const PING_TIMEOUT_MS = 10_000;

/** The instances that are configured already: `settings` may be called only once. */
const configured = new WeakSet<Firestore>();

/**
 * The Firestore of this project, or of the named one. A silent connection is dropped after `pingAfterMs` plus the ping's
 * timeout, and its reads and commits are retried on a new connection.
 */
export function openFirestore(project?: string, pingAfterMs = PING_AFTER_MS): Firestore {
  const named = (projectId: string) =>
    getApps().find(({ name }) => name === projectId) ?? initializeApp({ projectId }, projectId);
  const firestore = getFirestore(project === undefined ? openApp() : named(project));
  if (configured.has(firestore)) return firestore;
  configured.add(firestore);
  firestore.settings({
    "grpc.keepalive_time_ms": pingAfterMs,
    "grpc.keepalive_timeout_ms": Math.min(pingAfterMs, PING_TIMEOUT_MS),
  });
  return firestore;
}

export class FirestoreStore implements Store {
  constructor(private readonly firestore: Firestore) {}

  async read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }> {
    return translateErrors(async () => {
      const found = await this.firestore.getAll(...paths.map((path) => this.firestore.doc(path)));
      return found.map(snapshotOf) as { [I in keyof P]: Snapshot | undefined };
    });
  }

  async commit(writes: Write[]): Promise<string[]> {
    // The SDK and the server report some of these as errors that look temporary.
    assertWritable(writes);
    return translateErrors(async () => {
      const batch = this.firestore.batch();
      for (const write of writes) this.add(batch, write);
      return (await batch.commit()).map((result) => versionOf(result.writeTime));
    }, CONFLICTS);
  }

  async query({ limit, after, afterTime, ...matching }: Query): Promise<Snapshot[]> {
    return translateErrors(async () => {
      const direction = matching.latestBy === undefined ? "asc" : "desc";
      const sorted = this.matching(matching).orderBy(FieldPath.documentId(), direction).limit(limit);
      const times = afterTime === undefined ? [] : [afterTime];
      const page = after === undefined ? sorted : sorted.startAfter(...times, this.firestore.doc(after));
      return (await page.get()).docs.flatMap((found) => snapshotOf(found) ?? []);
    });
  }

  async count(matching: Matching): Promise<number> {
    return translateErrors(async () => (await this.matching(matching).count().get()).data().count);
  }

  private matching({ collection, field, oneOf, latestBy }: Matching): FirebaseFirestore.Query {
    const matching = this.firestore.collection(collection).where(field, "in", oneOf);
    return latestBy === undefined ? matching : matching.orderBy(latestBy, "desc");
  }

  private add(batch: WriteBatch, write: Write): void {
    const document = this.firestore.doc(write.path);
    if (write.kind === "create") batch.create(document, write.fields);
    else if (write.kind === "update") addUpdate(batch, document, write);
    else batch.delete(document, { lastUpdateTime: timeOf(write.version) });
  }
}

/** Adds an update field by field: in an object, Firestore would read a name with dots as a path. */
function addUpdate(batch: WriteBatch, document: DocumentReference, write: Extract<Write, { kind: "update" }>): void {
  const [first, ...others] = Object.entries(write.fields);
  // assertWritable rejects an update without fields.
  if (!first) return;
  const more = others.flatMap(([name, value]) => [new FieldPath(name), value]);
  batch.update(document, new FieldPath(first[0]), first[1], ...more, { lastUpdateTime: timeOf(write.version) });
}

/** A document as the ports know it, undefined if it does not exist. */
export function snapshotOf(document: DocumentSnapshot | undefined): Snapshot | undefined {
  const data = document?.data();
  if (!document || !data || !document.updateTime) return undefined;
  return { path: document.ref.path, fields: fieldOf(data) as Fields, version: versionOf(document.updateTime) };
}

/** Converts Firestore's timestamps to dates. The schemas check all other values. */
function fieldOf(value: unknown): Field {
  if (value instanceof Timestamp) return value.toDate();
  if (Array.isArray(value)) return value.map(fieldOf);
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, fieldOf(field)]));
  }
  return value as Field;
}

function versionOf(time: Timestamp): string {
  return `${time.seconds}.${time.nanoseconds}`;
}

function timeOf(version: string): Timestamp {
  const [seconds = "0", nanoseconds = "0"] = version.split(".");
  return new Timestamp(Number(seconds), Number(nanoseconds));
}

async function translateErrors<T>(work: () => Promise<T>, conflicts: readonly number[] = []): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: string };
    if (conflicts.includes(code as number)) throw new ConflictError(message, { cause: error });
    if (code === INVALID_ARGUMENT) throw new ValidationError(`Firestore refused: ${message}`, { cause: error });
    throw new StoreError(message ?? String(error), { cause: error });
  }
}
