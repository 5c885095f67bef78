/**
 * Pub/Sub's client for publishing alone, a module of its own so that it is loaded, and bundled, apart from the rest. The
 * package's entry loads those for subscriptions and schemas too, and hands over message by message.
 */
export { PublisherClient } from "@google-cloud/pubsub-api/build/src/v1/publisher_client.js";
