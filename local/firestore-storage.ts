/** The storage of an embedded run in an external Firestore. It is a module of its own, since Firestore's client takes long to load. */
import { FirestoreStore, openFirestore, snapshotOf } from "../functions/src/adapters/firebase/firestore-store.js";
import type { DeliverChange } from "../functions/src/adapters/memory/platform.js";
import type { Snapshot } from "../functions/src/ports.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import type { OpenStorage } from "./storage.js";

type Firestore = ReturnType<typeof openFirestore>;
type FoundDocument = Exclude<Parameters<typeof snapshotOf>[0], undefined>;

/** In a running Firestore, whose host is in FIRESTORE_EMULATOR_HOST. */
export const inFirestore =
  (project: string): OpenStorage =>
  (deliver) => {
    const firestore = openFirestore(project);
    const listener = new RelationListener(firestore, deliver);
    return {
      store: new FirestoreStore(firestore),
      documents: async (collection) => {
        const { docs } = await firestore.collection(collection).get();
        return docs.flatMap((found) => snapshotOf(found) ?? []);
      },
      start: () => listener.start(),
      close: async () => {
        listener.stop();
        await firestore.terminate();
      },
    };
  };

/** Delivers all changes of relations as Firestore's triggers would, no matter which program makes them. */
class RelationListener {
  private readonly known = new Map<string, Snapshot>();
  private unsubscribe = () => {};

  constructor(
    private readonly firestore: Firestore,
    private readonly deliver: DeliverChange,
  ) {}

  /** Resolves when the existing relations have been checked. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      let first = true;
      this.unsubscribe = this.firestore.collection(RELATIONS).onSnapshot((snapshot) => {
        for (const { type, doc } of snapshot.docChanges()) {
          if (first) this.takeExisting(doc);
          else this.takeChange(doc, type === "removed");
        }
        first = false;
        resolve();
      }, reject);
    });
  }

  stop(): void {
    this.unsubscribe();
  }

  /** One of our relations without a customer may have been written just before a crash, so its reactions are due. */
  private takeExisting(found: FoundDocument): void {
    const after = this.remember(found);
    if (after?.fields.state !== undefined && after.fields.customer === undefined) {
      void this.deliver({ before: undefined, after });
    }
  }

  private takeChange(found: FoundDocument, removed: boolean): void {
    const before = this.known.get(found.ref.path);
    this.known.delete(found.ref.path);
    void this.deliver({ before, after: removed ? undefined : this.remember(found) });
  }

  private remember(found: FoundDocument): Snapshot | undefined {
    const snapshot = snapshotOf(found);
    if (snapshot) this.known.set(snapshot.path, snapshot);
    return snapshot;
  }
}
