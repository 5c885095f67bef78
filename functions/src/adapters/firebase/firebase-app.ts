/** The Firebase app of this project. */
import { type App, getApps, initializeApp } from "firebase-admin/app";

/** The Firebase app of this project; one per instance. */
export function openApp(): App {
  // firebase-functions has an app of its own, which is there before us where a Firestore event came first.
  return getApps().find(({ name }) => name === "[DEFAULT]") ?? initializeApp();
}
