/** Keeps the accounts of the Authentication emulator, which forgets, in a file. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";

/** How often changed accounts are written, in milliseconds. A crash loses younger changes only. */
const SAVE_EVERY_MS = 5_000;

export class AccountsFile {
  private saved = "";
  private timer: NodeJS.Timeout | undefined;
  private readonly accounts: string;

  /** @param auth the emulator, as host:port */
  constructor(
    private readonly file: string,
    auth: string,
    project: string,
  ) {
    this.accounts = `http://${auth}/identitytoolkit.googleapis.com/v1/projects/${project}/accounts`;
  }

  /**
   * Gives the emulator the accounts of earlier runs, and saves them from now on. Resolves with whether there were any.
   * @throws Error when the file can't be read, or the emulator rejects it
   */
  async start(): Promise<boolean> {
    const earlier = this.read();
    if (earlier.length > 0) await this.call(":batchCreate", { users: earlier });
    // An emulator that is stopping, or busy, is asked again.
    this.timer = setInterval(() => void this.save().catch(() => undefined), SAVE_EVERY_MS).unref();
    return earlier.length > 0;
  }

  /** Saves for the last time. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.save().catch(() => undefined);
  }

  private read(): object[] {
    try {
      return (JSON.parse(readFileSync(this.file, "utf8")) as { users: object[] }).users;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw new Error(`The accounts in ${this.file} can't be read: ${(error as Error).message}`, { cause: error });
    }
  }

  private async save(): Promise<void> {
    const { users = [] } = (await this.call(":batchGet?maxResults=-1")) as { users?: object[] };
    const text = JSON.stringify({ users }, null, 2);
    if (users.length === 0 || text === this.saved) return;
    writeFileSync(`${this.file}.new`, text, { mode: 0o600 });
    renameSync(`${this.file}.new`, this.file);
    this.saved = text;
  }

  private async call(method: string, body?: object): Promise<object> {
    const response = await fetch(this.accounts + method, {
      method: body ? "POST" : "GET",
      headers: { Authorization: "Bearer owner", "Content-Type": "application/json" },
      body: body ? JSON.stringify(body) : null,
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`The Authentication emulator answered ${response.status} to accounts${method}`);
    return (await response.json()) as object;
  }
}
