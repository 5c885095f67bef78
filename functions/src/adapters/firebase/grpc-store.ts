/** The store on Firestore without its client library: four calls over gRPC. */
import type { ServiceError } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { ConflictError, StoreError, ValidationError } from "../../domain/errors.js";
import { assertWritable } from "../../firestore-limits.js";
import { FirestoreService as firestore } from "../../generated/cloud/google/firestore/v1/firestore.js";
import {
  StructuredQuery_Direction as Direction,
  StructuredQuery_FieldFilter_Operator as Operator,
  type StructuredAggregationQuery,
  type StructuredAggregationQuery_Aggregation,
  type StructuredQuery,
} from "../../generated/cloud/google/firestore/v1/query.js";
import type { Write as WireWrite } from "../../generated/cloud/google/firestore/v1/write.js";
import type { Matching, Query, Snapshot, Store, Write } from "../../ports.js";
import { snapshotFrom, timestampOfVersion, valueFor, valuesOf, versionFrom } from "./firestore-values.js";
import { GoogleApi, type GoogleService, projectId } from "./google-api.js";
import { strictly } from "./strict-utf8.js";

/** The status codes of a failed precondition. For a query, the last one means that its index is still being built. */
const CONFLICTS: readonly number[] = [status.NOT_FOUND, status.ALREADY_EXISTS, status.FAILED_PRECONDITION];

/** A retried commit may conflict with its own first try, so callers compare the claim's id. */
const RETRIES: GoogleService["retries"] = [
  { methods: [firestore.commit], codes: ["ABORTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"] },
  {
    methods: [firestore.batchGetDocuments, firestore.runQuery, firestore.runAggregationQuery],
    codes: ["INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE"],
  },
];

const GOOGLE = { address: "firestore.googleapis.com:443" };

const TIMEOUT_MS = 60_000;

/** Google's own clients use no shorter time. */
const PING_AFTER_MS = 30_000;

/** Read the latest version, without query statistics. */
const NO_OPTIONS = { consistencySelector: undefined, explainOptions: undefined, requestOptions: undefined };

/** Doesn't strip a byte order mark. */
const METHODS = {
  read: {
    ...firestore.batchGetDocuments,
    responseDeserialize: strictly(firestore.batchGetDocuments.responseDeserialize),
  },
  query: { ...firestore.runQuery, responseDeserialize: strictly(firestore.runQuery.responseDeserialize) },
};

interface Options {
  /** The project; this function's own by default. */
  project?: string;
  /** The connection is pinged after calls have waited this long, in milliseconds. */
  pingAfterMs?: number;
  /** Firestore's address and the certificates that verify it, if it is not Google's. */
  server?: Pick<GoogleService, "address" | "roots">;
}

export class GrpcStore implements Store {
  private readonly api: GoogleApi;
  private readonly database: string;
  /** The prefix of every document's name. */
  private readonly root: string;
  private readonly headers: Record<string, string>;

  constructor({ project = projectId(), pingAfterMs = PING_AFTER_MS, server = GOOGLE }: Options = {}) {
    this.database = `projects/${project}/databases/(default)`;
    this.root = `${this.database}/documents`;
    this.headers = {
      "google-cloud-resource-prefix": this.database,
      "x-goog-request-params": `project_id=${encodeURIComponent(project)}&database_id=(default)`,
    };
    this.api = new GoogleApi({
      ...server,
      emulator: process.env.FIRESTORE_EMULATOR_HOST,
      timeoutMs: TIMEOUT_MS,
      pingAfterMs,
      retries: RETRIES,
    });
  }

