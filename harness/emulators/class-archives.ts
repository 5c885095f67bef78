/**
 * Archives of the classes that an emulator loads: from one, it starts with half the processor time. `makeArchives` makes them once for a
 * Java and an emulator. Java itself ignores an archive that it can't use.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../root.js";
import type { EmulatorName } from "./find-emulator.js";
import type { Java } from "./find-java.js";

/** The Firestore emulator's JAR and the Pub/Sub emulator's start script. */
export type Programs = Record<EmulatorName, string>;

/** The path of each emulator's archive, by the path of its JAR. */
export type Archives = Map<string, string>;

const FOLDER = join(ROOT, ".local", "class-archives");

/** Where the archives of these emulators belong. A file is there only if it is complete. */
export function archivesOf(java: Java, programs: Programs, folder = FOLDER): Archives {
  return new Map(
    Object.entries(programs).flatMap(([name, program]) => {
      const jar = jarOf(program);
      return jar === undefined ? [] : [[jar, join(folder, `${name}-${keyOf(java, jar)}.jsa`)]];
    }),
  );
}

/**
 * Makes the archives that are missing, and removes those of earlier versions. Several processes may do so at the same time.
 * @param run starts both emulators, uses them and stops them in an orderly way: Java then writes the archives to these paths
 */
export async function makeArchives(archives: Archives, run: (written: Archives) => Promise<void>): Promise<void> {
  if ([...archives.values()].every((archive) => existsSync(archive))) return;
  const [first = ""] = archives.values();
  const folder = dirname(first);
  mkdirSync(folder, { recursive: true });
  const making = mkdtempSync(join(folder, "making-"));
  try {
    const written = new Map([...archives.keys()].map((jar, index) => [jar, join(making, `${index}.jsa`)]));
    await run(written);
    for (const [jar, archive] of archives) renameSync(written.get(jar) ?? "", archive);
    const current = new Set(archives.values());
    for (const name of readdirSync(folder))
      if (name.endsWith(".jsa") && !current.has(join(folder, name))) rmSync(join(folder, name), { force: true });
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

/** The JAR of an emulator, if it is clear which one that is. The Pub/Sub emulator's is in the folder beside its start script's. */
function jarOf(program: string): string | undefined {
  if (program.endsWith(".jar")) return program;
  const folder = join(dirname(dirname(realpathSync(program))), "lib");
  const jars = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".jar")) : [];
  return jars.length === 1 ? join(folder, ...jars) : undefined;
}

function keyOf({ home, version }: Java, jar: string): string {
  const { size, mtimeMs } = statSync(jar);
  return createHash("sha256")
    .update(JSON.stringify([home, version, jar, size, mtimeMs]))
    .digest("hex")
    .slice(0, 16);
}
