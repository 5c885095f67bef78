import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StartError } from "../server.js";
import { Journal } from "./journal.js";

describe("the state file", () => {
  let directory: string;
  let file: string;
  const journals: Journal[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "journal-"));
    file = join(directory, "deep", "state.jsonl");
  });

  afterEach(() => {
    for (const journal of journals.splice(0)) journal.close();
    rmSync(directory, { recursive: true });
  });

  /** The opened journal and the events that are in the file. */
  function open(use: "append" | "read" = "append") {
    const journal = Journal.open(file, use);
    journals.push(journal);
    const events: unknown[] = [];
    journal.replay((event) => events.push(event));
    return { journal, events };
  }

  it("returns every event in order, even across read chunks", () => {
    const long = "ü".repeat(700_000);
    const { journal, events } = open();
    assert.deepEqual(events, []);
    for (let n = 0; n < 3; n++) journal.append({ n, long });
    assert.deepEqual(
      open().events,
      [0, 1, 2].map((n) => ({ n, long })),
    );
  });

  it("drops a partial last line, and continues after the line before it", () => {
    open().journal.append({ n: 1 });
    appendFileSync(file, '{"n":2,"torn":"\u00fc');
    const { journal, events } = open();
    assert.deepEqual(events, [{ n: 1 }]);
    journal.append({ n: 3 });
    journal.append({ n: 4 });
    assert.equal(readFileSync(file, "utf8"), '{"n":1}\n{"n":3}\n{"n":4}\n');
  });

  it("leaves a partial last line in place when it only reads, since it may still be being written", () => {
    open().journal.append({ n: 1 });
    appendFileSync(file, '{"n"');
    assert.deepEqual(open("read").events, [{ n: 1 }]);
    assert.equal(readFileSync(file, "utf8"), '{"n":1}\n{"n"');
  });

  it("names a damaged line", () => {
    open();
    for (const text of ['{"n":1}\nnonsense\n{"n":3}\n', '{"n":1}\n\n']) {
      writeFileSync(file, text);
      assert.throws(open, (error) => error instanceof StartError && /damaged in line 2/.test(error.message));
    }
  });

  it("names the line of an invalid event", () => {
    open().journal.append({ n: 1 });
    const { journal } = open();
    const refuse = () => {
      throw new Error("unheard of");
    };
    assert.throws(() => journal.replay(refuse), /state\.jsonl is damaged in line 1: unheard of/);
  });

  it("stores nothing if another program has written to the file", () => {
    const { journal } = open();
    open().journal.append({ n: 1 });
    assert.throws(() => journal.append({ n: 2 }), /another program has written/);
    assert.equal(readFileSync(file, "utf8"), '{"n":1}\n');
  });

  it("names a file that can't be opened", () => {
    assert.throws(
      () => Journal.open(directory, "append"),
      (error) => {
        return error instanceof StartError && error.message.includes(directory);
      },
    );
    assert.throws(() => Journal.open(file, "read"), StartError);
  });
});
