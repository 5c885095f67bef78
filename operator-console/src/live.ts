/** All that the page knows, kept up to date by listeners: open relations, what waits for an operator, and what has ended since. */
import { collection, doc, type Firestore, getDoc, limit, onSnapshot, query, where } from "firebase/firestore";
import type { AttemptState } from "../../functions/src/attempts/attempt.js";
import { RELATION_STATES, type RelationState } from "../../functions/src/domain/order-lifecycle.js";
import { type Relation, relationIn, type Waiting, waitingIn } from "./documents.js";

/** The rules let a query see the attempts in these states, and no others. */
const WAITING = ["PARKED", "UNCERTAIN"] as const satisfies AttemptState[];

const OPEN = (Object.keys(RELATION_STATES) as RelationState[]).filter((state) => RELATION_STATES[state].open);

export interface Live {
  readonly open: ReadonlyMap<string, Relation>;
  readonly waiting: ReadonlyMap<string, Waiting>;
  /** Orders that have ended since the page was opened, newest first, the last 500. */
  readonly ended: readonly Relation[];
  /** Whether the first look is over. */
  readonly isComplete: boolean;
  /** Whether what is shown may be old. */
  readonly isStale: boolean;
  /** Documents that could not be understood. */
  readonly unreadable: number;
  stop(): void;
}

const MOST_ENDED = 500;

/** As much as a page listens to, so that what it costs has a bound. */
const MOST_OPEN = 10_000;
const MOST_WAITING = 1_000;

/**
 * Starts listening. Changes are told at most once a frame, however many come.
 * @param onDenied is told where the rules let this person see nothing
 */
export function listen(firestore: Firestore, onChange: () => void, onDenied: () => void): Live {
  const open = new Map<string, Relation>();
  const waiting = new Map<string, Waiting>();
  const unreadable = new Set<string>();
  const stale = { relations: true, attempts: true };
  const live = {
    open,
    waiting,
    ended: [] as Relation[],
    isComplete: false,
    get isStale() {
      return !navigator.onLine || (live.isComplete && (stale.relations || stale.attempts));
    },
    get unreadable() {
      return unreadable.size;
    },
    stop: () => {
      for (const end of ends) end();
    },
  };
  let isDue = false;
  const changed = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      onChange();
    });
  };
  const denied = () => {
    live.stop();
    onDenied();
  };

  const relations = query(collection(firestore, "relations"), where("state", "in", OPEN), limit(MOST_OPEN));
  const attempts = query(collection(firestore, "attempts"), where("state", "in", WAITING), limit(MOST_WAITING));
  const options = { includeMetadataChanges: true };
  const ends: (() => void)[] = [];
  let isListening = false;
  const listenToRelations = () =>
    onSnapshot(
      relations,
      options,
      (found) => {
        for (const { type, doc: changedDoc } of found.docChanges()) {
          const { id } = changedDoc;
          unreadable.delete(id);
          if (type === "removed") {
            open.delete(id);
            void lookAtEnd(id);
            continue;
          }
          const relation = relationIn(id, changedDoc.data());
          if (relation) open.set(id, relation);
          else unreadable.add(id);
        }
        stale.relations = found.metadata.fromCache;
        live.isComplete ||= !found.metadata.fromCache;
        changed();
      },
      denied,
    );
  ends.push(
    onSnapshot(
      attempts,
      options,
      (found) => {
        for (const { type, doc: changedDoc } of found.docChanges()) {
          const attempt = waitingIn(changedDoc.id, changedDoc.data());
          if (type === "removed" || !attempt) waiting.delete(changedDoc.id);
          else waiting.set(changedDoc.id, attempt);
        }
        // What waits is few and comes first: beside thousands of relations it would come with the last of them.
        if (!isListening) ends.push(listenToRelations());
        isListening = true;
        stale.attempts = found.metadata.fromCache;
        changed();
      },
      denied,
    ),
  );

  /** An order that left the open ones has ended: how, its document tells. */
  async function lookAtEnd(id: string): Promise<void> {
    const found = await getDoc(doc(firestore, "relations", id)).catch(() => undefined);
    const relation = found?.exists() ? relationIn(id, found.data()) : undefined;
    if (!relation || RELATION_STATES[relation.state].open) return;
    live.ended = [relation, ...live.ended].slice(0, MOST_ENDED);
    changed();
  }

  const connection = () => changed();
  window.addEventListener("online", connection);
  window.addEventListener("offline", connection);
  ends.push(() => {
    window.removeEventListener("online", connection);
    window.removeEventListener("offline", connection);
  });
  return live;
}

/** Follows one relation wherever it goes. */
export function follow(
  firestore: Firestore,
  id: string,
  onChange: (relation: Relation | undefined) => void,
): () => void {
  return onSnapshot(
    doc(firestore, "relations", id),
    (found) => onChange(found.exists() ? relationIn(id, found.data()) : undefined),
    () => onChange(undefined),
  );
}
