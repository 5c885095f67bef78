/** Finds the Firestore and the Pub/Sub emulator on this machine, or has firebase-tools download them. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { StartError } from "../../services/server.js";

/** How each emulator is known to the environment, to firebase-tools and to the Google Cloud CLI. */
const EMULATORS = {
  firestore: {
    title: "Firestore emulator",
    variable: "FIRESTORE_EMULATOR_BINARY_PATH",
    inCache: { entry: /^cloud-firestore-emulator-v(.+)\.jar$/, inside: "" },
    inGoogleCloud: "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar",
    package: "google-cloud-cli-firestore-emulator",
    component: "cloud-firestore-emulator",
  },
  pubsub: {
    title: "Pub/Sub emulator",
    variable: "PUBSUB_EMULATOR_BINARY_PATH",
    inCache: { entry: /^pubsub-emulator-(\d[\d.]*)$/, inside: "pubsub-emulator/bin/cloud-pubsub-emulator" },
    inGoogleCloud: "platform/pubsub-emulator/bin/cloud-pubsub-emulator",
    package: "google-cloud-cli-pubsub-emulator",
    component: "pubsub-emulator",
  },
} as const;

export type EmulatorName = keyof typeof EMULATORS;

export interface EmulatorPlaces {
  env: NodeJS.ProcessEnv;
  /** The person's home folder. */
  home: string;
  /** Has firebase-tools download the emulator into its cache; rejects where it can't. */
  download(name: EmulatorName, title: string): Promise<void>;
}

/**
 * The path of the emulator: the Firestore emulator's JAR, the Pub/Sub emulator's start script.
 * Looks in the environment, in Firebase's cache and in the Google Cloud CLI, and downloads it last.
 * @throws StartError that tells how to get it
 */
export async function findEmulator(name: EmulatorName, places: EmulatorPlaces): Promise<string> {
  const { title, variable, inGoogleCloud } = EMULATORS[name];
  const given = places.env[variable];
  if (given) {
    if (existsSync(given)) return given;
    throw new StartError(`${variable} says that the ${title} is ${given}, and there is no such file.`);
  }
  const found = inCache(name, places) ?? (await inGoogleCloudCli(inGoogleCloud, places.env));
  if (found) return found;
  const failure = await places.download(name, title).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  const downloaded = inCache(name, places);
  if (downloaded) return downloaded;
  throw new StartError(howToGet(name, failure));
}

function howToGet(name: EmulatorName, failure: string | undefined): string {
  const { title, variable, package: debian, component } = EMULATORS[name];
  return [
    `There is no ${title} on this machine, and it could not be downloaded${failure ? ` (${failure})` : ""}.`,
    "Install it with one of these:",
    `  npx firebase setup:emulators:${name}`,
    `  gcloud components install ${component}`,
    `  apt install ${debian}   (with Google's Debian archive)`,
    `  ${variable}=… with the path of one that you have`,
  ].join("\n");
}

function cacheFolder({ env, home }: Pick<EmulatorPlaces, "env" | "home">): string {
  return env.FIREBASE_EMULATORS_PATH || join(home, ".cache", "firebase", "emulators");
}

/** The newest one in Firebase's cache. */
function inCache(name: EmulatorName, places: EmulatorPlaces): string | undefined {
  const { entry, inside } = EMULATORS[name].inCache;
  const folder = cacheFolder(places);
  const versions = list(folder).flatMap((file) => {
    const version = entry.exec(file)?.[1];
    return version ? [{ version, path: join(folder, file, inside) }] : [];
  });
  versions.sort((a, b) => b.version.localeCompare(a.version, "en", { numeric: true }));
  return versions.find(({ path }) => existsSync(path))?.path;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

async function inGoogleCloudCli(path: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const gcloud = (env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "gcloud"))
    .find((program) => existsSync(program));
  if (!gcloud) return undefined;
  const beside = join(dirname(dirname(realpathSync(gcloud))), path);
  if (existsSync(beside)) return beside;
  // Some packages put a script of their own in front of gcloud, so only gcloud itself knows where it is. Asking is slow.
  const root = await new Promise<string>((resolve) => {
    const asked = ["info", "--format=value(installation.sdk_root)"];
    execFile(gcloud, asked, { env, timeout: 20_000 }, (_error, stdout) => resolve(stdout.trim()));
  });
  return root && existsSync(join(root, path)) ? join(root, path) : undefined;
}
