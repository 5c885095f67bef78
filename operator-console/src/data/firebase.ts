/** Data from the Firebase project that served this page; in a local run, from its emulators. */
import { type FirebaseOptions, initializeApp } from "firebase/app";
import {
  type Auth,
  browserLocalPersistence,
  connectAuthEmulator,
  type IdTokenResult,
  initializeAuth,
  onAuthStateChanged,
  signInWithEmailAndPassword,
  signOut,
  type User,
} from "firebase/auth";
import {
  collection,
  connectFirestoreEmulator,
  type DocumentData,
  doc,
  type Firestore,
  initializeFirestore,
  limit,
  onSnapshot,
  type Query,
  query,
  where,
} from "firebase/firestore";
import { ROLES } from "../../../functions/src/operator-api/roles.js";
import { listenAgain } from "./listen-again.js";
import { ATTENTION_STATES, MAX_ACTIVE, MAX_ATTENTION, OPEN_STATES } from "./queries.js";
import type { AttemptLogs, DataSource, Session, Topic, Watcher } from "./source.js";

/** A token that was issued this recently has the current role. */
const FRESH_TOKEN_MS = 60_000;

const WITH_METADATA = { includeMetadataChanges: true };

/** Where a local run has its emulators. The cloud has no such file. */
interface Emulators {
  auth: string;
  firestore: { host: string; port: number };
}

/** @throws Error when the page was not served by Firebase Hosting */
export async function connectFirebase(): Promise<DataSource> {
  const isLocal = ["localhost", "127.0.0.1"].includes(location.hostname);
  const [options, emulators] = await Promise.all([
    fetchJson<FirebaseOptions>("/__/firebase/init.json"),
    isLocal ? fetchJson<Emulators>("/emulators.json") : undefined,
  ]);
  const app = initializeApp(options);
  const auth = initializeAuth(app, { persistence: browserLocalPersistence });
  const firestore = initializeFirestore(app, {});
  if (emulators) {
    connectAuthEmulator(auth, emulators.auth, { disableWarnings: true });
    connectFirestoreEmulator(firestore, emulators.firestore.host, emulators.firestore.port);
  }
  return {
    onSession: (listener) => followSession(auth, listener),
    signIn: async (email, password) => {
      await signInWithEmailAndPassword(auth, email, password);
    },
    signOut: () => signOut(auth),
    token: async () => (await auth.currentUser?.getIdToken()) ?? "",
    watch: (topic, watcher) => watch(firestore, topic, watcher),
    logsAddress: (order, attempt) => (emulators ? undefined : cloudLogs(options.projectId ?? "", order, attempt)),
  };
}

function followSession(auth: Auth, listener: (session: Session | undefined) => void): void {
  onAuthStateChanged(auth, (user) => {
    if (!user) return listener(undefined);
    // The user may sign out while the token is being read.
    void reportSessions(user, (session) => auth.currentUser === user && listener(session));
  });
}

/**
 * The role is in the token. A stored one is used at once, and then refreshed, since an administrator may have granted or revoked
 * the role.
 */
async function reportSessions(user: User, listener: (session: Session) => void): Promise<void> {
  const found = await user.getIdTokenResult();
  const role = roleIn(found);
  const report = (now: Session["role"]) => listener({ name: user.email ?? user.uid, role: now });
  if (role) report(role);
  if (role && Date.now() - Date.parse(found.issuedAtTime) < FRESH_TOKEN_MS) return;
  // A token that can't be refreshed says that the account was disabled, or that the network is down: its own role is used then.
  const refreshed = await user.getIdTokenResult(true).catch(() => found);
  if (!role || roleIn(refreshed) !== role) report(roleIn(refreshed));
}

function roleIn({ claims }: IdTokenResult): Session["role"] {
  return ROLES.find((role) => role === claims.role);
}

function watch(firestore: Firestore, topic: Topic, watcher: Watcher): () => void {
  if (topic === "health") {
    const stops = ["leases/poll", "leases/sweep"].map((path) => watchDocument(firestore, path, watcher));
    return () => {
      for (const stop of stops) stop();
    };
  }
  if (typeof topic === "object") return watchDocument(firestore, `relations/${topic.order}`, watcher);
  // deploy/indexes.test.ts reads these queries.
  const wanted =
    topic === "active"
      ? query(collection(firestore, "relations"), where("state", "in", OPEN_STATES), limit(MAX_ACTIVE))
      : query(collection(firestore, "attempts"), where("state", "in", ATTENTION_STATES), limit(MAX_ATTENTION));
  return watchQuery(wanted, watcher);
}

function watchQuery(wanted: Query, watcher: Watcher): () => void {
  return listenAgain(watcher, (onFound, onError) =>
    onSnapshot(
      wanted,
      WITH_METADATA,
      (found) => {
        const changes = found.docChanges().map(({ type, doc: changed }) => ({
          path: changed.ref.path,
          fields: type === "removed" ? undefined : withDates(changed.data()),
        }));
        onFound({ changes, paths: () => found.docs.map(({ ref }) => ref.path), isStale: found.metadata.fromCache });
      },
      onError,
    ),
  );
}

function watchDocument(firestore: Firestore, path: string, watcher: Watcher): () => void {
  return listenAgain(watcher, (onFound, onError) =>
    onSnapshot(
      doc(firestore, path),
      WITH_METADATA,
      (found) => {
        const fields = found.exists() ? withDates(found.data()) : undefined;
        onFound({ changes: [{ path, fields }], paths: () => [path], isStale: found.metadata.fromCache });
      },
      onError,
    ),
  );
}

function withDates(data: DocumentData): { [name: string]: unknown } {
  return Object.fromEntries(Object.entries(data).map(([name, value]) => [name, dated(value)]));
}

function dated(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ("toDate" in value && typeof value.toDate === "function") return value.toDate();
  return Array.isArray(value) ? value.map(dated) : withDates(value);
}

function cloudLogs(project: string, order: string, attempt: AttemptLogs | undefined): string {
  const ofOrder = `jsonPayload.order=${JSON.stringify(order)}`;
  const ofAttempt = attempt
    ? ` jsonPayload.component=${attempt.stage} timestamp>="${attempt.from}" timestamp<="${attempt.to}"`
    : "";
  // The times in a filter take precedence over the duration.
  return `https://console.cloud.google.com/logs/query;query=${encodeURIComponent(ofOrder + ofAttempt)};duration=P7D?project=${encodeURIComponent(project)}`;
}

async function fetchJson<T>(address: string): Promise<T> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  return (await response.json()) as T;
}
