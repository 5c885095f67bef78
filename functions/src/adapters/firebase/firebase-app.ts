/** The Firebase app of this project. */
import { type App, getApps, initializeApp } from "firebase-admin/app";

/** The Firebase app of this project; one per instance. */
export function openApp(): App {
  // firebase-functions creates the app itself if a Firestore event comes first.
  return getApps().find(({ name }) => name === "[DEFAULT]") ?? initializeApp();
}
