/** The Firebase project that served this page: who is signed in, and its documents. In a local run, the emulators. */
import { type FirebaseOptions, initializeApp } from "firebase/app";
import { type Auth, browserLocalPersistence, connectAuthEmulator, initializeAuth } from "firebase/auth";
import { connectFirestoreEmulator, type Firestore, initializeFirestore } from "firebase/firestore";

export interface Cloud {
  auth: Auth;
  firestore: Firestore;
}

/** Where a local run has its emulators; the cloud has no such file. */
interface Emulators {
  auth: string;
  firestore: { host: string; port: number };
}

/** @throws Error where the page was not served by Firebase Hosting */
export async function connect(): Promise<Cloud> {
  const options = await json<FirebaseOptions>("/__/firebase/init.json");
  const isHere = ["localhost", "127.0.0.1"].includes(location.hostname);
  const emulators = isHere ? await json<Emulators>("/emulators.json") : undefined;
  const app = initializeApp(options);
  const auth = initializeAuth(app, { persistence: browserLocalPersistence });
  const firestore = initializeFirestore(app, {});
  // At once: whoever was signed in before is looked up as soon as there is time.
  if (emulators) {
    connectAuthEmulator(auth, emulators.auth, { disableWarnings: true });
    connectFirestoreEmulator(firestore, emulators.firestore.host, emulators.firestore.port);
  }
  return { auth, firestore };
}

async function json<T>(address: string): Promise<T> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} was answered with ${response.status}`);
  return (await response.json()) as T;
}
