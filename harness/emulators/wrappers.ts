/**
 * Small programs of our own around the two Java emulators, in the folder of a run. Each puts that folder's path on the
 * emulator's command line, so that the run can find the emulator again and end it, whatever became of its parent.
 */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { strToU8, unzipSync, zipSync } from "fflate";

/** The Google Cloud CLI's JAR does not tell its main class; its start script does. */
const FIRESTORE_MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore";

/** A manifest's lines may have 72 bytes, the line break among them. */
const LONGEST_LINE = 70;

/** What the command lines of the wrapped emulators of a run have, and no other program's. */
export function marksIn(folder: string): string[] {
  return [`-jar ${jarIn(folder)}`, propertyOf(folder)];
}

const jarIn = (folder: string) => join(folder, "firestore-emulator.jar");
const propertyOf = (folder: string) => `-Ddiet.run=${folder}`;

const MANIFEST = "META-INF/MANIFEST.MF";

/** Writes a JAR that starts the Firestore emulator of this JAR; returns its path. */
export function wrapFirestoreEmulator(jar: string, folder: string): string {
  const path = jarIn(folder);
  const mainClass = /^Main-Class: *(\S+)/m.exec(manifestIn(jar))?.[1] ?? FIRESTORE_MAIN_CLASS;
  const manifest = ["Manifest-Version: 1.0", `Main-Class: ${mainClass}`, `Class-Path: ${pathToFileURL(jar).href}`];
  writeFileSync(path, zipSync({ [MANIFEST]: strToU8(manifest.map(folded).join("")) }));
  return path;
}

/**
 * Writes a script that starts the Pub/Sub emulator of this script; returns its path.
 * -Xrs lets a signal end it at once: where it takes longer, firebase-tools ends every Pub/Sub emulator on the machine.
 */
export function wrapPubSubEmulator(script: string, folder: string): string {
  const path = join(folder, "pubsub-emulator.sh");
  const options = `-Xrs ${quoted(propertyOf(folder))}`;
  writeFileSync(path, `#!/bin/sh\nJAVA_OPTS=${quoted(options)}\nexport JAVA_OPTS\nexec ${quoted(script)} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

function manifestIn(jar: string): string {
  const files = unzipSync(readFileSync(jar), { filter: (file) => file.name === MANIFEST });
  return new TextDecoder().decode(files[MANIFEST] ?? new Uint8Array());
}

/** A header in lines that are short enough; each but the first begins with a space. */
function folded(header: string): string {
  const lines = [header.slice(0, LONGEST_LINE)];
  for (let at = LONGEST_LINE; at < header.length; at += LONGEST_LINE - 1) {
    lines.push(` ${header.slice(at, at + LONGEST_LINE - 1)}`);
  }
  return `${lines.join("\r\n")}\r\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
