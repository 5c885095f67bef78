/** A write of one document that gives way if another process was faster. */
import { ConflictError } from "../domain/errors.js";
import type { Ports, Write } from "../ports.js";

/**
 * Commits the write, and returns false if its precondition fails: another process has written the document.
 * @throws StoreError
 */
export async function commitIfUnchanged(write: Write, { store }: Pick<Ports, "store">): Promise<boolean> {
  try {
    await store.commit([write]);
    return true;
  } catch (error) {
    if (error instanceof ConflictError) return false;
    throw error;
  }
}
