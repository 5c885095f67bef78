/** The terminal output of a long command: lines of news, and below them one status line. */
import { createLogUpdate } from "log-update";

/** Without a terminal, a line of progress comes this often. */
const PLAIN_LINE_MS = 10_000;

/** On a terminal, the line is rewritten this often at most. */
const REDRAW_MS = 100;

type Stream = Pick<NodeJS.WriteStream, "write"> & { isTTY?: boolean };

/** News, and below them a status line: rewritten in place on a terminal, elsewhere a line of its own for each change. */
export class Screen {
  private line = "";
  private readonly rewrite: ReturnType<typeof createLogUpdate> | undefined;

  constructor(private readonly out: Stream) {
    if (out.isTTY) this.rewrite = createLogUpdate(out as NodeJS.WriteStream, { showCursor: true });
  }

  /** Prints a permanent line. */
  news(text: string): void {
    this.rewrite?.clear();
    this.out.write(`${text}\n`);
    if (this.line !== "") this.rewrite?.(this.line);
  }

  /** Shows the current status. */
  status(line: string): void {
    if (line === this.line) return;
    this.line = line;
    if (this.rewrite) this.rewrite(line);
    else this.out.write(`${line}\n`);
  }

  /** Keeps the last status line. */
  end(): void {
    if (this.line !== "") this.rewrite?.done();
    this.line = "";
  }
}

export interface ProgressOptions {
  /** What is counted, such as "schedules". */
  unit: string;
  /** How many there will be; undefined if that is not known. */
  total?: number | undefined;
  /** Standard error by default: standard output belongs to the result. */
  out?: Stream;
}

/**
 * How much of a command is done, its rate, the time that is left and the first finding. On a terminal the line is rewritten in place;
 * elsewhere a plain line comes every ten seconds, from the start on.
 */
export class Progress {
  private done = 0;
  private finding = "";
  private readonly createdAt = performance.now();
  private drawnAt = Number.NEGATIVE_INFINITY;
  /** The first count, which may be 0, and when it came: what happens before does not count for the rate. */
  private first: { done: number; at: number } | undefined;
  private readonly screen: Screen;
  private readonly isTerminal: boolean;
  private readonly plain: NodeJS.Timeout;

  constructor(private readonly options: ProgressOptions) {
    const { out = process.stderr } = options;
    this.isTerminal = out.isTTY === true;
    this.screen = new Screen(out);
    this.plain = setInterval(() => this.draw(true), this.isTerminal ? 1_000 : PLAIN_LINE_MS);
    this.plain.unref();
  }

  /** Counts what was done since the last call. */
  advance(by = 1): void {
    this.to(this.done + by);
  }

  /** Sets how much is done in all. */
  to(done: number): void {
    this.done = done;
    this.first ??= { done, at: performance.now() };
    this.draw(performance.now() - this.drawnAt >= REDRAW_MS);
  }

  /** Records a finding; the first one stays on the status line. */
  found(finding: string): void {
    if (this.finding !== "") return;
    this.finding = finding;
    this.draw(true);
  }

  /** Prints something that stays above the line. */
  news(text: string): void {
    this.screen.news(text);
  }

  end(): void {
    clearInterval(this.plain);
    if (this.isTerminal) this.draw(true);
    this.screen.end();
  }

  private draw(isDue: boolean): void {
    const now = performance.now();
    if (!isDue) return;
    if (!this.isTerminal && now - Math.max(this.createdAt, this.drawnAt) < PLAIN_LINE_MS) return;
    this.drawnAt = now;
    this.screen.status(this.line(now));
  }

  private line(now: number): string {
    const { first } = this;
    const { unit, total } = this.options;
    const seconds = (now - this.createdAt) / 1_000;
    const rate = first && now > first.at ? (this.done - first.done) / ((now - first.at) / 1_000) : 0;
    const isOver = total !== undefined && this.done >= total;
    return [
      total === undefined ? `${this.done} ${unit}` : `${this.done} of ${total} ${unit}`,
      `${Math.round(seconds)} s`,
      ...(rate > 0 ? [rateOf(rate)] : []),
      ...(total !== undefined && rate > 0 && !isOver ? [`${durationOf((total - this.done) / rate)} left`] : []),
      ...(this.finding ? [`first finding: ${this.finding}`] : []),
    ].join(", ");
  }
}

function rateOf(perSecond: number): string {
  if (perSecond < 0.5) return `${(60 * perSecond).toFixed(1)}/min`;
  return perSecond < 10 ? `${perSecond.toFixed(1)}/s` : `${Math.round(perSecond)}/s`;
}

function durationOf(seconds: number): string {
  return seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}
