/** The folder with a run's persistent state, and the lock that allows one run at a time to use it. */
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ATTEMPTS } from "../functions/src/attempts/attempt.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { StartError } from "../services/server.js";
import { SqliteStore } from "./sqlite-store.js";

/** How long to wait for the previous run to end, in milliseconds: a killed process holds its lock until it is gone. */
const LOCK_TIMEOUT_MS = 3_000;

export interface DataDirectory {
  /** The folder's absolute path. The simulated food service keeps its own state in it. */
  path: string;
  /** The documents: a SQLite file. */
  documents: string;
  /** The accounts of the operators, as JSON. */
  accounts: string;
  /** Releases the folder. */
  close(): void;
}

/**
 * Opens the folder for this run, or creates it.
 * @throws StartError when another run uses it, or it can't be written to
 */
export function openDataDirectory(directory: string): DataDirectory {
  const path = resolve(directory);
  let lock: DatabaseSync;
  try {
    mkdirSync(path, { recursive: true });
    lock = new DatabaseSync(join(path, "lock"), { timeout: LOCK_TIMEOUT_MS });
    // The operating system releases the lock whenever the process ends.
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    const { message } = error as Error;
    if (message.includes("locked"))
      throw new StartError(`Another run uses ${path}: stop it, or choose another folder with --data.`);
    throw new StartError(`${path} can't be used for state: ${message}.`, { cause: error });
  }
  return {
    path,
    documents: documentsIn(path),
    accounts: join(path, "accounts.json"),
    close: () => lock.close(),
  };
}

/** Whether a folder has relations or attempts from an earlier run. */
export function hasState(directory: string): boolean {
  const file = documentsIn(directory);
  if (!existsSync(file)) return false;
  const store = openDocuments(file);
  try {
    return store.has(RELATIONS) || store.has(ATTEMPTS);
  } finally {
    store.close();
  }
}

/** @throws StartError when the file can't be read */
export function openDocuments(...[file, options]: ConstructorParameters<typeof SqliteStore>): SqliteStore {
  try {
    return new SqliteStore(file, options);
  } catch (error) {
    throw new StartError(`The state in ${file} can't be opened: ${(error as Error).message}.`, { cause: error });
  }
}

/** The file of the documents in a folder. */
export function documentsIn(directory: string): string {
  return join(directory, "documents.db");
}
