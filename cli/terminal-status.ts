/** What a running system shows: lines of news, and below them one line that is rewritten in place on a terminal. */
import type { WriteStream } from "node:tty";

export class Screen {
  private line = "";
  private shown = "";

  constructor(private readonly out: Pick<WriteStream, "write"> & { isTTY?: boolean; columns?: number }) {}

  /** Prints something that stays. */
  news(text: string): void {
    if (this.shown !== "" && this.out.isTTY) this.out.write("\r\x1b[K");
    this.shown = "";
    this.out.write(`${text}\n`);
    if (this.out.isTTY) this.draw();
  }

  /** Shows how things stand now; where there is no terminal, as a line of its own whenever it has changed. */
  status(line: string): void {
    if (line === this.line) return;
    this.line = line;
    if (this.out.isTTY) this.draw();
    else this.out.write(`${line}\n`);
  }

  /** Leaves the line as it stands. */
  end(): void {
    if (this.shown !== "" && this.out.isTTY) this.out.write("\n");
    this.line = "";
    this.shown = "";
  }

  private draw(): void {
    if (this.line === "") return;
    // A line that wraps could not be rewritten.
    const fitting = this.line.slice(0, (this.out.columns || 80) - 1);
    this.out.write(`\r\x1b[K${fitting}`);
    this.shown = fitting;
  }
}
