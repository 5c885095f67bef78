/** Events as Eventarc delivers them. */
import { randomUUID } from "node:crypto";
import { STAGES, type Stage } from "../functions/src/domain/order-lifecycle.js";

interface PubSubMessage {
  messageId: string;
  publishTime: string;
  /** In base64. */
  data: string;
}

/** A message that Pub/Sub has delivered before it became an event. */
export function messagePublished(
  project: string,
  topic: string,
  data: { message: PubSubMessage; subscription?: string },
): object {
  return {
    specversion: "1.0",
    id: data.message.messageId,
    source: `//pubsub.googleapis.com/projects/${project}/topics/${topic}`,
    type: "google.cloud.pubsub.topic.v1.messagePublished",
    time: data.message.publishTime,
    datacontenttype: "application/json",
    data,
  };
}

/** A new message with this payload, as JSON. */
export function messageEvent(topic: string, payload: unknown, project = "local"): object {
  const data = Buffer.from(JSON.stringify(payload)).toString("base64");
  const message = { messageId: randomUUID(), publishTime: new Date().toISOString(), data };
  return messagePublished(project, topic, { message, subscription: `projects/${project}/subscriptions/${topic}` });
}

/** The message that publishes an order to a stage. */
export function orderEvent(stage: Stage, order: string): object {
  const { topic, takes } = STAGES[stage];
  return messageEvent(topic, { order, status: takes });
}

/** "written" stands for every change. */
type DocumentEventKind = "written" | "created";

/** A change of a document. Its versions have fields as Firestore's REST interface writes them. */
export function documentChanged(
  project: string,
  path: string,
  { value, oldValue }: { value?: object | undefined; oldValue?: object | undefined },
  kind: DocumentEventKind = "written",
): object {
  return {
    specversion: "1.0",
    id: randomUUID(),
    source: `//firestore.googleapis.com/projects/${project}/databases/(default)`,
    type: `google.cloud.firestore.document.v1.${kind}`,
    time: new Date().toISOString(),
    subject: `documents/${path}`,
    datacontenttype: "application/json",
    project,
    database: "(default)",
    namespace: "(default)",
    location: "us-central1",
    document: path,
    data: { ...(value && { value }), ...(oldValue && { oldValue }) },
  };
}

/** A version of a document, with fields as Firestore's REST interface writes them. */
export function documentVersion(
  project: string,
  path: string,
  fields: Record<string, object>,
  { created, updated }: { created: Date; updated: Date } = { created: new Date(), updated: new Date() },
): object {
  const name = `projects/${project}/databases/(default)/documents/${path}`;
  return { name, fields, createTime: created.toISOString(), updateTime: updated.toISOString() };
}