  async read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }> {
    return translateErrors(async () => {
      const documents = [...new Set(paths)].map((path) => this.nameOf(path));
      const request = { database: this.database, documents, mask: undefined, ...NO_OPTIONS };
      const found = new Map<string, Snapshot | undefined>();
      for (const { result } of await this.api.callForAll(METHODS.read, request, this.headers)) {
        if (result?.$case === "found") found.set(result.found.name, snapshotFrom(result.found));
        else if (result) found.set(result.missing, undefined);
      }
      const unanswered = documents.find((name) => !found.has(name));
      if (unanswered) throw new Error(`Firestore did not say whether the document ${unanswered} exists`);
      return paths.map((path) => found.get(this.nameOf(path))) as { [I in keyof P]: Snapshot | undefined };
    });
  }

  async commit(writes: Write[]): Promise<string[]> {
    // The server reports some of these as errors that look temporary.
    assertWritable(writes);
    return translateErrors(async () => {
      const request = {
        database: this.database,
        writes: writes.map((write) => this.wireWrite(write)),
        transaction: Buffer.alloc(0),
        requestOptions: undefined,
      };
      const { writeResults, commitTime } = await this.api.call(firestore.commit, request, this.headers);
      return writes.map((_, index) => {
        // A delete has no update time of its own.
        const time = writeResults[index]?.updateTime ?? commitTime;
        if (!time) throw new Error("Firestore did not say when it committed");
        return versionFrom(time);
      });
    }, CONFLICTS);
  }

  async query({ limit, after, afterTime, ...matching }: Query): Promise<Snapshot[]> {
    return translateErrors(async () => {
      const { parent, structuredQuery } = this.wireQuery(matching);
      const direction = matching.latestBy === undefined ? Direction.ASCENDING : Direction.DESCENDING;
      const times = afterTime === undefined ? [] : [valueFor(afterTime)];
      const page: StructuredQuery = {
        ...structuredQuery,
        orderBy: [...structuredQuery.orderBy, { field: { fieldPath: "__name__" }, direction }],
        limit,
        startAt: after === undefined ? undefined : { values: [...times, this.reference(after)], before: false },
      };
      const answers = await this.api.callForAll(METHODS.query, queryRequest(parent, page), this.headers);
      return answers.flatMap(({ document }) => (document ? [snapshotFrom(document)] : []));
    });
  }

  async count(matching: Matching): Promise<number> {
    return translateErrors(async () => {
      const { parent, structuredQuery } = this.wireQuery(matching);
      const count: StructuredAggregationQuery_Aggregation = {
        operator: { $case: "count", count: { upTo: undefined } },
        alias: "count",
      };
      const structuredAggregationQuery: StructuredAggregationQuery = {
        queryType: { $case: "structuredQuery", structuredQuery },
        aggregations: [count],
      };
      const queryType = { $case: "structuredAggregationQuery", structuredAggregationQuery } as const;
      const request = { parent, queryType, ...NO_OPTIONS };
      const [answer] = await this.api.callForAll(firestore.runAggregationQuery, request, this.headers);
      const counted = answer?.result?.aggregateFields.count?.valueType;
      if (counted?.$case !== "integerValue") throw new Error("Firestore did not say how many documents there are");
      return Number(counted.integerValue);
    });
  }

  close(): void {
    this.api.close();
  }

  private nameOf(path: string): string {
    return `${this.root}/${path}`;
  }

  private reference(path: string) {
    return { valueType: { $case: "referenceValue", referenceValue: this.nameOf(path) } } as const;
  }

  private wireWrite(write: Write): WireWrite {
    const name = this.nameOf(write.path);
    const common = { updateMask: undefined, updateTransforms: [] };
    const demandsVersion = (version: string) => ({
      conditionType: { $case: "updateTime", updateTime: timestampOfVersion(version) } as const,
    });
    if (write.kind === "delete") {
      return {
        ...common,
        operation: { $case: "delete", delete: name },
        currentDocument: demandsVersion(write.version),
      };
    }
    const update = { name, fields: valuesOf(write.fields), createTime: undefined, updateTime: undefined };
    const operation = { $case: "update", update } as const;
    if (write.kind === "create") {
      return { ...common, operation, currentDocument: { conditionType: { $case: "exists", exists: false } } };
    }
    const updateMask = { fieldPaths: Object.keys(write.fields).map(fieldPath) };
    return { ...common, operation, updateMask, currentDocument: demandsVersion(write.version) };
  }

  private wireQuery({ collection, field, oneOf, latestBy }: Matching): {
    parent: string;
    structuredQuery: StructuredQuery;
  } {
    const segments = collection.split("/");
    const collectionId = segments.pop() ?? "";
    const values = oneOf.map(valueFor);
    const latestFirst = (time: string) => ({ field: { fieldPath: fieldPath(time) }, direction: Direction.DESCENDING });
    const structuredQuery: StructuredQuery = {
      select: undefined,
      from: [{ collectionId, allDescendants: false }],
      where: {
        filterType: {
          $case: "fieldFilter",
          fieldFilter: {
            field: { fieldPath: fieldPath(field) },
            op: Operator.IN,
            value: { valueType: { $case: "arrayValue", arrayValue: { values } } },
          },
        },
      },
      orderBy: latestBy === undefined ? [] : [latestFirst(latestBy)],
      startAt: undefined,
      endAt: undefined,
      offset: 0,
      limit: undefined,
      findNearest: undefined,
    };
    return { parent: [this.root, ...segments].join("/"), structuredQuery };
  }
}

function queryRequest(parent: string, structuredQuery: StructuredQuery) {
  return { parent, queryType: { $case: "structuredQuery", structuredQuery } as const, ...NO_OPTIONS };
}

/** A field path with one segment, whatever characters it contains. */
function fieldPath(name: string): string {
  return /^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name) ? name : `\`${name.replace(/[\\`]/g, "\\$&")}\``;
}

async function translateErrors<T>(work: () => Promise<T>, conflicts: readonly number[] = []): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as Partial<ServiceError>;
    if (code !== undefined && conflicts.includes(code)) throw new ConflictError(message, { cause: error });
    if (code === status.INVALID_ARGUMENT) throw new ValidationError(`Firestore refused: ${message}`, { cause: error });
    throw new StoreError(message ?? String(error), { cause: error });
  }
}
