/** Pub/Sub's client, a module of its own so that it is loaded, and bundled, apart from the rest: it is the heaviest import of all. */
export { PubSub } from "@google-cloud/pubsub";
