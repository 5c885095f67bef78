/** Finds a Java that is new enough for the Firestore and Pub/Sub emulators. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { StartError } from "../../services/start-error.js";

/** The version that firebase-tools requires. */
const OLDEST = 21;

/** The folders in which installers put Java homes, each with the path from an entry to its home. */
const USUAL_PLACES = [
  { folder: "/usr/lib/jvm", inside: "" },
  { folder: "/usr/java", inside: "" },
  { folder: "/opt/java", inside: "" },
  { folder: "/Library/Java/JavaVirtualMachines", inside: "Contents/Home" },
  { folder: "/opt/homebrew/opt", inside: "libexec/openjdk.jdk/Contents/Home" },
  { folder: "/usr/local/opt", inside: "libexec/openjdk.jdk/Contents/Home" },
  { folder: "~/Library/Java/JavaVirtualMachines", inside: "Contents/Home" },
  { folder: "~/.sdkman/candidates/java", inside: "" },
  { folder: "~/.jdks", inside: "" },
];

export interface Java {
  /** The value for JAVA_HOME. */
  home: string;
  /** Java's own version, such as 21.0.7. */
  version: string;
}

export interface JavaPlaces {
  env?: NodeJS.ProcessEnv;
  /** The person's home folder. */
  home?: string;
  usual?: { folder: string; inside: string }[];
}

/**
 * The first Java that is new enough: JAVA_HOME's, then those on the PATH, then the newest in the usual places.
 * @throws StartError that tells what was found instead and how to get one
 */
export async function findJava({
  env = process.env,
  home = homedir(),
  usual = USUAL_PLACES,
}: JavaPlaces = {}): Promise<Java> {
  const onPath = (env.PATH ?? "")
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => homeOf(join(folder, "java")));
  const chosen = await javasAt([env.JAVA_HOME, ...onPath]);
  const wanted = chosen.find(isNewEnough);
  if (wanted) return wanted;
  const installed = await javasAt(usual.flatMap(({ folder, inside }) => homesIn(folder.replace(/^~/, home), inside)));
  const [newest] = installed.sort((a, b) => majorOf(b.version) - majorOf(a.version));
  if (newest && isNewEnough(newest)) return newest;
  throw new StartError(howToGetJava([...chosen, ...installed]));
}

const isNewEnough = ({ version }: Java) => majorOf(version) >= OLDEST;

/** The Javas that have these homes. */
async function javasAt(homes: (string | undefined)[]): Promise<Java[]> {
  const found = await Promise.all([...new Set(homes)].map((home) => home && javaAt(home)));
  return found.flatMap((java) => java || []);
}

function howToGetJava(found: Java[]): string {
  const seen = [...new Map(found.map((java) => [java.home, `${java.version} in ${java.home}`])).values()];
  return [
    `The Firestore and Pub/Sub emulators need Java ${OLDEST} or newer, and there is none${seen.length ? " that new" : ""}.`,
    ...(seen.length ? [`Found: ${seen.join(", ")}.`] : []),
    "Get one from https://adoptium.net, with `apt install openjdk-21-jre-headless` or with `brew install openjdk@21`;",
    "if it is somewhere unusual, set JAVA_HOME to it.",
  ].join("\n");
}

/** The Java home of a program, which may be a link, or undefined if the program does not exist. */
function homeOf(program: string): string | undefined {
  return existsSync(program) ? dirname(dirname(realpathSync(program))) : undefined;
}

function homesIn(folder: string, inside: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name, inside));
  } catch {
    return [];
  }
}

async function javaAt(home: string): Promise<Java | undefined> {
  const program = join(home, "bin", "java");
  if (!existsSync(program)) return undefined;
  const version = versionInRelease(join(home, "release")) ?? (await versionByAsking(program));
  return version === undefined ? undefined : { home, version };
}

/** Every JDK and JRE since 8 has this file; reading it is much faster than starting Java. */
function versionInRelease(file: string): string | undefined {
  try {
    return /^JAVA_VERSION="([^"]+)"/m.exec(readFileSync(file, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}

function versionByAsking(program: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program, ["-version"], { timeout: 10_000 }, (_error, stdout, stderr) => {
      resolve(/version "([^"]+)"/.exec(stderr + stdout)?.[1]);
    });
  });
}

/** 21 for 21.0.7 and 8 for 1.8.0_452. */
function majorOf(version: string): number {
  const [first = 0, second = 0] = version.split(/[._+-]/).map(Number);
  return first === 1 ? second : first;
}
