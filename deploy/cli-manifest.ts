/** The files that the Firebase CLI would upload and the manifest that it would discover, from its own code. */
import { cpSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";

/** A function as the CLI would request it from the cloud; fields that are not named here are in deploy/manifest.json. */
interface Endpoint {
  region: string;
  runtime: string;
  serviceAccount: string;
  availableMemoryMb: number;
  cpu: number;
  concurrency: number;
  minInstances: number;
  maxInstances: number;
  timeoutSeconds: number;
  eventTrigger?: { eventType: string; eventFilters?: Record<string, string> };
  scheduleTrigger?: object;
  httpsTrigger?: object;
  secretEnvironmentVariables?: { key: string }[];
  /** Null leaves the VPC that an earlier deploy joined. */
  vpc?: object | null;
}

interface Param {
  name: string;
  /** Missing for secrets. */
  default?: string | number;
}

/** The parts of the CLI's untyped modules that are used here. */
interface Runtimes {
  getRuntimeDelegate(context: object): Promise<{
    validate(): Promise<void>;
    discoverBuild(config: object, env: Record<string, string>): Promise<{ params: Param[] }>;
  }>;
}
interface Build {
  resolveBackend(options: object): Promise<{
    /** Endpoints by region and name. */
    backend: { requiredAPIs: { api: string }[]; endpoints: Record<string, Record<string, Endpoint>> };
  }>;
}
interface Env {
  parse(dotenv: string): { envs: Record<string, string>; errors: string[] };
}
interface Files {
  readdirRecursive(options: { path: string; ignoreStrings: string[] }): Promise<{ name: string }[]>;
}

const require = createRequire(import.meta.url);
const cli = {
  runtimes: require("firebase-tools/lib/deploy/functions/runtimes") as Runtimes,
  build: require("firebase-tools/lib/deploy/functions/build") as Build,
  env: require("firebase-tools/lib/functions/env") as Env,
  files: require("firebase-tools/lib/fsAsync") as Files,
};

/** The functions' part of firebase.json. */
export function functionsConfiguration(): { source: string; runtime: string; ignore: string[] } {
  const { functions } = JSON.parse(readFileSync("firebase.json", "utf8")) as {
    functions: [ReturnType<typeof functionsConfiguration>];
  };
  return functions[0];
}

/** Copies what `firebase deploy` uploads of the built functions; resolves with the files' names. */
export async function copyUpload(target: string): Promise<string[]> {
  const { source: folder, ignore } = functionsConfiguration();
  const source = resolve(folder);
  const files = await cli.files.readdirRecursive({ path: source, ignoreStrings: ignore });
  const names = files.map(({ name }) => relative(source, name)).sort();
  for (const name of names) cpSync(join(source, name), join(target, name), { recursive: true });
  return names;
}

export interface Manifest {
  /** By name. */
  endpoints: Record<string, Endpoint>;
  params: Param[];
  /** The APIs that the CLI enables. */
  apis: string[];
}

/** The manifest of the built functions in this folder with these params, in the form of a dotenv file. The CLI asks no questions. */
export async function discover(folder: string, project: string, dotenv: string): Promise<Manifest> {
  const { runtime } = functionsConfiguration();
  const context = { projectId: project, projectDir: dirname(folder), sourceDir: folder, runtime };
  const delegate = await cli.runtimes.getRuntimeDelegate(context);
  await delegate.validate();
  const firebaseConfig = { projectId: project };
  const { envs: userEnvs, errors } = cli.env.parse(dotenv);
  if (errors.length > 0) throw new Error(`the CLI can't read the params: ${errors.join(", ")}`);
  const env = { ...userEnvs, FIREBASE_CONFIG: JSON.stringify(firebaseConfig), GCLOUD_PROJECT: project };
  const build = await delegate.discoverBuild({}, env);
  // As in the emulator, so Secret Manager is not called.
  const given = { build, firebaseConfig, userEnvs, nonInteractive: true, isEmulator: true };
  const { endpoints, requiredAPIs } = (await cli.build.resolveBackend(given)).backend;
  return {
    endpoints: Object.assign({}, ...Object.values(endpoints)) as Record<string, Endpoint>,
    params: build.params,
    apis: requiredAPIs.map(({ api }) => api),
  };
}
