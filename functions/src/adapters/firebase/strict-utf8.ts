/** Reads generated messages strictly: invalid UTF-8 is an error instead of becoming U+FFFD. */
import { BinaryReader } from "@bufbuild/protobuf/wire";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A strict version of a generated message's decoder.
 * @throws TypeError, from the returned function, for text that is not UTF-8
 */
export function strictly<Message>(deserialize: (bytes: Buffer) => Message): (bytes: Buffer) => Message {
  // Generated code accepts a reader as well as bytes, and passes it on.
  return (bytes) => deserialize(new BinaryReader(bytes, (text) => decoder.decode(text)) as unknown as Buffer);
}
