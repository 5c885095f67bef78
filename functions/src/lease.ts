/** A lease: at most one run of its kind at a time. It ends by itself, so that a run that died holds nobody up for long. */
import * as v from "valibot";
import { ConflictError } from "./domain/errors.js";
import { parse } from "./parse.js";
import type { Ports, Snapshot, Write } from "./ports.js";

const schema = v.object({ holder: v.string(), step: v.pipe(v.number(), v.integer()), until: v.date() });

/** Whoever shows holder and step may go on; each continuation takes the next step, so that a doubled one stops. */
export interface Lease {
  path: string;
  holder: string;
  step: number;
  version: string;
}

/** Takes the lease for so many milliseconds, or returns undefined where somebody has it. */
export async function acquireLease(path: string, milliseconds: number, ports: Ports): Promise<Lease | undefined> {
  const [snapshot] = await ports.store.read(path);
  if (snapshot && read(snapshot).until.getTime() > ports.clock.now()) return undefined;
  return take(path, snapshot, { holder: ports.random.uuid(), step: 0 }, milliseconds, ports);
}

/** Goes on with a lease that another run handed over, or returns undefined where it is not that step's turn any more. */
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
  return take(path, snapshot, { holder, step: step + 1 }, milliseconds, ports);
}

/** Gives the lease back. One that has passed to somebody else is left alone. */
export async function releaseLease(lease: Lease, ports: Ports): Promise<void> {
  const fields = { holder: "", step: 0, until: new Date(0) };
  await write({ kind: "update", path: lease.path, version: lease.version, fields }, ports);
}

async function take(
  path: string,
  snapshot: Snapshot | undefined,
  { holder, step }: { holder: string; step: number },
  milliseconds: number,
  ports: Ports,
): Promise<Lease | undefined> {
  const fields = { holder, step, until: new Date(ports.clock.now() + milliseconds) };
  const version = await write(
    snapshot ? { kind: "update", path, version: snapshot.version, fields } : { kind: "create", path, fields },
    ports,
  );
  if (version !== undefined) return { path, holder, step, version };
  // A commit that was retried below us may meet its own earlier write.
  const [now] = await ports.store.read(path);
  const found = now && read(now);
  const isOurs = found?.holder === holder && found.step === step && found.until.getTime() === fields.until.getTime();
  return now && isOurs ? { path, holder, step, version: now.version } : undefined;
}

async function write(write: Write, ports: Ports): Promise<string | undefined> {
  try {
    const [version] = await ports.store.commit([write]);
    return version;
  } catch (error) {
    if (error instanceof ConflictError) return undefined;
    throw error;
  }
}

function read(snapshot: Snapshot): v.InferOutput<typeof schema> {
  const what = `${snapshot.path} is not a lease; delete it and the next tick makes a new one`;
  return parse(schema, snapshot.fields, what);
}
