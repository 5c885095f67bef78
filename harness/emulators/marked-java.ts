/** A Java with a mark for one run: its emulators can be found and ended even if their parent was killed. */
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { quoteForShell } from "../process/shell.js";
import type { Archives } from "./class-archives.js";
import type { Java } from "./find-java.js";

/** The Google Cloud CLI's JAR does not name its main class; its start script does. */
const WITHOUT_MAIN_CLASS = "cloud-firestore-emulator.jar";
const FIRESTORE_MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore";

export interface MarkedJava {
  /** What JAVA_HOME must be. */
  home: string;
  /** A text that only the command lines of this run's emulators contain. */
  mark: string;
}

/** The archives of the emulators' classes, and whether Java starts from them or writes them when a signal ends it. */
export interface Classes {
  archives: Archives;
  written?: boolean;
}

/**
 * Makes a Java home in this folder whose `java` starts the real one with the mark.
 * -Xrs lets a signal end an emulator at once: if it takes longer, firebase-tools kills every Pub/Sub emulator on the machine.
 * The first compiler alone suffices for a run of minutes: an emulator starts with less than three quarters of the processor time.
 */
export function markJava(java: Java, folder: string, { archives, written = false }: Classes): MarkedJava {
  const home = join(folder, "java");
  // ps shows plain ASCII only.
  const mark = `-Ddiet.run=${randomUUID()}`;
  const lines = [
    "#!/bin/sh",
    "for word; do",
    "  shift",
    `  case "$last $word" in`,
    `    *" -jar") last=$word; continue ;;`,
    ...[...archives].flatMap(([jar, archive]) => withArchive(jar, archive, written)),
    "  esac",
    `  case "$last $word" in`,
    `    "-jar "*${WITHOUT_MAIN_CLASS}) set -- "$@" -cp "$word" ${FIRESTORE_MAIN_CLASS} ;;`,
    `    "-jar "*) set -- "$@" -jar "$word" ;;`,
    `    *) set -- "$@" "$word" ;;`,
    "  esac",
    "  last=",
    "done",
    `exec ${quoteForShell(join(java.home, "bin", "java"))} ${mark} ${written ? "" : "-Xrs "}-XX:TieredStopAtLevel=1 "$@"`,
  ];
  mkdirSync(join(home, "bin"), { recursive: true });
  const program = join(home, "bin", "java");
  writeFileSync(program, `${lines.join("\n")}\n`);
  chmodSync(program, 0o755);
  return { home, mark };
}

/** A case for this JAR. Java would log that it can't use an archive, among the emulator's own lines. */
function withArchive(jar: string, archive: string, written: boolean): string[] {
  if (!written && !existsSync(archive)) return [];
  const option = `${written ? "-XX:ArchiveClassesAtExit" : "-XX:SharedArchiveFile"}=${archive}`;
  return [`    ${quoteForShell(`-jar ${jar}`)}) set -- "$@" ${quoteForShell(option)} -Xlog:disable ;;`];
}
