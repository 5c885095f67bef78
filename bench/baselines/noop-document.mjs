/** Takes changes of documents and does nothing. */
import { onDocumentWritten } from "firebase-functions/v2/firestore";

export const baseline = onDocumentWritten("baseline/{id}", () => {});
