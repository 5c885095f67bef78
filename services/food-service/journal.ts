/** The state file: one event per line, written before the reply is sent, so a killed server loses nothing that it acknowledged. */
import { appendFileSync, closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync } from "node:fs";
import { dirname } from "node:path";
import { toErrorInfo } from "../../functions/src/domain/errors.js";
import { StartError } from "../server.js";

export class Journal {
  /** The number of bytes in complete lines. */
  private whole = 0;

  private constructor(
    private readonly file: string,
    private readonly descriptor: number,
    /** The size of the file in bytes. */
    private present: number,
  ) {}

  /**
   * Opens a state file, to append to or only to read. Appending creates the file if it does not exist.
   * @throws StartError if it can't be opened
   */
  static open(file: string, use: "append" | "read"): Journal {
    try {
      if (use === "append") mkdirSync(dirname(file), { recursive: true });
      const descriptor = openSync(file, use === "append" ? "a+" : "r");
      return new Journal(file, descriptor, fstatSync(descriptor).size);
    } catch (error) {
      throw new StartError(`The state file ${file} can't be opened: ${toErrorInfo(error).message}`, { cause: error });
    }
  }

  get size(): number {
    return this.present;
  }

  /**
   * Passes on each event in the file; a partial last line is ignored.
   * @throws StartError that names an invalid line
   */
  replay(take: (event: unknown) => void): void {
    let number = 0;
    try {
      for (const line of linesOf(this.descriptor)) {
        number++;
        take(JSON.parse(line.toString("utf8")));
        this.whole += line.length + 1;
      }
    } catch (error) {
      const message = `The state file ${this.file} is damaged in line ${number}: ${toErrorInfo(error).message}`;
      throw new StartError(message, { cause: error });
    }
  }

  /** Appends an event, or throws and stores none of it. */
  append(event: object): void {
    if (fstatSync(this.descriptor).size !== this.present) {
      throw new Error(`another program has written to the state file ${this.file}`);
    }
    // A partial line, left by a kill or a full disk, was never acknowledged.
    if (this.present > this.whole) ftruncateSync(this.descriptor, this.whole);
    const line = Buffer.from(`${JSON.stringify(event)}\n`);
    try {
      appendFileSync(this.descriptor, line);
      this.whole += line.length;
    } finally {
      this.present = fstatSync(this.descriptor).size;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** The complete lines, without line ends. The file may be larger than the maximum length of a string. */
function* linesOf(descriptor: number): Generator<Buffer> {
  const chunk = Buffer.alloc(1 << 20);
  let rest = Buffer.alloc(0);
  let position = 0;
  for (;;) {
    const read = readSync(descriptor, chunk, 0, chunk.length, position);
    if (read === 0) return;
    position += read;
    rest = Buffer.concat([rest, chunk.subarray(0, read)]);
    let start = 0;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10, start)) {
      yield rest.subarray(start, end);
      start = end + 1;
    }
    rest = rest.subarray(start);
  }
}
