/** Makes the accounts of the Authentication emulator durable: they are in a file before a change is acknowledged. */
import { once } from "node:events";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

interface Target {
  file: string;
  /** The emulator, as host:port. It need not be up yet. */
  auth: string;
  project: string;
}

export class AccountsFile {
  /** Before that, the emulator does not have the accounts of earlier runs, and saving would lose them. */
  private isRestored = false;
  private saving: Promise<void> = Promise.resolve();
  private saved = "";

  private constructor(
    private readonly target: Target,
    private readonly server: Server,
  ) {
    server.on("request", async (_, response) => {
      const isSaved = await this.save().then(
        () => true,
        () => false,
      );
      response.writeHead(isSaved ? 204 : 500).end();
    });
  }

  static async open(target: Target): Promise<AccountsFile> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new AccountsFile(target, server);
  }

  /** The emulator must post here before it acknowledges a change. */
  get changedUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /**
   * Gives the emulator the accounts of earlier runs, and saves each change from now on. Resolves with whether there were any.
   * @throws Error if the file can't be read, or the emulator rejects it
   */
  async restore(): Promise<boolean> {
    const earlier = this.read();
    if (earlier.length > 0) await this.call(":batchCreate", { users: earlier });
    this.isRestored = true;
    return earlier.length > 0;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private read(): object[] {
    const { file } = this.target;
    try {
      return (JSON.parse(readFileSync(file, "utf8")) as { users: object[] }).users;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw new Error(`The accounts in ${file} can't be read: ${(error as Error).message}`, { cause: error });
    }
  }

  /** One at a time: a list that was read earlier must not replace a newer one. */
  private save(): Promise<void> {
    const saving = this.saving.then(() => this.write());
    this.saving = saving.catch(() => undefined);
    return saving;
  }

  private async write(): Promise<void> {
    if (!this.isRestored) return;
    const { file } = this.target;
    const { users = [] } = (await this.call(":batchGet?maxResults=-1")) as { users?: object[] };
    const text = JSON.stringify({ users }, null, 2);
    if (text === this.saved) return;
    writeFileSync(`${file}.new`, text, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
    this.saved = text;
  }

  private async call(method: string, body?: object): Promise<object> {
    const { auth, project } = this.target;
    const response = await fetch(
      `http://${auth}/identitytoolkit.googleapis.com/v1/projects/${project}/accounts${method}`,
      {
        method: body ? "POST" : "GET",
        headers: { Authorization: "Bearer owner", "Content-Type": "application/json" },
        body: body ? JSON.stringify(body) : null,
        signal: AbortSignal.timeout(10_000),
      },
    );
    if (!response.ok) throw new Error(`The Authentication emulator answered ${response.status} to accounts${method}`);
    return (await response.json()) as object;
  }
}
