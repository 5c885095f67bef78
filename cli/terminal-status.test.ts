import assert from "node:assert/strict";
import { Screen } from "./terminal-status.js";

function screenOf(terminal: { isTTY?: boolean; columns?: number }) {
  let text = "";
  const write = (chunk: string) => {
    text += chunk;
    return true;
  };
  return { screen: new Screen({ ...terminal, write } as ConstructorParameters<typeof Screen>[0]), text: () => text };
}

describe("the screen", () => {
  it("writes a line a change, and no control characters, where there is no terminal", () => {
    const { screen, text } = screenOf({});
    screen.status("1 order");
    screen.status("1 order");
    screen.news("something happened");
    screen.status("2 orders");
    screen.end();
    assert.equal(text(), "1 order\nsomething happened\n2 orders\n");
  });

  it("rewrites its line in place on a terminal", () => {
    const { screen, text } = screenOf({ isTTY: true, columns: 80 });
    screen.status("1 order");
    screen.status("2 orders");
    screen.end();
    assert.equal(text(), "\r\x1b[K1 order\r\x1b[K2 orders\n");
  });

  it("puts news above the line", () => {
    const { screen, text } = screenOf({ isTTY: true, columns: 80 });
    screen.status("1 order");
    screen.news("something happened");
    assert.equal(text(), "\r\x1b[K1 order\r\x1b[Ksomething happened\n\r\x1b[K1 order");
  });

  it("cuts a line that would wrap and could then not be rewritten", () => {
    const { screen, text } = screenOf({ isTTY: true, columns: 10 });
    screen.status("0123456789abc");
    assert.equal(text(), "\r\x1b[K012345678");
  });
});
