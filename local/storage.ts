/** The storage of an embedded run: in memory or in a persistent file; firestore-storage.ts is the third kind. */
import type { DeliverChange } from "../functions/src/adapters/memory/platform.js";
import { MemoryStore } from "../functions/src/adapters/memory/store.js";
import type { Store } from "../functions/src/ports.js";
import type { Document } from "../harness/emulators/firestore-rest.js";
import { openDocuments } from "./data-directory.js";

/** Leases of polls and sweeps. */
const LEASES = "leases";

export interface Storage {
  store: Store;
  /** Every document of a collection. */
  documents(collection: string): Promise<Document[]>;
  /** Delivers changes that earlier runs left undelivered, and from then on new ones. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a storage that passes each change of a relation to `deliver`. */
export type OpenStorage = (deliver: DeliverChange) => Storage;

/** In memory: lost when the process ends. */
export const inMemory: OpenStorage = (deliver) => {
  const store = new MemoryStore((change) => void deliver(change));
  return {
    store,
    documents: async (collection) => store.all(collection),
    start: async () => {},
    close: async () => {},
  };
};

/** In a SQLite file that only this run uses. */
export const inFile =
  (file: string): OpenStorage =>
  (deliver) => {
    const store = openDocuments(file, { deliver });
    return {
      store,
      documents: async (collection) => store.all(collection),
      start: async () => {
        // The holders are gone, since only one run at a time uses the file.
        store.clear(LEASES);
        store.startDelivery();
      },
      close: async () => store.close(),
    };
  };
