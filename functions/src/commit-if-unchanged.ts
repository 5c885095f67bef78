/** A commit that gives way if another process was faster. */
import { ConflictError } from "./domain/errors.js";
import type { Ports, Write } from "./ports.js";

/**
 * Commits the writes and returns their versions, or undefined if a precondition fails: another process has written a document,
 * or a retried commit meets its own earlier write.
 * @throws StoreError
 */
export async function commitIfUnchanged(
  writes: Write[],
  { store }: Pick<Ports, "store">,
): Promise<string[] | undefined> {
  try {
    return await store.commit(writes);
  } catch (error) {
    if (error instanceof ConflictError) return undefined;
    throw error;
  }
}
