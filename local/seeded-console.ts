/** The console of an embedded run with documents that a test chooses: no emulators, no food service, no ticks. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import type { Fields, Ports, Store, Write } from "../functions/src/ports.js";
import { type TestBed, testBed } from "../functions/src/testing/test-bed.js";
import { type BundleSize, buildConsole } from "../operator-console/build.js";
import { ConsoleServer } from "./console-server.js";
import { ObservedStore } from "./observed-store.js";

const LOG = "functions.log";

export class SeededConsole {
  private constructor(
    readonly bed: TestBed,
    readonly store: Store,
    readonly size: BundleSize,
    private readonly server: ConsoleServer,
    private readonly directory: string,
  ) {}

  /** Built once for all consoles of this process. */
  private static built: Promise<{ dist: string; size: BundleSize }> | undefined;

  private static async build(): Promise<{ dist: string; size: BundleSize }> {
    const dist = mkdtempSync(join(tmpdir(), "console-dist-"));
    process.once("exit", () => rmSync(dist, { recursive: true, force: true }));
    return { dist, size: await buildConsole(dist) };
  }

  /**
   * Starts it over these documents.
   * @param over puts another store over the one in memory
   */
  static async start(writes: Write[], over: (store: Store) => Store = (store) => store): Promise<SeededConsole> {
    const bed = testBed();
    const directory = mkdtempSync(join(tmpdir(), "console-"));
    SeededConsole.built ??= SeededConsole.build();
    const { dist, size } = await SeededConsole.built;
    const log = join(directory, LOG);
    writeFileSync(log, "");
    await bed.store.memory.commit(writes);
    const store = new ObservedStore(over(bed.store.memory));
    const ports: Ports = { ...bed.ports, clock: systemClock, store };
    const server = await ConsoleServer.start({ ports, store, dist, log, port: 0 });
    return new SeededConsole(bed, store, size, server, directory);
  }

  get address(): string {
    return this.server.address;
  }

  /** Sets fields of a document, whether it exists or not. */
  async set(path: string, fields: Fields): Promise<void> {
    const [found] = await this.store.read(path);
    await this.store.commit([
      found ? { kind: "update", path, version: found.version, fields } : { kind: "create", path, fields },
    ]);
  }

  /** Appends lines to the functions' log. */
  log(...lines: object[]): void {
    appendFileSync(join(this.directory, LOG), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }

  async stop(): Promise<void> {
    await this.server.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
