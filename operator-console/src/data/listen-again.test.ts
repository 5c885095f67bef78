import assert from "node:assert/strict";
import { type Found, listenAgain } from "./listen-again.js";

/** A watcher and its notifications, over listeners that the test ends. */
class Watched {
  readonly heard: string[] = [];
  denied = 0;
  ended = 0;
  /** Of each listener that was started. */
  readonly listeners: { find(found: Found): void; fail(code: string): void }[] = [];
  private onStart = () => {};
  readonly stop = listenAgain(
    {
      onChanges: (changes, isStale) => {
        const parts = changes.map(({ path, fields }) => `${fields ? "+" : "-"}${path}`);
        this.heard.push([...parts, isStale ? "stale" : "current"].join(" "));
      },
      onDenied: () => this.denied++,
    },
    (find, onError) => {
      this.listeners.push({ find, fail: (code) => onError({ code }) });
      this.onStart();
      return () => this.ended++;
    },
    1,
  );

  /** Resolves when another listener has started. */
  started(): Promise<void> {
    return new Promise((resolve) => {
      this.onStart = resolve;
    });
  }
}

const found = (paths: string[], added = paths, isStale = false): Found => ({
  changes: added.map((path) => ({ path, fields: {} })),
  paths: () => paths,
  isStale,
});

describe("listening again", () => {
  it("reports stale data after an error that passes, and then what changed in the meantime", async () => {
    const watched = new Watched();
    watched.listeners[0]?.find(found(["a", "b"]));
    const again = watched.started();
    watched.listeners[0]?.fail("internal");
    await again;
    watched.listeners[1]?.find(found(["b", "c"]));
    assert.deepEqual(watched.heard, ["+a +b current", "stale", "+b +c -a current"]);
    assert.equal(watched.denied, 0);
    watched.stop();
  });

  it("removes nothing before the data is current", async () => {
    const watched = new Watched();
    watched.listeners[0]?.find(found(["a"]));
    const again = watched.started();
    watched.listeners[0]?.fail("resource-exhausted");
    await again;
    watched.listeners[1]?.find(found([], [], true));
    watched.listeners[1]?.find(found(["a"]));
    assert.deepEqual(watched.heard, ["+a current", "stale", "stale", "+a current"]);
    watched.stop();
  });

  for (const code of ["permission-denied", "unauthenticated"]) {
    it(`ends when the session may not read: ${code}`, () => {
      const watched = new Watched();
      watched.listeners[0]?.fail(code);
      assert.deepEqual([watched.denied, watched.listeners.length, watched.heard], [1, 1, []]);
    });
  }

  it("ends the present listener when it is stopped", async () => {
    const watched = new Watched();
    const again = watched.started();
    watched.listeners[0]?.fail("unavailable");
    await again;
    watched.stop();
    assert.deepEqual([watched.listeners.length, watched.ended], [2, 1]);
  });
});
