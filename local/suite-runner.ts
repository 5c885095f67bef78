/** Runs the functions in the Emulator Suite, with persistent state if the run has a folder for it. */
import { join } from "node:path";
import type { Snapshot } from "../functions/src/ports.js";
import { findEmulators } from "../harness/emulators/find-emulators.js";
import { findJava, type Java } from "../harness/emulators/find-java.js";
import { countDocuments, readCollection, readDocuments } from "../harness/emulators/firestore-rest.js";
import { PROJECT, startSuite } from "../harness/emulators/suite.js";
import { addPeople } from "../harness/emulators/test-accounts.js";
import { ROOT } from "../harness/root.js";

import { StartError } from "../services/server.js";
import { AccountsFile } from "./accounts-file.js";
import { provideConsole } from "./built-console.js";
import { openDocuments } from "./data-directory.js";
import { FirestoreJournal } from "./firestore-journal.js";
import type { Runner, RunnerOptions } from "./runner.js";
import { Scheduler } from "./scheduler.js";

interface Programs {
  java: Java;
  programs: Record<"firestore" | "pubsub", string>;
}

/**
 * Java and the emulators; undefined if they are missing and not required.
 * @throws StartError that says how to install what is missing, if it is required
 */
export async function findPrograms(
  isRequired: boolean,
  onProgress: (message: string) => void,
  signal: AbortSignal,
): Promise<Programs | undefined> {
  onProgress("Looking for Java and the emulators");
  try {
    const java = await findJava();
    return { java, programs: await findEmulators(java, { onProgress, signal }) };
  } catch (error) {
    if (!(error instanceof StartError) || isRequired) throw error;
    onProgress(
      `${error.message}\nContinuing in embedded mode, in one process without emulators. Use --emulators to require them.`,
    );
    return undefined;
  }
}

interface SuiteRunnerOptions extends RunnerOptions, Programs {
  /** Whether the person's own params in functions/.env* apply if this run does not set them. */
  withOwnParams: boolean;
}

/**
 * Starts the suite and restores its earlier state.
 * @throws StartError that says why it could not start
 */
export async function startInSuite(options: SuiteRunnerOptions): Promise<Runner> {
  const { directory, ports, intervals, parts, signal, onProgress, onTrouble } = options;
  const addresses = {
    project: PROJECT,
    firestore: `127.0.0.1:${ports.firestore}`,
    pubsub: `127.0.0.1:${ports.pubsub}`,
    auth: `127.0.0.1:${ports.auth}`,
    functions: `http://127.0.0.1:${ports.functions}`,
    hosting: `http://127.0.0.1:${ports.hosting}`,
  };
  const { firestore, auth, functions } = addresses;
  const { journal, accounts } = await openState(options, addresses);
  await provideConsole(join(directory, "operator-console", "dist"));
  onProgress("Starting the Emulator Suite (15 to 40 seconds)");
  const stopping = new AbortController();
  parts.defer(async () => stopping.abort());
  const restoring = journal?.restore(AbortSignal.any([signal, stopping.signal]));
  // Its failure is handled below, if the suite starts at all.
  restoring?.catch(() => undefined);
  const suite = await startSuite({
    ...options,
    root: ROOT,
    firestore: journal?.address,
    accountsChangedUrl: accounts?.changedUrl,
  });
  parts.defer(() => suite.stop());
  const scheduler = await Scheduler.open({
    functions,
    project: PROJECT,
    intervals,
    isBusy: suite.isBusy,
    onTrouble,
  });
  parts.defer(async () => scheduler.stop());
  if (!(await accounts?.restore())) await addPeople(auth, PROJECT);
  await restoring;
  await journal?.restoreUnfinished();
  return {
    suite: { ...addresses, journal: journal?.address },
    console: undefined,
    documents: (collection) => readCollection(firestore, PROJECT, collection),
    store: storeOver(firestore),
    scheduler,
    log: suite.log,
    failed: suite.exited.then((how) => `The Emulator Suite ${how}; its log is ${suite.log}`),
  };
}

/** Makes the emulators durable, if the run has a folder for it. */
async function openState(
  { data, parts }: RunnerOptions,
  { firestore, auth }: { firestore: string; auth: string },
): Promise<{ journal?: FirestoreJournal; accounts?: AccountsFile }> {
  if (!data) return {};
  const store = openDocuments(data.documents);
  parts.defer(async () => store.close());
  const journal = await FirestoreJournal.start({ firestore, project: PROJECT, store });
  parts.defer(async () => journal.stop());
  const accounts = await AccountsFile.open({ file: data.accounts, auth, project: PROJECT });
  parts.defer(async () => accounts.stop());
  return { journal, accounts };
}

/** The suite's Firestore, without its security rules. */
function storeOver(firestore: string): Runner["store"] {
  return {
    count: (matching) => countDocuments(firestore, PROJECT, matching),
    read: async <const P extends readonly string[]>(...paths: P) => {
      const found = new Map(
        (await readDocuments(firestore, PROJECT, [...paths])).map(({ path, fields }) => [path, fields]),
      );
      const snapshots = paths.map((path) => {
        const fields = found.get(path);
        return fields && { path, fields, version: "" };
      });
      return snapshots as { [I in keyof P]: Snapshot | undefined };
    },
  };
}
