/** The console's single data interface: who is signed in, and documents that change. Firebase and the embedded run each implement it. */
import type { CreatingStage } from "../../../functions/src/domain/order-lifecycle.js";
import type { Role } from "../../../functions/src/operator-api/roles.js";

/** A signed-in person. `role` is undefined for an account without access. */
export interface Session {
  name: string;
  role: Role | undefined;
}

/** A document as it is now; `fields` is undefined once it no longer matches the topic. Times are `Date`s or RFC 3339 text. */
export interface DocumentChange {
  path: string;
  fields: { readonly [name: string]: unknown } | undefined;
}

/**
 * What can be watched: active relations, attempts that need an operator, how the poll and the sweep are doing, or all that
 * belongs to one order.
 */
export type Topic = "active" | "attention" | "health" | { order: string };

export interface Watcher {
  /** Called first with all documents, then with changes. `isStale` while the connection is down. */
  onChanges(changes: DocumentChange[], isStale: boolean): void;
  /** The session may no longer read this. */
  onDenied(): void;
}

/** Log lines of one stage in the time of an attempt, in RFC 3339. */
export interface AttemptLogs {
  stage: CreatingStage;
  from: string;
  to: string;
}

export interface DataSource {
  /** Calls back when the session is known and each time it changes; undefined when signed out. */
  onSession(listener: (session: Session | undefined) => void): void;
  /** Undefined when sessions come without a password. Rejects with Firebase Authentication's errors. */
  signIn: ((email: string, password: string) => Promise<void>) | undefined;
  signOut: (() => Promise<void>) | undefined;
  /** The bearer token for the API. */
  token(): Promise<string>;
  /** Returns a function that ends the watch. */
  watch(topic: Topic, watcher: Watcher): () => void;
  /** The URL of an order's log lines, or of those about one attempt, if there is one. */
  logsAddress(order: string, attempt?: AttemptLogs): string | undefined;
}
