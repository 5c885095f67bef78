import assert from "node:assert/strict";
import { mock } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { Progress, Screen } from "./progress.js";

function outputOf(terminal: { isTTY?: boolean; columns?: number; rows?: number }) {
  let text = "";
  const write = (chunk: string) => {
    text += chunk;
    return true;
  };
  return { out: { ...terminal, write }, text: () => text, lines: () => stripVTControlCharacters(text).split("\n") };
}

const TERMINAL = { isTTY: true, columns: 120, rows: 24 };

describe("the terminal status", () => {
  it("writes a line for each change, and no control characters, if there is no terminal", () => {
    const { out, text } = outputOf({});
    const screen = new Screen(out);
    screen.status("1 order");
    screen.status("1 order");
    screen.news("something happened");
    screen.status("2 orders");
    screen.end();
    assert.equal(text(), "1 order\nsomething happened\n2 orders\n");
  });

  it("rewrites its line in place on a terminal, with news above it", () => {
    const { out, text, lines } = outputOf(TERMINAL);
    const screen = new Screen(out);
    screen.status("1 order");
    screen.news("something happened");
    screen.status("2 orders");
    screen.end();
    assert.ok(text().includes("\x1b["), "it moves the cursor");
    assert.deepEqual(
      lines().filter((line) => line.includes("something")),
      ["something happened"],
    );
    assert.match(lines().join("\n"), /2 orders\s*$/);
  });
});

describe("progress", () => {
  it("shows the work done, the rate, the time left and the first finding", () => {
    const { out, lines } = outputOf(TERMINAL);
    const progress = new Progress({ unit: "schedules", total: 400, out });
    progress.to(0);
    progress.to(100);
    progress.found("an order was lost");
    progress.found("another");
    progress.end();
    assert.match(lines().join("\n"), /100 of 400 schedules, \d+ s, .*left, first finding: an order was lost/);
    assert.doesNotMatch(lines().join("\n"), /another/);
  });

  it("is silent without a terminal if the command ends within ten seconds", () => {
    const { out, text } = outputOf({});
    const progress = new Progress({ unit: "inputs", total: 5, out });
    progress.advance(5);
    progress.end();
    assert.equal(text(), "");
  });

  it("prints a line every ten seconds without a terminal, also before anything is done", () => {
    let now = 0;
    mock.timers.enable({ apis: ["setInterval"] });
    mock.method(performance, "now", () => now);
    const pass = (milliseconds: number) => {
      now += milliseconds;
      mock.timers.tick(milliseconds);
    };
    try {
      const { out, lines } = outputOf({});
      const progress = new Progress({ unit: "benches", total: 7, out });
      pass(10_000);
      progress.to(0);
      pass(10_000);
      progress.advance();
      pass(10_000);
      progress.end();
      assert.deepEqual(lines(), [
        "0 of 7 benches, 10 s",
        "0 of 7 benches, 20 s",
        "1 of 7 benches, 30 s, 3.0/min, 2 min left",
        "",
      ]);
    } finally {
      mock.reset();
    }
  });
});
