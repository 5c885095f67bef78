/** In which order the console asks for what it watches. */
import assert from "node:assert/strict";
import type { DataSource, Topic, Watcher } from "./data/source.js";
import { startLive } from "./live.js";

/** A data source whose documents arrive when the test says so. */
class HeldSource {
  readonly watchers = new Map<Topic, Watcher>();
  readonly watch: DataSource["watch"] = (topic, watcher) => {
    this.watchers.set(topic, watcher);
    return () => this.watchers.delete(topic);
  };

  get topics(): Topic[] {
    return [...this.watchers.keys()];
  }

  arrive(topic: Topic, ...paths: string[]): void {
    const changes = paths.map((path) => ({ path, fields: { state: "PREPARATION" } }));
    this.watchers.get(topic)?.onChanges(changes, false);
  }
}

describe("what the console watches", () => {
  let source: HeldSource;

  beforeEach(() => {
    source = new HeldSource();
    Object.assign(globalThis, { window: new EventTarget() });
  });

  afterEach(() => {
    Reflect.deleteProperty(globalThis, "window");
  });

  const start = (onDenied = () => {}) => startLive(source as unknown as DataSource, () => {}, onDenied);

  it("asks for the active orders once the system's status and the orders that need attention have arrived", () => {
    const live = start();
    assert.deepEqual(source.topics, ["attention", "health"]);
    source.arrive("health", "leases/poll");
    assert.deepEqual([source.topics, live.isReady], [["attention", "health"], false]);
    source.arrive("attention");
    assert.deepEqual([source.topics, live.isReady], [["attention", "health", "active"], true]);
    assert.equal(live.isComplete, false);
    source.arrive("active", "relations/one");
    assert.deepEqual([live.isComplete, [...live.active.keys()]], [true, ["relations/one"]]);
  });

  it("asks for the active orders once, however often the rest changes", () => {
    start();
    source.arrive("health", "leases/poll");
    source.arrive("attention");
    const { active } = Object.fromEntries(source.watchers);
    source.arrive("health", "leases/poll");
    source.arrive("attention");
    assert.equal(Object.fromEntries(source.watchers).active, active);
  });

  it("ends every watch when the session may not read the active orders", () => {
    let denials = 0;
    start(() => denials++);
    source.arrive("health");
    source.arrive("attention");
    source.watchers.get("active")?.onDenied();
    assert.deepEqual([source.topics, denials], [[], 1]);
  });
});
