/**
 * Makes external values storable: text from a service, a customer or an error message must never fail a critical commit, such
 * as the one that saves a link.
 */

/** The maximum length of stored external text, in bytes. Firestore can't index longer text. */
const MAX_TEXT_BYTES = 1_500;

/** The times that Firestore accepts, in milliseconds since the epoch: the years 1 to 9999. */
const FIRST_TIME_MS = Date.parse("0001-01-01T00:00:00.000Z");
const LAST_TIME_MS = Date.parse("9999-12-31T23:59:59.999Z");

/** The text with lone surrogates replaced, and cut between two characters if it is too long. */
export function storableText(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_TEXT_BYTES) return bytes.toString();
  const ellipsis = "…";
  let end = MAX_TEXT_BYTES - Buffer.byteLength(ellipsis);
  // Continuation bytes of a character are 10xxxxxx.
  while ((bytes.readUInt8(end) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end) + ellipsis;
}

/** Whether Firestore accepts the time. */
export function isStorableTime(time: Date): boolean {
  // An invalid date is NaN, which is in no range.
  return time.getTime() >= FIRST_TIME_MS && time.getTime() <= LAST_TIME_MS;
}

/** The time, or undefined if Firestore does not accept it. */
export function storableTime(time: Date | undefined): Date | undefined {
  return time && isStorableTime(time) ? time : undefined;
}
