/** Reads messages of generated code strictly: text that is not UTF-8 is an error, where it would become U+FFFD otherwise. */
import { BinaryReader } from "@bufbuild/protobuf/wire";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The same reader of a generated message, but strict.
 * @throws TypeError, from the returned function, for text that is not UTF-8
 */
export function strictly<Message>(deserialize: (bytes: Buffer) => Message): (bytes: Buffer) => Message {
  // Generated code hands on what it gets, and takes a reader as well as bytes.
  return (bytes) => deserialize(new BinaryReader(bytes, (text) => decoder.decode(text)) as unknown as Buffer);
}
