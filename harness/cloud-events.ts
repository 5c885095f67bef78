/** Events as Eventarc brings them. */
import { randomUUID } from "node:crypto";
import { STAGES, type Stage } from "../functions/src/domain/order-lifecycle.js";

/** A message of Pub/Sub's. */
export function messageEvent(topic: string, payload: object): object {
  const publishTime = new Date().toISOString();
  const messageId = randomUUID();
  return {
    specversion: "1.0",
    id: messageId,
    source: `//pubsub.googleapis.com/projects/bench/topics/${topic}`,
    type: "google.cloud.pubsub.topic.v1.messagePublished",
    time: publishTime,
    datacontenttype: "application/json",
    data: {
      message: { messageId, publishTime, data: Buffer.from(JSON.stringify(payload)).toString("base64") },
      subscription: `projects/bench/subscriptions/${topic}`,
    },
  };
}

/** The message that brings an order to a stage. */
export function orderEvent(stage: Stage, order: string): object {
  const { topic, takes } = STAGES[stage];
  return messageEvent(topic, { order, status: takes });
}

/** A new document, with its fields as Firestore's REST interface writes them. */
export function documentEvent(project: string, path: string, fields: Record<string, object>): object {
  const time = new Date().toISOString();
  const name = `projects/${project}/databases/(default)/documents/${path}`;
  return {
    specversion: "1.0",
    id: randomUUID(),
    source: `//firestore.googleapis.com/projects/${project}/databases/(default)`,
    type: "google.cloud.firestore.document.v1.written",
    time,
    subject: `documents/${path}`,
    datacontenttype: "application/json",
    project,
    database: "(default)",
    namespace: "(default)",
    location: "us-central1",
    document: path,
    data: { value: { name, fields, createTime: time, updateTime: time } },
  };
}
