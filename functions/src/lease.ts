/** A lease: at most one run of its kind at a time. It expires, so a crashed run blocks the next one only briefly. */
import * as v from "valibot";
import { commitIfUnchanged } from "./commit-if-unchanged.js";
import { parse } from "./parse.js";
import type { Fields, Ports, Snapshot, Write } from "./ports.js";

const schema = v.object({ holder: v.string(), step: v.pipe(v.number(), v.integer()), until: v.date() });

/**
 * The run that holds the lease, and its step. Each run has a holder id of its own, and each continuation takes the next step, so a
 * duplicate stops.
 */
export interface Lease {
  path: string;
  holder: string;
  step: number;
  version: string;
  /** The document's fields when the lease was acquired: what the previous run left there. */
  fields: Fields;
}

/** Acquires the lease for this many milliseconds, or returns undefined if another run holds it. */
export async function acquireLease(path: string, milliseconds: number, ports: Ports): Promise<Lease | undefined> {
  const [snapshot] = await ports.store.read(path);
  if (snapshot && read(snapshot).until.getTime() > ports.clock.now()) return undefined;
  return take(path, snapshot, { holder: ports.random.uuid(), step: 0 }, milliseconds, ports);
}

/** Continues a lease that another run passed on, or returns undefined if that step was already taken. */
export async function resumeLease(
  path: string,
  handed: { holder: string; step: number },
  milliseconds: number,
  ports: Ports,
): Promise<Lease | undefined> {
  const [snapshot] = await ports.store.read(path);
  if (!snapshot) return undefined;
  const { holder, step } = read(snapshot);
  if (holder !== handed.holder || step !== handed.step) return undefined;
  // A new id distinguishes this run from a duplicate that resumes the same step at the same millisecond.
  return take(path, snapshot, { holder: ports.random.uuid(), step: step + 1 }, milliseconds, ports);
}

/**
 * Releases the lease, unless another run holds it now.
 * @param more fields to leave in the document for the next run and for the console, in the same write
 */
export async function releaseLease(lease: Lease, ports: Ports, more: Fields = {}): Promise<void> {
  const fields = { ...more, holder: "", until: new Date(0) };
  await commitIfUnchanged([{ kind: "update", path: lease.path, version: lease.version, fields }], ports);
}

async function take(
  path: string,
  snapshot: Snapshot | undefined,
  { holder, step }: { holder: string; step: number },
  milliseconds: number,
  ports: Ports,
): Promise<Lease | undefined> {
  const fields = { holder, step, until: new Date(ports.clock.now() + milliseconds) };
  const write: Write = snapshot
    ? { kind: "update", path, version: snapshot.version, fields }
    : { kind: "create", path, fields };
  const [version] = (await commitIfUnchanged([write], ports)) ?? [];
  if (version !== undefined) return { path, holder, step, version, fields: { ...snapshot?.fields, ...fields } };
  // The client may retry a commit that already succeeded, so a conflict can be our own write.
  const [now] = await ports.store.read(path);
  const found = now && read(now);
  return now && found?.holder === holder ? { path, holder, step, version: now.version, fields: now.fields } : undefined;
}

function read(snapshot: Snapshot): v.InferOutput<typeof schema> {
  const what = `${snapshot.path} is not a lease: delete it, and the next tick creates a new one`;
  return parse(schema, snapshot.fields, what);
}
