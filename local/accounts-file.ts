/** Makes the accounts of the Authentication emulator durable: each change is in a file before it is acknowledged. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { callAccounts } from "../harness/emulators/test-accounts.js";
import { listenLocally } from "../harness/listen.js";

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
    /** The emulator must post here before it acknowledges a change. */
    readonly changedUrl: string,
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
    return new AccountsFile(target, server, `http://127.0.0.1:${await listenLocally(server)}`);
  }

  /**
   * Loads the accounts of earlier runs into the emulator, and saves each change from then on. Resolves with whether there were any.
   * @throws Error if the file can't be read, or the emulator rejects it
   */
  async restore(): Promise<boolean> {
    const earlier = this.read();
    const { auth, project } = this.target;
    if (earlier.length > 0) await callAccounts(auth, `projects/${project}/accounts:batchCreate`, { users: earlier });
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
    const { file, auth, project } = this.target;
    const { users = [] } = await callAccounts(auth, `projects/${project}/accounts:batchGet?maxResults=-1`);
    const text = JSON.stringify({ users }, null, 2);
    if (text === this.saved) return;
    writeFileSync(`${file}.new`, text, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
    this.saved = text;
  }
}
